"""What a copy shows of its folders, out of two or three blocks of its manifest: at its media server, or where its key is."""

from __future__ import annotations

import re

from rubackup.chunkstore.manifest import Entry, EntryType, ManifestReader
from rubackup.domain.errors import NotFound
from rubackup.wire.messages import RecordEntry, RecordListing

TYPES = {
    EntryType.FILE: "file",
    EntryType.FOLDER: "folder",
    EntryType.SYMLINK: "symlink",
    EntryType.FIFO: "fifo",
    EntryType.SOCKET: "socket",
    EntryType.CHAR: "char",
    EntryType.BLOCK: "block",
}
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def list_folder(reader: ManifestReader, path: str, page: int, limit: int) -> RecordListing:
    r"""A page of a folder, sorted by name; a path to a file gives that file. NotFound when the copy has neither.

    Bytes that are not UTF-8 are shown, and taken, as `\xNN`.
    """
    for folder in meant(path):
        entries, total = reader.folder(folder, (page - 1) * limit, limit)
        if total:
            return RecordListing(entries=[shown(folder, entry) for entry in entries], total=total)
        found = reader.find(folder)
        if found is not None and found.type == EntryType.FOLDER:
            return RecordListing(entries=[], total=0)
        if found is not None:
            return RecordListing(entries=[shown(folder.rpartition(b"/")[0], found)], total=1)
    raise NotFound(f"The copy has no {path}.")


def meant(path: str) -> list[bytes]:
    r"""The paths of a copy that a caller may mean: as it stands, and with each `\xNN` as the byte that it shows."""
    wanted = path.encode("utf-8", "surrogateescape")
    read = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), wanted)
    return list(dict.fromkeys(b"/" + name.strip(b"/") for name in (wanted, read)))


def shown(folder: bytes, entry: Entry) -> RecordEntry:
    """An entry as the API shows it."""
    path = folder.rstrip(b"/") + b"/" + entry.name
    return RecordEntry(
        path=path.decode("utf-8", "backslashreplace"),
        type=TYPES[EntryType(entry.type)],
        size_bytes=entry.size,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        user=entry.user,
        group=entry.group,
        mtime_ns=entry.mtime_ns,
        target=entry.target.decode("utf-8", "backslashreplace"),
    )
