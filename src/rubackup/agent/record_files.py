"""Parts of single files of copies as they travel: from a media server, or from the client that has an encrypted copy's key."""

from __future__ import annotations

from rubackup.chunkstore.file import FileRanges
from rubackup.wire.messages import ReadEncryptedFile, ReadRecordFile, RecordFilePart


def part_of(file: FileRanges, asked: ReadRecordFile | ReadEncryptedFile) -> RecordFilePart:
    """The part that is asked for; a hole at its end unfilled for who knows holes. Corrupt, Invalid."""
    if asked.holes:
        data, hole = file.read_to_hole(asked.offset, asked.length)
    else:
        data, hole = file.read(asked.offset, asked.length), 0
    return RecordFilePart(size_bytes=file.size_bytes, tag=file.tag, mtime_ns=file.entry.mtime_ns, data=data, hole=hole)
