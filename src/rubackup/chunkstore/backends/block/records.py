"""Records of a device's directory: changes of names, each record in blocks of its own and with its own sum.

Byte table: `docs/design/pools.md`, Block devices.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.chunkstore.backends.block import names
from rubackup.chunkstore.backends.block.layout import BLOCK
from rubackup.chunkstore.backends.block.space import Extent
from rubackup.domain.errors import Corrupt

MAGIC: Final = b"RBDR"
CHANGE, PART, END = 1, 2, 3
"""Kinds: changes of names; names of a checkpoint; the end of a checkpoint."""
_HEAD = struct.Struct("<4sB3xIQQ4x32s")
_SUMMED: Final = _HEAD.size - 32
PAYLOAD: Final = BLOCK - _HEAD.size
_SET, _REMOVE = 1, 2
_NAME = struct.Struct("<BH")
_FILE = struct.Struct("<QI")
_EXTENT = struct.Struct("<QI")
_END = struct.Struct("<Q")
_WINDOW: Final = 256
"""Blocks that are read at once."""


class Entry(NamedTuple):
    """A file: its length and where it lies."""

    size_bytes: int
    extents: tuple[Extent, ...]

    def encode(self) -> bytes:
        """Its bytes in a record."""
        return _FILE.pack(self.size_bytes, len(self.extents)) + b"".join([_EXTENT.pack(*one) for one in self.extents])


def decode(data: bytes) -> Entry:
    """The file of these bytes."""
    return Entry(_FILE.unpack_from(data)[0], tuple(_EXTENT.iter_unpack(data[_FILE.size :])))


def size_of(data: bytes) -> int:
    """The length of the file of these bytes."""
    return int(_FILE.unpack_from(data)[0])


def extents_of(data: bytes) -> Iterator[Extent]:
    """Where the file of these bytes lies."""
    return _EXTENT.iter_unpack(data[_FILE.size :])


class Change(NamedTuple):
    """A name that is there from now on, or gone."""

    name: str
    entry: Entry | None

    def encode(self) -> bytes:
        """Its bytes in a record."""
        return row(names.shorten(self.name), None if self.entry is None else self.entry.encode())


def row(name: bytes, entry: bytes | None) -> bytes:
    """A stored name, and the bytes of its file, in a record."""
    return _NAME.pack(_REMOVE if entry is None else _SET, len(name)) + name + (entry or b"")


def row_bytes(name: str, extents: int) -> int:
    """What a file takes in a record."""
    return _NAME.size + len(names.shorten(name)) + _FILE.size + _EXTENT.size * extents


class Record(NamedTuple):
    """One of the directory's records."""

    kind: int
    number: int
    """Within its half, from 0."""
    payload: bytes

    def rows(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Stored names, and the bytes of their files; Corrupt when they make no sense."""
        data, at = self.payload, 0
        while at + _NAME.size <= len(data):
            kind, length = _NAME.unpack_from(data, at)
            at += _NAME.size + length
            name = data[at - length : at]
            if kind == _REMOVE and length:
                yield name, None
                continue
            end = at + _FILE.size
            if kind == _SET and length and end <= len(data):
                end += _FILE.unpack_from(data, at)[1] * _EXTENT.size
                if end <= len(data):
                    yield name, data[at:end]
                    at = end
                    continue
            raise Corrupt("A record of the directory makes no sense.")
        if at != len(data):
            raise Corrupt("A record of the directory makes no sense.")

    @property
    def names(self) -> int:
        """Of an END: the names of its checkpoint."""
        return int(_END.unpack(self.payload)[0])


def encode(kind: int, number: int, payload: bytes, generation: int, epoch: bytes) -> bytes:
    """A record, in whole blocks."""
    head = _HEAD.pack(MAGIC, kind, len(payload), number, generation, bytes(32))[:_SUMMED]
    data = head + blake3(epoch).update(head).update(payload).digest() + payload
    return data + bytes(-len(data) % BLOCK)


def blocks_of(payload_bytes: int) -> int:
    """Blocks of a record with such a payload."""
    return -(-(_HEAD.size + payload_bytes) // BLOCK)


def checkpoint(rows: Iterable[bytes], generation: int, epoch: bytes) -> Iterator[bytes]:
    """The records of a checkpoint; a name lies in one record, and a record in one block unless the name needs more."""
    number = count = size = 0
    waiting: list[bytes] = []
    for more in rows:
        count += 1
        size += len(more)
        if waiting and size > PAYLOAD:
            yield encode(PART, number, b"".join(waiting), generation, epoch)
            number, size, waiting = number + 1, len(more), []
        waiting.append(more)
    if waiting:
        yield encode(PART, number, b"".join(waiting), generation, epoch)
        number += 1
    yield encode(END, number, _END.pack(count), generation, epoch)


Read = Callable[[int, int], bytes]
"""Offset and length within the half; fewer bytes beyond its end."""


class Walk:
    """The records of a half, over whatever is damaged between them."""

    def __init__(self, read: Read, blocks: int, generation: int, epoch: bytes) -> None:
        self._read, self.limit = read, blocks
        """Blocks to look at; the caller may lower it."""
        self._generation, self._epoch = generation, epoch
        self._window, self._at = b"", 0
        self.next_block = 0
        """Behind the last whole record."""
        self.damaged: list[int] = []
        """Blocks before it that belong to no whole record."""

    def records(self) -> Iterator[Record]:
        """Every whole record, in order."""
        block, bad = 0, []
        while block < self.limit:
            record = self._record(block)
            if record is None:
                bad.append(block)
                block += 1
                continue
            self.damaged += bad
            bad = []
            block += blocks_of(len(record.payload))
            self.next_block = block
            yield record

    def _record(self, block: int) -> Record | None:
        head = self._bytes(block * BLOCK, _HEAD.size)
        if len(head) < _HEAD.size:
            return None
        magic, kind, length, number, generation, total = _HEAD.unpack(head)
        if magic != MAGIC or generation != self._generation or block + blocks_of(length) > self.limit:
            return None
        payload = self._bytes(block * BLOCK + _HEAD.size, length)
        if blake3(self._epoch).update(head[:_SUMMED]).update(payload).digest() != total:
            return None
        return Record(kind, number, payload)

    def _bytes(self, offset: int, length: int) -> bytes:
        if length > _WINDOW * BLOCK:
            return self._read(offset, length)
        if not self._at <= offset <= offset + length <= self._at + len(self._window):
            self._at = offset - offset % BLOCK
            self._window = self._read(self._at, _WINDOW * BLOCK + BLOCK)
        return self._window[offset - self._at : offset - self._at + length]
