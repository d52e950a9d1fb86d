"""Moves manifests out of the emergency storage; its packs are emptied by compaction.

The old file stays until the pool's grace has passed, as a reader may be in the middle of it. Each step can be the last:
a manifest that is in both storages is the same one, and the next opening or drain removes the one that the index does not name.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from rubackup.chunkstore import seals
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import RubackupError, StorageFull

log = logging.getLogger(__name__)
_PIECE_BYTES: Final = 4 << 20


def drain(ground: Ground) -> None:
    """Move every manifest of the emergency storages into a regular one, as far as there is room."""
    try:
        for row in ground.index.records():
            source = ground.storages().get(row.storage)
            if source is not None and source.emergency:
                ground.check()
                _move(ground, source, row)
    except StorageFull as error:
        ground.problem(f"Manifests stay in the emergency storage: {error.message}")


def remove_moved(ground: Ground) -> None:
    """Remove manifests that were moved, when the grace is over."""
    latest = ground.steady_ns() - ground.safety.grace_seconds * 1_000_000_000
    for (storage_id, name), moved in list(ground.guard.moved.items()):
        storage = ground.storages().get(storage_id)
        if moved > latest or storage is None:
            continue
        storage.check_bound()
        storage.backend.delete(name)
        del ground.guard.moved[storage_id, name]


def _move(ground: Ground, source: Storage, row: RecordRow) -> None:
    record = row.sealed.record
    target = ground.storages().room_for(row.file_bytes, emergency=False)
    if not target.has(seals.manifest_name(record)):
        _copy(ground, source, target, row)
    with ground.lock:
        if ground.index.record(record) != row:  # dropped, or repaired: this copy is not it
            target.backend.delete(seals.manifest_name(record))
            return
        if until := seals.read_lock(source.backend, record):
            seals.write_lock(target.backend, record, until)
        ground.index.put_record(msgspec.structs.replace(row, storage=target.id), None)
        target.count(row.file_bytes)
        source.count(-row.file_bytes)
        source.backend.delete(seals.lock_name(record))
        ground.guard.moved[source.id, seals.manifest_name(record)] = ground.steady_ns()
    log.info("the manifest of %s was moved out of the emergency storage", record)


def _copy(ground: Ground, source: Storage, target: Storage, row: RecordRow) -> None:
    record = row.sealed.record
    name = seals.open_name(record)
    target.backend.delete(name)
    file = target.backend.append(name)
    try:
        for offset in range(0, row.file_bytes, _PIECE_BYTES):
            length = min(_PIECE_BYTES, row.file_bytes - offset)
            file.write(source.backend.read(seals.manifest_name(record), offset, length))
            ground.check()
        file.sync()
        target.backend.publish(name, seals.manifest_name(record))
    except RubackupError:
        target.backend.delete(name)
        raise
    finally:
        file.close()
