"""Finds and reads stored groups for everyone who reads: restore, verification, proofs.

What is read is judged here: a group that is damaged is remembered, so that its chunks are asked for again; and
where the pack itself shows that the index has sent us to a wrong place, the index is suspected instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, NoReturn, TypeVar

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.oserrors import is_bad_sector
from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.index import Index, PackRow, Place
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import Busy, Corrupt, NotFound, RubackupError, StorageFault

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Spot(NamedTuple):
    """Where a group is; spots sort in the order in which they are best read."""

    pack: int
    offset: int
    length: int


class GroupReader:
    """Reads groups and remembers damage, so that lost chunks are asked for again. Safe for threads."""

    def __init__(self, index: Index, storages: Callable[[], Storages]) -> None:
        self._index = index
        self._storages = storages

    @property
    def at_once(self) -> int:
        """So many groups are best read at a time."""
        return max((one.backend.capabilities.reads_at_once for one in self._storages().all), default=1)

    def stored(self, spot: Spot) -> tuple[bytes, Head]:
        """A stored group and its header, its sums checked; Corrupt names the pack's file and the offset."""
        return self._checked(spot, spot.length, _stored)

    def uploader(self, spot: Spot) -> str:
        """Who sent the groups of a pack, as its header says; '' when the header cannot be read, or is of another pack."""
        row = self._row(self._now(spot))
        storage = self._storages().get(row.storage)
        if storage is None:
            return ""
        try:
            header = pack.parse_header(_read(storage.backend, row.id, 0, pack.HEADER_BYTES))
        except (Corrupt, NotFound, StorageFault):
            return ""
        return header.owner if header.pack == row.id else ""

    def decoded(self, spot: Spot) -> Group:
        """A group's chunks, its sums checked and its ids not; Corrupt names the pack's file and the offset."""
        return self._checked(spot, spot.length, group.decode)

    def head(self, spot: Spot) -> Head:
        """A group's header, checked by its own sum, without the content."""
        return self._checked(spot, min(spot.length, _HEAD_BYTES), group.read_head)

    def check_length(self, name: bytes, place: Place) -> None:
        """Busy, and the index suspected, when the group says that the chunk has another length than its place."""
        head = self.head(Spot(place.pack, place.offset, place.group_bytes))
        if name in head.ids and head.lengths[head.ids.index(name)] != place.chunk_bytes:
            self._index.suspect(f"The index gives chunk {name.hex()} a wrong length.")
            raise Busy("The index of the pool is wrong and is rebuilt; try again.")

    def condemn(self, spot: Spot, reason: str) -> str:
        """Mark a group as damaged; a sentence that names its place."""
        self._index.mark_bad(spot.pack, spot.offset)
        return f"Pack {self._label(self._row(spot))} is damaged at offset {spot.offset}: {reason}"

    def misplaced(self, spot: Spot, reason: str) -> str:
        """Suspect the index, as the group is whole; a sentence that names the place."""
        text = f"The group at offset {spot.offset} of pack {self._label(self._row(spot))} {reason}"
        if not self._index.suspect(text):  # so that the chunks are asked for again
            self._index.mark_bad(spot.pack, spot.offset)
        return text

    def home(self, spot: Spot) -> tuple[Spot, PackRow, Storage | None]:
        """Where a group is now, its pack, and the storage of that; None when it is not configured. Corrupt."""
        spot = self._now(spot)
        row = self._row(spot)
        return spot, row, self._storages().get(row.storage)

    def sealed(self, spot: Spot) -> Head:
        """An encrypted group's header; both sums are right."""
        return self._checked(spot, spot.length, group.check_stored)

    def _checked(self, spot: Spot, length: int, check: Callable[[bytes], _T]) -> _T:
        spot = self._now(spot)
        row = self._row(spot)
        storage = self._storages().get(row.storage)
        if storage is None:
            raise StorageFault(f"Pack {row.id.hex()} lies in a storage that is not configured now.")
        try:
            return check(_read(storage.backend, row.id, spot.offset, length))
        except (Corrupt, NotFound, StorageFault) as error:
            elsewhere = self._elsewhere(storage, lambda backend: check(_read(backend, row.id, spot.offset, length)))
            if elsewhere is not None:
                log.warning("pack %s, offset %d: %s", self._label(row), spot.offset, error.message)
                return elsewhere
            self._judge(storage, row, spot, error)

    def _elsewhere(self, storage: Storage, read: Callable[[Backend], _T]) -> _T | None:
        """What another storage gives: packs may have been copied there, and one whole copy of a group is enough."""
        for other in self._storages().all:
            if other is not storage:
                with suppress(Corrupt, NotFound, StorageFault):
                    return read(other.backend)
        return None

    def _judge(self, storage: Storage, row: PackRow, spot: Spot, error: RubackupError) -> NoReturn:
        """No storage has the group whole: note why, and say it."""
        if isinstance(error, NotFound):
            storage.check_bound()
            self._index.mark_missing(spot.pack)
            raise Corrupt(f"Pack {self._label(row)} is missing.") from None
        if isinstance(error, Corrupt):
            self._blame(storage.backend, row, spot, error)
        # A sector that cannot be read is damage to this group, and no reason to stop reading others.
        if not isinstance(error, StorageFault) or not is_bad_sector(error):
            raise error
        raise Corrupt(self.condemn(spot, error.message)) from error

    def _now(self, spot: Spot) -> Spot:
        """A group that garbage collection moved since it was looked up is read where it is now."""
        while (moved := self._index.marks.moved(spot.pack, spot.offset)) is not None:
            spot = Spot(*moved, spot.length)
        return spot

    def _blame(self, backend: Backend, row: PackRow, spot: Spot, error: Corrupt) -> NoReturn:
        """Damage at a place where the pack has no group is the index's; else the group's."""
        listed = _listed(backend, row)
        if listed and (spot.offset, spot.length) not in listed:
            text = self.misplaced(spot, "is none that the pack lists: the index is wrong and is rebuilt.")
            raise Corrupt(text) from error
        raise Corrupt(self.condemn(spot, error.message)) from error

    def _row(self, spot: Spot) -> PackRow:
        row = self._index.pack(spot.pack)
        if row is None:
            text = f"The index names a pack {spot.pack} that it does not know."
            self._index.suspect(text)
            raise Corrupt(text)
        return row

    def _label(self, row: PackRow) -> str:
        storage = self._storages().get(row.storage)
        return f"{storage.backend.label if storage else '?'}/{pack.closed_name(row.id)}"


_HEAD_BYTES = group.HEAD_BYTES + group.EXTENSION_BYTES + group.ROW_BYTES * group.MAX_CHUNKS


def _stored(data: bytes) -> tuple[bytes, Head]:
    return data, group.check_stored(data)


def _listed(backend: Backend, row: PackRow) -> set[tuple[int, int]]:
    """Offset and length of each group that a closed pack lists; empty when it cannot speak for itself."""
    name = pack.closed_name(row.id)
    try:
        if pack.parse_header(backend.read(name, 0, pack.HEADER_BYTES)).pack != row.id:
            return set()
        return {(one.offset, one.length) for one in pack.read_extents(backend, name)}
    except (Corrupt, NotFound, StorageFault):
        return set()


def _read(backend: Backend, name: bytes, offset: int, length: int) -> bytes:
    if length > group.MAX_GROUP_BYTES:
        raise Corrupt("The index names a group that is too long.")
    # A pack may be closed, that is renamed, between two attempts.
    for file in (pack.closed_name(name), pack.open_name(name)):
        try:
            return backend.read(file, offset, length)
        except NotFound:
            continue
    return backend.read(pack.closed_name(name), offset, length)
