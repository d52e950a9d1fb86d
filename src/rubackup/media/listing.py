"""What a copy shows of its folders, out of two or three blocks of its manifest."""

from __future__ import annotations

import re

from rubackup.chunkstore.manifest import Entry, EntryType, ManifestReader
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import NotFound
from rubackup.wire.messages import AskRecords, PoolRecord, PoolRecords, RecordEntry, RecordListing

TYPES = {
    EntryType.FILE: "file",
    EntryType.FOLDER: "folder",
    EntryType.SYMLINK: "symlink",
    EntryType.FIFO: "fifo",
    EntryType.SOCKET: "socket",
    EntryType.CHAR: "char",
    EntryType.BLOCK: "block",
}
_RECORDS = 1000
_RECORD_BYTES = 256 << 10
"""Records, and bytes of what they are of, in one answer."""
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def list_records(pool: Pool, asked: AskRecords) -> PoolRecords:
    """The records of a pool behind `after`, in the order of their ids; as many as fit into an answer."""
    behind = sorted((one for one in pool.records() if one.record > asked.after), key=lambda one: one.record)
    found: list[PoolRecord] = []
    size = 0
    for one in behind[: max(1, min(asked.limit, _RECORDS))]:
        found.append(
            PoolRecord(
                record=one.record, parent=one.parent, task_id=one.task_id, client_hwid=one.owner,
                resource_type=one.resource_type, resource=one.resource, backup_type=one.backup_type, files=one.files,
                files_failed=one.files_failed, size_bytes=one.size_bytes, stored_bytes=one.stored_bytes,
                sealed_at_ns=one.sealed_at_ns,
            )
        )  # fmt: skip
        size += len(one.resource)
        if size > _RECORD_BYTES:
            break
    return PoolRecords(records=found, more=len(found) < len(behind))


def list_folder(pool: Pool, record: str, path: str, page: int, limit: int) -> RecordListing:
    r"""A page of a folder, sorted by name; a path to a file gives that file. NotFound when the copy has neither.

    Bytes that are not UTF-8 are shown, and taken, as `\xNN`.
    """
    session = pool.read(record)
    reader = ManifestReader(session.read_manifest, session.manifest_bytes)
    wanted = path.encode("utf-8", "surrogateescape")
    for name in dict.fromkeys((wanted, _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), wanted))):
        folder = b"/" + name.strip(b"/")
        entries, total = reader.folder(folder, (page - 1) * limit, limit)
        if total:
            return RecordListing(entries=[shown(folder, entry) for entry in entries], total=total)
        found = reader.find(folder)
        if found is not None and found.type == EntryType.FOLDER:
            return RecordListing(entries=[], total=0)
        if found is not None:
            return RecordListing(entries=[shown(folder.rpartition(b"/")[0], found)], total=1)
    raise NotFound(f"The copy has no {path}.")


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
