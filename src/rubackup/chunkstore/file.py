"""One regular file of a record, any range of it, without reading the rest of the copy.

Finding it costs two or three blocks of the manifest and the rows of the file; a range costs the groups that hold its
chunks. Every chunk is hashed before a byte of it is given. Design: `docs/design/chunkstore.md`, A single file.
"""

from __future__ import annotations

import struct
import threading
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore.group import Group
from rubackup.chunkstore.identity import HOLE, chunk_id
from rubackup.chunkstore.index import Index, Place
from rubackup.chunkstore.manifest import Entry, EntryType, ManifestReader
from rubackup.domain.errors import Corrupt, Invalid, NotFound
from rubackup.domain.filenames import printable

MAX_READ: Final = 4 << 20
_BLOCK_ROWS: Final = 1820
"""Rows of the file between two offsets that are remembered: 64 KiB of the manifest."""
_GROUPS: Final = 2
"""Groups that are kept between two reads, as chunks of one group mostly follow one another."""
_KINDS: Final = {
    EntryType.FOLDER: "a folder",
    EntryType.SYMLINK: "a symbolic link",
    EntryType.FIFO: "a pipe",
    EntryType.SOCKET: "a socket",
    EntryType.CHAR: "a device",
    EntryType.BLOCK: "a device",
}


class Piece(NamedTuple):
    """A part of a chunk that is wanted."""

    row: int
    """Its number in the record's chunk table."""
    name: bytes
    chunk_bytes: int
    begin: int
    end: int


class FileRanges(ABC):
    """A file of a record, wherever its chunks come from. Safe for threads."""

    def __init__(self, reader: ManifestReader, *paths: bytes) -> None:
        """Of the first of the paths that the record has; NotFound, with the reason, unless it is a regular file."""
        self._reader = reader
        self._lock = threading.Lock()
        self.entry = _find(reader, next((one for one in paths[:-1] if reader.find(one) is not None), paths[-1]))
        self._starts = array("Q")
        total, tag = 0, blake3()
        for rows in self._blocks():
            self._starts.append(total)
            lengths = [length for _, length in rows]
            tag.update(b"".join([name for name, _ in rows]))
            tag.update(struct.pack(f"<{len(lengths)}I", *lengths))
            total += sum(lengths)
        self.size_bytes = total
        """Length of the content as it was read; the entry's size is what the file system told."""
        self.tag = tag.hexdigest()[:32]
        """The same for the same chunks, so for the same content."""
        self._block: tuple[int, Sequence[tuple[bytes, int]]] = (-1, ())

    def _blocks(self) -> Iterator[list[tuple[bytes, int]]]:
        for first in range(0, self.entry.rows, _BLOCK_ROWS):
            yield self._reader.rows(self.entry.first_row + first, min(_BLOCK_ROWS, self.entry.rows - first))

    def read(self, offset: int, length: int) -> bytes:
        """A range, cut at the end of the file; Corrupt names the damaged place, Invalid when it is too much at once."""
        with self._lock:
            return b"".join(self._contents(self._wanted(offset, length)))

    def read_to_hole(self, offset: int, length: int) -> tuple[bytes, int]:
        """As `read`, but a hole at the end of the range is told by its length, not filled.

        It counts beyond the range as far as its row goes, so a hole of any size is told by a few calls.
        """
        with self._lock:
            pieces = self._wanted(offset, length)
            hole = 0
            if pieces and pieces[-1].name == HOLE:
                hole = pieces[-1].chunk_bytes - pieces[-1].end
            while pieces and pieces[-1].name == HOLE:
                piece = pieces.pop()
                hole += piece.end - piece.begin
            return b"".join(self._contents(pieces)), hole

    @abstractmethod
    def _contents(self, pieces: Sequence[Piece]) -> Iterable[bytes | memoryview]:
        """The bytes of each piece, hashed; Corrupt names what is damaged."""

    def _wanted(self, offset: int, length: int) -> list[Piece]:
        if offset < 0 or not 0 <= length <= MAX_READ:
            raise Invalid(f"A file of a copy is read in parts of at most {MAX_READ} bytes.")
        return list(self._pieces(offset, min(offset + length, self.size_bytes)))

    def _pieces(self, begin: int, end: int) -> Iterator[Piece]:
        """The parts of chunks and holes between two offsets, in order."""
        if begin >= end:
            return
        number = bisect_right(self._starts, begin) - 1
        at = self._starts[number]
        while at < end:
            row = self.entry.first_row + number * _BLOCK_ROWS
            for place, (name, length) in enumerate(self._rows(number), row):
                if at + length > begin and at < end:
                    yield Piece(place, name, length, max(begin - at, 0), min(end - at, length))
                at += length
            number += 1

    def _rows(self, number: int) -> Sequence[tuple[bytes, int]]:
        if self._block[0] != number:
            first = number * _BLOCK_ROWS
            rows = self._reader.rows(self.entry.first_row + first, min(_BLOCK_ROWS, self.entry.rows - first))
            self._block = (number, rows)
        return self._block[1]


class RecordFile(FileRanges):
    """A file in a pool. Memory is that of two groups and 8 bytes for each 1,820 chunks."""

    def __init__(self, reader: ManifestReader, index: Index, groups: GroupReader, *paths: bytes) -> None:
        """As of FileRanges."""
        super().__init__(reader, *paths)
        self._index, self._groups = index, groups
        self._recent: OrderedDict[Spot, Group] = OrderedDict()

    def _contents(self, pieces: Sequence[Piece]) -> Iterable[bytes | memoryview]:
        found = self._index.places({piece.name for piece in pieces if piece.name != HOLE})
        return [self._bytes(piece, found) for piece in pieces]

    def _bytes(self, piece: Piece, found: dict[bytes, bytes]) -> bytes | memoryview:
        if piece.name == HOLE:
            return bytes(piece.end - piece.begin)
        value = found.get(piece.name)
        if value is None:
            raise Corrupt(f"Chunk {piece.name.hex()} is not in the pool any more.")
        place = Place.decode(value)
        spot = Spot(place.pack, place.offset, place.group_bytes)
        stored = self._group(spot)
        try:
            chunk = stored.chunk(stored.ids.index(piece.name))
        except ValueError:
            raise Corrupt(self._groups.misplaced(spot, "does not hold the chunk that is looked for there.")) from None
        if chunk_id(chunk) != piece.name:
            raise Corrupt(self._groups.condemn(spot, f"chunk {piece.name.hex()} does not have its content."))
        if len(chunk) != piece.chunk_bytes:
            raise Corrupt(f"The manifest gives chunk {piece.name.hex()} a wrong length.")
        return chunk[piece.begin : piece.end]

    def _group(self, spot: Spot) -> Group:
        stored = self._recent.pop(spot, None) or self._groups.decoded(spot)
        self._recent[spot] = stored
        if len(self._recent) > _GROUPS:
            self._recent.popitem(last=False)
        return stored


def _find(reader: ManifestReader, path: bytes) -> Entry:
    shown = printable(path)
    entry = reader.find(path) if path != b"/" else None
    if entry is None:
        raise NotFound(f"{shown} is a folder, not a file." if path == b"/" else f"The copy has no file {shown}.")
    if entry.type != EntryType.FILE:
        raise NotFound(f"{shown} is {_KINDS[EntryType(entry.type)]}, not a file.")
    if entry.hardlink and not entry.rows:
        first = reader.find(entry.hardlink)
        if first is not None and first.type == EntryType.FILE and not first.hardlink:
            return first
    return entry
