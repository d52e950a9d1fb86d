"""Removes condemned packs that are due: index rows of their chunks, file, index row of the pack.

Each step may be repeated; a removal that was interrupted is finished by the next run.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Collection

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.hashes import hashes_name
from rubackup.chunkstore.index import PackRow
from rubackup.domain.errors import Conflict, Corrupt, NotFound

log = logging.getLogger(__name__)
_PACK = struct.Struct("<I")
_SECOND_NS = 1_000_000_000


def remove_due(ground: Ground) -> None:
    """Remove what may go now; counts it, and what has to wait, in the result."""
    due = _begin(ground)
    if due:
        _forget_chunks(ground, due)
    for number in due:
        ground.check()
        row = ground.index.pack(number)
        if row is not None:
            _remove(ground, row)
    waiting = [row for number in list(ground.index.marks.condemned) if (row := ground.index.pack(number))]
    ground.result.waiting_packs = len(waiting)
    ground.result.waiting_bytes = sum(row.indexed_bytes for row in waiting)


def _begin(ground: Ground) -> list[int]:
    """The packs whose time has come; from here they cannot be taken back. StorageFault when a storage is away."""
    marks = ground.index.marks
    for place in ground.storages().all if marks.condemned else ():
        place.check_bound()  # a pack on a disk that is not mounted would seem to be removed
    with ground.lock:
        candidates = _due(ground)
    kept = {number for number in candidates if kept_until_ns(ground, number) > ground.now_ns()}
    ground.result.protected_packs = max(ground.result.protected_packs, len(kept))
    removable = {number for number in candidates if number not in kept and _is_itself(ground, number)}
    with ground.lock:
        due = [number for number in _due(ground) if number in removable]
        if new := [number for number in due if not marks.condemned[number].going]:
            marks.going(new)
            ground.guard.changes += 1  # a session that checked its rows before this checks them again
    return sorted(due)


def _due(ground: Ground) -> list[int]:
    oldest = ground.oldest_turn()
    latest = ground.steady_ns() - ground.safety.grace_seconds * _SECOND_NS
    return [
        number
        for number, mark in ground.index.marks.condemned.items()
        if mark.going or (mark.steady_ns <= latest and mark.turn < oldest)
    ]


def _is_itself(ground: Ground, number: int) -> bool:
    """Whether the file of a condemned pack is that pack, or gone: another one may be needed, and is named in the result."""
    row = ground.index.pack(number)
    storage = ground.storages().get(row.storage) if row else None
    if row is None or storage is None:
        return True
    name = pack.closed_name(row.id)
    try:
        pack.check_is(storage.backend, name, ground.pool, row.id)
    except NotFound:
        return True
    except Corrupt as error:
        ground.problem(f"Pack {storage.backend.label}/{name} is not removed: {error.message}")
        return False
    return True


def _forget_chunks(ground: Ground, packs: Collection[int]) -> None:
    """Remove the index rows of all chunks that are placed in these packs."""
    marked = {_PACK.pack(number) for number in packs}
    for rows in ground.index.marks.chunks():
        ground.check()
        if gone := [row for row in rows if row[1][: _PACK.size] in marked]:
            ground.index.marks.forget_chunks(gone)


def _remove(ground: Ground, row: PackRow) -> None:
    storage = ground.storages().get(row.storage)
    if storage is None:  # it has left the pool meanwhile; the pack waits for it
        return
    mark = ground.index.marks.condemned[row.number]
    try:
        size = remove_file(storage.backend, pack.closed_name(row.id), zeroing=mark.zeroing)
        if ground.hashes is not None:
            size += remove_file(storage.backend, hashes_name(row.id), zeroing=mark.zeroing)
    except Conflict as error:  # protected by others than us: it goes when its date is over
        ground.problem(f"Pack {row.id.hex()} is not removed: {error.message}")
        return
    ground.index.forget_pack(row)
    storage.count(-size)
    ground.result.removed_packs += 1
    ground.result.freed_bytes += size
    log.debug("pack %s was removed", row.id.hex())


def kept_until_ns(ground: Ground, number: int) -> int:
    """Until when the storage itself keeps a pack; 0 when it may go."""
    row = ground.index.pack(number)
    storage = ground.storages().get(row.storage) if row else None
    if row is None or storage is None or storage.backend.capabilities.lock is None:
        return 0
    try:
        return storage.backend.capabilities.lock.until_ns(pack.closed_name(row.id), ground.now_ns())
    except NotFound:
        return 0


def remove_file(backend: Backend, name: str, *, zeroing: bool) -> int:
    """Remove a file for good, with `zeroing` overwritten first where the backend can; its length, 0 if it was gone."""
    try:
        size = backend.size(name)
    except NotFound:
        return 0
    if zeroing and backend.capabilities.overwrite:
        # Under another name first: what is half overwritten must not be taken for a damaged file of the pool.
        gone = name.rpartition(".")[0] + pack.GONE
        backend.delete(gone)
        backend.publish(name, gone)
        backend.erase(gone)
    else:
        backend.delete(name)
    return size
