"""The folders of a pool: bound to it by a marker, filled as is configured, never below the reserve. One may be lost without the others."""

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
    emergency: bool = False
    """Written to only while no other storage of the pool has room."""
    fault: str = ""
    """Why nothing is written here until `Pool.look` could write a probe; '' when nothing is wrong."""
    doubtful: bool = False
    """It was away for a moment at least: packs that were missed then may be there."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check_bound(self) -> None:
        """StorageFault when the marker is gone: a disk that was unmounted leaves an empty folder to write to."""
        try:
            self.backend.size(MARKER)
        except NotFound:
            self.doubtful = True
            raise StorageFault(f"The storage {self.backend.label} has lost its marker: is its disk mounted?") from None

    @property
    def bound(self) -> bool:
        """Whether the marker is there."""
        try:
            self.check_bound()
        except StorageFault:
            return False
        return True

    def failed(self, error: BaseException) -> None:
        """Note that it did not take what was written, unless it was just full."""
        if isinstance(error, StorageFault) and not isinstance(error, StorageFull):
            self.fault = f"The storage {self.backend.label} does not take what is written: {error.message}"

    def probe(self) -> None:
        """Try whether a storage that failed takes data again."""
        name = f"probe-{os.urandom(8).hex()}"
        try:
            self.backend.put(name, self.id)
            self.backend.delete(name)
        except RubackupError as error:
            if not isinstance(error, StorageFull):
                log.warning("%s/%s: %s", self.backend.label, name, error.message)
                return
        self.fault = ""

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        try:
            self.backend.size(name)
        except NotFound:
            return False
        return True

    def holds_files(self) -> bool:
        """Whether anything of the pool but the marker lies in the folder."""
        return any(next(self.backend.list(folder), None) is not None for folder in ("packs", "manifests", "clients"))

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
    spare: Callable[[], Storage | None] = lambda: None
    """The emergency storage, made when it is needed; None when there is none. StorageFault says why it cannot be used."""

    @property
    def regular(self) -> tuple[Storage, ...]:
        """Those that are no emergency storage."""
        return tuple(one for one in self.all if not one.emergency)

    def get(self, storage: bytes) -> Storage | None:
        """A folder by id; None when it does not belong to the pool now."""
        return next((one for one in self.all if one.id == storage), None)

    def room_for(self, size_bytes: int, *, emergency: bool = True) -> Storage:
        """The first folder, or the emptiest, that can take so much and keep the reserve; else the `emergency` one.

        Folders that are away are passed over. StorageFull names each folder; StorageFault when none can be used at all.
        """
        if not self.all:
            raise StorageFault("The pool has no storages.")
        told = [] if self.regular else ["none of the pool's own storages can be used now (pool_list says why)"]
        full = False
        best, most = None, -1
        for storage in self.regular:
            try:
                free = _free(storage)
            except StorageFault as error:
                told.append(error.message.rstrip("."))
                continue
            if free - size_bytes >= self.reserve_bytes and free > most:
                best, most = storage, free
                if not self.evenly:
                    break
            told.append(f"{storage.backend.label} has {free} bytes free")
            full = True
        if best is None and emergency:
            best = self._emergency(size_bytes, told)
        if best is not None:
            return best
        if not full:
            raise StorageFault("; ".join(told) + ".")
        raise StorageFull(
            f"There is no room left in the pool: {'; '.join(told)}; {self.reserve_bytes} bytes are kept in reserve.",
            reserve_bytes=self.reserve_bytes,
        )

    def _emergency(self, size_bytes: int, told: list[str]) -> Storage | None:
        try:
            storage = self.spare()
            free = _free(storage) if storage else 0
        except RubackupError as error:
            told.append(f"the emergency storage cannot be used: {error.message.rstrip('.')}")
            return None
        if storage is None:
            return None
        if free - size_bytes >= self.reserve_bytes:
            return storage
        told.append(f"the emergency storage {storage.backend.label} has {free} bytes free")
        return None

    def has_room(self, storage: Storage, size_bytes: int) -> bool:
        """Whether a folder can take so much and keep the reserve."""
        return storage.backend.space().free_bytes - size_bytes >= self.reserve_bytes

    def check_room(self, storage: Storage, size_bytes: int) -> None:
        """StorageFull unless this folder can take so much and keep the reserve."""
        if not self.has_room(storage, size_bytes):
            free = storage.backend.space().free_bytes
            raise StorageFull(
                f"There is no room left in the pool: {storage.backend.label} has {free} bytes free; "
                f"{self.reserve_bytes} bytes are kept in reserve.",
                reserve_bytes=self.reserve_bytes,
            )

    def space(self) -> Space:
        """Room in the regular folders that are there; those on one device are counted once."""
        found = {space.device: space for space in (one.backend.space() for one in self.regular if one.bound)}
        free = sum(space.free_bytes for space in found.values())
        return Space(free, sum(space.total_bytes for space in found.values()), "")


def _free(storage: Storage) -> int:
    """Free bytes of a storage; StorageFault when it is not there or does not take data."""
    if storage.fault:
        raise StorageFault(storage.fault)
    storage.check_bound()
    return storage.backend.space().free_bytes


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
        raise StorageFault(f"The storage {backend.label} belongs to another pool ({owner.hex()}).")
    if any(other.id == storage for other in taken):
        raise StorageFault(f"The storage {backend.label} is given twice, or is a copy of another one of the pool.")
    return Storage(storage, backend)


@dataclass
class Bound:
    """What became of the folders that a pool was given."""

    storages: list[Storage] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Folders that never belonged to the pool and cannot be used, with the reason."""
    away: dict[str, str] = field(default_factory=dict)
    """Folders that belong to it, and are not there."""


def bind_all(
    locations: Sequence[Location],
    open_at: Callable[[Location], Backend],
    pool: bytes,
    known: dict[bytes, str],
    *,
    fresh: bool,
) -> Bound:
    """The places as storages; one that cannot be used is left out, and said to be away when the pool is known to have it.

    StorageFault when none can be used, and for any that cannot while the index is `fresh`: nobody can tell then which
    copies it held.
    """
    found = Bound()
    reasons: dict[str, str] = {}
    for location in locations:
        try:
            found.storages.append(bind(open_at(location), pool, known, found.storages))
        except RubackupError as error:
            if fresh:
                raise
            reasons[location.label] = error.message
    there = {storage.id for storage in found.storages}
    lost = {path for storage, path in known.items() if storage not in there}
    for label, reason in reasons.items():
        log.error("a storage cannot be used: %s", reason)
        if label in lost:
            found.away[label] = reason
        else:
            found.left_out[label] = f"The storage never belonged to the pool and is left out: {reason}"
    if reasons and not found.storages:
        raise StorageFault(" ".join([*found.away.values(), *found.left_out.values()]))
    return found


def _mark(backend: Backend, pool: bytes, known: dict[bytes, str]) -> Storage:
    former = next((name for name, path in known.items() if path == backend.label), None)
    item = next((item for item in backend.list("packs") if not item.name.endswith(pack.HASHES)), None)
    if item is None:
        if former is not None:
            raise StorageFault(f"The storage {backend.label} has lost its marker: is its disk mounted?")
    elif not _is_ours(backend, item.name, pool):
        raise StorageFault(f"The storage {backend.label} holds packs of another pool.")
    storage = former or os.urandom(16)
    backend.put(MARKER, f"rubackup pool 0 {pool.hex()} {storage.hex()}\n".encode())
    return Storage(storage, backend)


def _is_ours(backend: Backend, name: str, pool: bytes) -> bool:
    try:
        return pack.parse_header(backend.read(name, 0, pack.HEADER_BYTES)).pool == pool
    except Corrupt:
        return False
