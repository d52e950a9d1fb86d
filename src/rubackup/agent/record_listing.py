"""What a copy shows of its folders, out of two or three blocks of its manifest: at its media server, or where its key is."""

from __future__ import annotations

from rubackup.chunkstore.manifest import Entry, EntryType, ManifestReader
from rubackup.domain import filenames
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


def list_folder(reader: ManifestReader, path: str, page: int, limit: int) -> RecordListing:
    """A page of a folder, sorted by name; a path to a file gives that file. NotFound when the copy has neither.

    Names are shown, and taken, as `domain.filenames` has it.
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
    """The paths of a copy that a caller may mean, the likeliest first."""
    wanted = filenames.meant(path.encode("utf-8", "surrogateescape"))
    return list(dict.fromkeys(b"/" + name.strip(b"/") for name in wanted))


def shown(folder: bytes, entry: Entry) -> RecordEntry:
    """An entry as the API shows it."""
    path = folder.rstrip(b"/") + b"/" + entry.name
    return RecordEntry(
        path=filenames.listed(path),
        type=TYPES[EntryType(entry.type)],
        size_bytes=entry.size,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        user=entry.user,
        group=entry.group,
        mtime_ns=entry.mtime_ns,
        target=filenames.listed(entry.target),
    )
