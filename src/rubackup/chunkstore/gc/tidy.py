"""Tidies the folders of a pool: what an interrupted `put` left, and tombstones that nothing can need any more.

When that is, is in `docs/design/chunkstore.md`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

import msgspec

from rubackup.chunkstore import seals
from rubackup.chunkstore.gc.collection import listed
from rubackup.chunkstore.gc.ground import Ground
from rubackup.domain.errors import NotFound

_DAY_NS: Final = 86_400_000_000_000
_tombstones = msgspec.msgpack.Decoder(tuple[str, int])


def tidy(ground: Ground) -> None:
    """Remove both; Corrupt or StorageFault when something of the pool is away or cannot be read."""
    with ground.lock:
        listed(ground)
        for storage in ground.storages().all:
            storage.backend.sweep("manifests")  # whatever puts files there holds the lock
    latest = ground.now_ns() - ground.safety.tombstone_days * _DAY_NS
    for storage in ground.storages().all:
        backend = storage.backend
        names = [item for item in backend.list("manifests") if item.name.endswith(".tombstone")]
        for item in names:
            ground.check()
            record = PurePosixPath(item.name).stem
            try:
                named, at_ns = _tombstones.decode(backend.read(item.name, 0, item.size_bytes))
            except (msgspec.DecodeError, NotFound):  # of no use to us, but it still keeps its record away
                continue
            with ground.lock:
                there = ground.index.record(record) is not None
            if named == record and at_ns < latest and not there and not _manifest_lies(ground, record):
                backend.delete(item.name)
                ground.result.removed_tombstones += 1


def _manifest_lies(ground: Ground, record: str) -> bool:
    for storage in ground.storages().all:
        try:
            storage.backend.size(seals.manifest_name(record))
        except NotFound:
            continue
        return True
    return False
