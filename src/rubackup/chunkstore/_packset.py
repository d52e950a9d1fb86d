"""A set of packs by number, as the index keeps it for each record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rubackup.chunkstore import _zstd
from rubackup.domain.errors import Corrupt

_MAX_BYTES: Final = 1 << 29  # every pack number has 32 bits
_LEVEL: Final = 1


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

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (number & 7) & 1)

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
