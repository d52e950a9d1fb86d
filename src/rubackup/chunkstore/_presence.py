"""Whether groups are still on their storages, as far as a look at the packs' lengths tells.

A backup may only build on what is there: a pack that was deleted or cut off behind our back
is noticed when a session first names it, and once more when the session seals.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Backend, Item
from rubackup.chunkstore.index import Index, PackRow
from rubackup.chunkstore.storage import Storages
from rubackup.domain.errors import NotFound

log = logging.getLogger(__name__)
_SPOT: Final = struct.Struct("<III")
"""Pack, offset and length of the group: the beginning of a place in the index."""


class Presence:
    """Looks at each pack once, and again when a group is said to lie behind the end that was seen."""

    def __init__(self, index: Index, storages: Callable[[], Storages]) -> None:
        self._index = index
        self._storages = storages
        self._sizes: dict[int, int] = {}

    def holds(self, place: bytes) -> bool:
        """Whether the group of an encoded place lies within its pack; if not, its chunks count as unknown."""
        number, offset, length = _SPOT.unpack_from(place)
        end = offset + length
        if self._sizes.get(number, -1) >= end:
            return True
        size = self._sizes[number] = self._size(number)
        if size >= end:
            return True
        if size:
            self._index.mark_bad(number, offset)
        else:
            self._index.mark_missing(number)
        return False

    def _size(self, number: int) -> int:
        """Length of a pack's file; 0 when it is not there."""
        row = self._index.pack(number)
        storage = self._storages().get(row.storage) if row else None
        size = file_size(storage.backend, row) if row and storage else 0
        if storage is not None and not size and not storage.bound:  # noted: the pack may be back with its folder
            log.warning("pack number %d is away with %s", number, storage.backend.label)
        return size


def closed_or_open(backend: Backend, row: PackRow) -> str:
    """Name of a pack's file; NotFound when it is neither."""
    return _find(backend, row).name


def file_size(backend: Backend, row: PackRow) -> int:
    """Length of a pack's file, open or closed; 0 when it is neither."""
    try:
        return _find(backend, row).size_bytes
    except NotFound:
        return 0


def _find(backend: Backend, row: PackRow) -> Item:
    for name in (pack.closed_name(row.id), pack.open_name(row.id)):
        try:
            return Item(name, backend.size(name))
        except NotFound:
            continue
    # It may have been closed, that is renamed, between the two looks.
    return Item(pack.closed_name(row.id), backend.size(pack.closed_name(row.id)))
