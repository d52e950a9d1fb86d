"""Whether a sealed record is whole, as far as the index and the packs' lengths tell, at the price of its packs.

A backup takes parts of its parent over without looking their chunks up: that is right as long as nothing of the parent
was lost. Each record's packs stand in the index. When one of them is not as it was, every chunk is looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from rubackup.chunkstore import _zstd
from rubackup.chunkstore._presence import Presence, file_size
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import SEGMENT_ROWS
from rubackup.chunkstore.storage import Storages
from rubackup.domain.errors import Corrupt

log = logging.getLogger(__name__)
_MAX_BYTES = 1 << 29  # every pack number has 32 bits
_LEVEL = 1


class PackSet:
    """Numbers of packs, a bit each: a record of 100 TB names about three million."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._bits = bytearray()
        self.update(numbers)

    def update(self, numbers: Iterable[int]) -> None:
        """Add these."""
        for number in numbers:
            at = number >> 3
            if at >= len(self._bits):
                self._bits.extend(bytes(at + 1 - len(self._bits)))
            self._bits[at] |= 1 << (number & 7)

    def merge(self, other: PackSet) -> None:
        """Add those of another set."""
        size = max(len(self._bits), len(other._bits))
        both = int.from_bytes(self._bits, "little") | int.from_bytes(other._bits, "little")
        self._bits = bytearray(both.to_bytes(size, "little"))

    def __iter__(self) -> Iterator[int]:
        """Ascending."""
        for at, bits in enumerate(self._bits):
            if bits:
                yield from (8 * at + bit for bit in range(8) if bits >> bit & 1)

    def encode(self) -> bytes:
        """As the index keeps it: one byte codec, four bytes length, the bits."""
        codec, payload = _zstd.pack(bytes(self._bits), _LEVEL)
        return bytes((codec,)) + len(self._bits).to_bytes(4, "little") + payload

    @classmethod
    def decode(cls, value: bytes) -> PackSet:
        """Corrupt when it is no such value."""
        size = int.from_bytes(value[1:5], "little")
        if len(value) < 5 or value[0] > _zstd.ZSTD or size > _MAX_BYTES:
            raise Corrupt("The packs of a record are damaged in the index.")
        found = cls()
        found._bits = bytearray(_zstd.unpack(value[5:], value[0], size))
        return found


def whole_packs(
    index: Index, storages: Callable[[], Storages], record: str, reader: Callable[[], ManifestReader]
) -> PackSet | None:
    """The packs that hold the chunks of a sealed record; None when one of these is lost.

    `reader` gives its manifest, which is read only where the packs that the index names are not as they were.
    """
    known = _known(index, record)
    if known is not None and all(_is_whole(index, storages(), number) for number in known):
        return known
    found = _look_up(index, storages, reader())
    if found is not None:
        index.put_record_packs(record, found.encode())
    return found


def _known(index: Index, record: str) -> PackSet | None:
    value = index.record_packs(record)
    try:
        return PackSet.decode(value) if value is not None else None
    except Corrupt as error:
        log.warning("record %s: %s They are looked up.", record, error.message)
        return None


def _is_whole(index: Index, storages: Storages, number: int) -> bool:
    row = index.whole_pack(number)
    storage = storages.get(row.storage) if row else None
    return row is not None and storage is not None and file_size(storage.backend, row) >= row.indexed_bytes


def _look_up(index: Index, storages: Callable[[], Storages], reader: ManifestReader) -> PackSet | None:
    presence = Presence(index, storages)
    packs = PackSet()
    for first in range(0, reader.row_count, SEGMENT_ROWS):
        names = {name for name, _ in reader.rows(first, min(SEGMENT_ROWS, reader.row_count - first))}
        names.discard(HOLE)
        found = index.lookup(names)
        if len(found) < len(names) or not all(map(presence.holds, found.values())):
            return None
        packs.update(packs_in(found.values()))
    return packs


def packs_in(places: Iterable[bytes]) -> set[int]:
    """The packs that encoded places are in."""
    return {int.from_bytes(number, "little") for number in {value[:4] for value in places}}
