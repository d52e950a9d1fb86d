"""The folders of a pool: bound to it by a marker, filled one after another, never below the reserve."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Backend, Space
from rubackup.chunkstore.locations import Location
from rubackup.domain.errors import Corrupt, NotFound, RubackupError, StorageFault, StorageFull

log = logging.getLogger(__name__)
MARKER: Final = "pool"
_MARKER = re.compile(rb"rubackup pool 0 ([0-9a-f]{32}) ([0-9a-f]{32})\n")


@dataclass
class Storage:
    """One folder of the pool."""

    id: bytes
    backend: Backend
    used_bytes: int = 0
    """Packs and sealed manifests."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check_bound(self) -> None:
        """StorageFault when the marker is gone: a disk that was unmounted leaves an empty folder to write to."""
        try:
            self.backend.size(MARKER)
        except NotFound:
            raise StorageFault(f"The folder {self.backend.label} has lost its marker: is its disk mounted?") from None

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        try:
            self.backend.size(name)
        except NotFound:
            return False
        return True

    def holds_files(self) -> bool:
        """Whether anything of the pool but the marker lies in the folder."""
        return any(next(self.backend.list(folder), None) is not None for folder in ("packs", "manifests"))

    def count(self, size_bytes: int) -> None:
        """Note that so much was added (or removed)."""
        with self._lock:
            self.used_bytes += size_bytes


@dataclass(frozen=True)
class Storages:
    """The pool's folders in the order in which they are filled, or `evenly`: always the one with most room."""

    all: tuple[Storage, ...]
    reserve_bytes: int
    evenly: bool = False

    def get(self, storage: bytes) -> Storage | None:
        """A folder by id; None when it does not belong to the pool now."""
        return next((one for one in self.all if one.id == storage), None)

    def room_for(self, size_bytes: int) -> Storage:
        """The first folder, or the emptiest, that can take so much and keep the reserve; StorageFull names each folder.

        StorageFault when a folder on the way is not there any more.
        """
        if not self.all:
            raise StorageFault("The pool has no storages.")
        told: list[str] = []
        best, most = None, -1
        for storage in self.all:
            storage.check_bound()
            free = storage.backend.space().free_bytes
            if free - size_bytes >= self.reserve_bytes and free > most:
                best, most = storage, free
                if not self.evenly:
                    break
            told.append(f"{storage.backend.label} has {free} bytes free")
        if best is not None:
            return best
        raise StorageFull(
            f"There is no room left in the pool: {'; '.join(told)}; {self.reserve_bytes} bytes are kept in reserve.",
            reserve_bytes=self.reserve_bytes,
        )

    def has_room(self, storage: Storage, size_bytes: int) -> bool:
        """Whether a folder can take so much and keep the reserve."""
        return storage.backend.space().free_bytes - size_bytes >= self.reserve_bytes

    def check_room(self, storage: Storage, size_bytes: int) -> None:
        """StorageFull unless this folder can take so much and keep the reserve."""
        if not self.has_room(storage, size_bytes):
            Storages((storage,), self.reserve_bytes).room_for(size_bytes)

    def space(self) -> Space:
        """Room in all folders; those on one device are counted once."""
        found = {space.device: space for space in (storage.backend.space() for storage in self.all)}
        free = sum(space.free_bytes for space in found.values())
        return Space(free, sum(space.total_bytes for space in found.values()), "")


def parse_marker(content: bytes) -> tuple[bytes, bytes] | None:
    """Pool and storage that a marker names; None when it is damaged, or none."""
    found = _MARKER.fullmatch(content)
    return None if found is None else (bytes.fromhex(found[1].decode()), bytes.fromhex(found[2].decode()))


def belongs_to(backend: Backend, pool: bytes) -> bool:
    """Whether a folder has the marker of this pool."""
    try:
        found = parse_marker(backend.read(MARKER, 0, backend.size(MARKER)))
    except (NotFound, StorageFault):
        return False
    return found is not None and found[0] == pool


def bind(backend: Backend, pool: bytes, known: dict[bytes, str], taken: Sequence[Storage]) -> Storage:
    """The storage in a folder: by its marker, or newly marked when nothing of a pool is in it.

    StorageFault when it belongs to another pool, or when the pool knows the folder but its marker
    is gone (a disk that is not mounted looks like that).
    """
    try:
        found = parse_marker(backend.read(MARKER, 0, backend.size(MARKER)))
    except NotFound:
        return _mark(backend, pool, known)
    if found is None:
        raise StorageFault(f"The marker {backend.label}/{MARKER} is damaged.")
    owner, storage = found
    if owner != pool:
        raise StorageFault(f"The folder {backend.label} belongs to another pool ({owner.hex()}).")
    if any(other.id == storage for other in taken):
        raise StorageFault(f"The folder {backend.label} is given twice, or is a copy of another one of the pool.")
    return Storage(storage, backend)


def bind_all(
    locations: Sequence[Location],
    open_at: Callable[[Location], Backend],
    pool: bytes,
    known: dict[bytes, str],
    *,
    fresh: bool,
) -> tuple[list[Storage], dict[str, str]]:
    """The folders as storages, and what is wrong with those that are left out.

    StorageFault for a folder that held the pool's data, or may have: a `fresh` index does not know which did.
    Without it records would seem to be lost.
    """
    bound: list[Storage] = []
    left_out: dict[str, str] = {}
    for location in locations:
        try:
            bound.append(bind(open_at(location), pool, known, bound))
        except RubackupError as error:
            if fresh or location.label in known.values():
                raise
            log.error("a storage is left out: %s", error.message)
            left_out[location.label] = f"The folder never belonged to the pool and is left out: {error.message}"
    if left_out and not bound:
        raise StorageFault(" ".join(left_out.values()))
    return bound, left_out


def _mark(backend: Backend, pool: bytes, known: dict[bytes, str]) -> Storage:
    former = next((name for name, path in known.items() if path == backend.label), None)
    item = next(backend.list("packs"), None)
    if item is None:
        if former is not None:
            raise StorageFault(f"The folder {backend.label} has lost its marker: is its disk mounted?")
    elif not _is_ours(backend, item.name, pool):
        raise StorageFault(f"The folder {backend.label} holds packs of another pool.")
    storage = former or os.urandom(16)
    backend.put(MARKER, f"rubackup pool 0 {pool.hex()} {storage.hex()}\n".encode())
    return Storage(storage, backend)


def _is_ours(backend: Backend, name: str, pool: bytes) -> bool:
    try:
        return pack.parse_header(backend.read(name, 0, pack.HEADER_BYTES)).pool == pool
    except Corrupt:
        return False
