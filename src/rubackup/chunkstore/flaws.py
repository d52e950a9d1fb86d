"""Damage to the pool's own files that costs no file of a record now, and would if the index were lost: a pack's
header or trailer, a manifest's seal. A verification tells of it. Design: `docs/design/chunkstore.md`, Order of reading.
"""

from __future__ import annotations

from collections.abc import Iterable

from rubackup.chunkstore import pack, seals
from rubackup.chunkstore.index import ENDS, Index, PackRow, RecordRow
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import Corrupt, NotFound


def flaws_of(record: RecordRow, index: Index, pool: bytes, packs: Iterable[int], storages: Storages) -> list[str]:
    """What is wrong with the files that hold a record, beside its chunks, its manifest and its seal.

    A pack with a flaw is marked, so that the next collection empties it.
    """
    found: list[str] = []
    storage = storages.get(record.storage)
    if storage is not None and record.sealed.lost_parts:
        name = f"{storage.backend.label}/{seals.manifest_name(record.sealed.record)}"
        found.append(
            f"The manifest {name} has lost {record.sealed.lost_parts} parts; their files are gone from the copy."
        )
    for row in map(index.pack, packs):
        storage = storages.get(row.storage) if row else None
        if row is not None and row.closed and storage is not None and (flaw := pack_flaw(storage, pool, row)):
            index.mark_bad(row.number, ENDS)
            found.append(flaw)
    return found


def pack_flaw(storage: Storage, pool: bytes, row: PackRow) -> str:
    """A sentence that names a closed pack whose header or trailer is damaged; '' when both are right.

    A pack that is open, or missing, has neither.
    """
    name = pack.closed_name(row.id)
    label = f"{storage.backend.label}/{name}"
    try:
        header = pack.parse_header(storage.backend.read(name, 0, pack.HEADER_BYTES))
        if (header.pool, header.pack) != (pool, row.id):
            return f"Pack {label} has the header of another pack."
        pack.read_extents(storage.backend, name)
    except NotFound:
        return ""
    except Corrupt as error:
        return f"Pack {label} cannot be read without the index: {error.message}"
    return ""


def seal_flaw(storage: Storage, row: RecordRow) -> str:
    """A sentence that names a manifest whose seal is damaged, or of another record; '' when it is right."""
    name = seals.manifest_name(row.sealed.record)
    try:
        found = seals.read_seal(storage.backend, name)
    except Corrupt as error:
        return f"The manifest cannot be read without the index: {error.message}"
    if found != (row.sealed, row.stream_bytes, row.file_bytes):
        return f"The manifest {storage.backend.label}/{name} has the seal of another record."
    return ""
