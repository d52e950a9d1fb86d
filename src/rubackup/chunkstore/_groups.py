"""Finds and reads stored groups for everyone who reads: restore, verification, proofs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.storage import Storages
from rubackup.domain.errors import Corrupt, NotFound, StorageFault


class Spot(NamedTuple):
    """Where a group is; spots sort in the order in which they are best read."""

    pack: int
    offset: int
    length: int


class GroupReader:
    """Reads groups and remembers damage, so that lost chunks are asked for again."""

    def __init__(self, index: Index, storages: Callable[[], Storages]) -> None:
        self._index = index
        self._storages = storages

    def read(self, spot: Spot) -> bytes:
        """A stored group, its sums checked; Corrupt names the pack's file and the offset.

        A group that garbage collection moved since it was looked up is read where it is now.
        """
        try:
            return self._read_there(spot)
        except (Corrupt, StorageFault):
            moved = self._index.marks.moved(spot.pack, spot.offset)
            if moved is None:
                raise
        return self.read(Spot(*moved, spot.length))

    def _read_there(self, spot: Spot) -> bytes:
        row = self._index.pack(spot.pack)
        if row is None:
            raise Corrupt(f"The index names a pack {spot.pack} that it does not know.")
        storage = self._storages().get(row.storage)
        if storage is None:
            raise StorageFault(f"Pack {row.id.hex()} lies in a storage that is not configured now.")
        label = f"{storage.backend.label}/{pack.closed_name(row.id)}"
        try:
            data = self._read(storage.backend, row.id, spot)
            group.check_stored(data)
        except NotFound:
            self._index.mark_missing(spot.pack)
            raise Corrupt(f"Pack {label} is missing.") from None
        except Corrupt as error:
            self._index.mark_bad(spot.pack, spot.offset)
            raise Corrupt(f"Pack {label} is damaged at offset {spot.offset}: {error.message}") from error
        return data

    @staticmethod
    def _read(backend: Backend, name: bytes, spot: Spot) -> bytes:
        if spot.length > group.MAX_GROUP_BYTES:
            raise Corrupt("The index names a group that is too long.")
        # A pack may be closed, that is renamed, between two attempts.
        for file in (pack.closed_name(name), pack.open_name(name)):
            try:
                return backend.read(file, spot.offset, spot.length)
            except NotFound:
                continue
        return backend.read(pack.closed_name(name), spot.offset, spot.length)
