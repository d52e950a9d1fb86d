"""Gives a manifest another header, as a copy in another pool needs: its own record and parent.

Entries and chunk table are taken over byte for byte, in their order. A header of another length moves
everything behind it, so the index, the table of segments and the trailer are written anew.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable

import msgspec

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Frame, Header, IndexRow, Summary, Trailer
from rubackup.chunkstore.manifest.frames import FrameStream
from rubackup.domain.errors import Corrupt

_MAX_LEVELS = 8


def rewrite_manifest(
    read_at: Callable[[int, int], bytes],
    size: int,
    change: Callable[[Header], Header],
    sink: Callable[[bytes], None],
) -> Summary:
    """Write the manifest that `read_at` reads to `sink`, with the header that `change` makes of its own.

    Every frame's sum is checked on the way; Corrupt when one is damaged. The result is checked when it is sealed.
    """
    return _Rewrite(FrameStream(read_at, size), sink).run(change)


class _Rewrite:
    def __init__(self, stream: FrameStream, sink: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._sink = sink
        self._at = 0
        self._segments = array("Q")
        self._places: list[list[tuple[int, int]]] = []
        """By level: new offset and length of what the next index frame of that level names, in order."""

    def run(self, change: Callable[[Header], Header]) -> Summary:
        self._write(fmt.MAGIC)
        at = self._stream.at
        _, raw = self._stream.next(b"H")
        header = change(fmt.decode(fmt.headers, raw, at))
        self._frame(b"H", fmt.encoder.encode(header), 0, 0, None)
        while (kind := self._stream.peek().kind) in b"ERI":
            at = self._stream.at
            frame, raw, stored = self._stream.next_stored(kind)
            if kind == b"I":
                self._index(frame, raw, at)
            else:
                place = self._write(stored)
                if kind == b"E":
                    self._named(0, place)
                else:
                    self._segments.append(place[0])
        segments_at = self._table()
        return self._end(segments_at)

    def _write(self, data: bytes) -> tuple[int, int]:
        offset = self._at
        self._sink(data)
        self._at += len(data)
        return offset, len(data)

    def _frame(self, kind: bytes, raw: bytes, count: int, number: int, level: int | None) -> tuple[int, int]:
        return self._write(fmt.pack_frame(kind, raw, count=count, number=number, level=level))

    def _named(self, level: int, place: tuple[int, int]) -> None:
        """The next index frame of this level has a row for what was just written."""
        if level == len(self._places):
            self._places.append([])
        self._places[level].append(place)

    def _index(self, frame: Frame, raw: memoryview, at: int) -> None:
        rows = fmt.decode(fmt.index_rows, raw, at)
        level = frame.number
        if level > _MAX_LEVELS or level >= len(self._places) or len(rows) != len(self._places[level]):
            raise Corrupt(f"The manifest's index is damaged at byte {at}.")
        moved = [
            IndexRow(row.path, row.first, row.name, offset, length)
            for row, (offset, length) in zip(rows, self._places[level], strict=True)
        ]
        self._places[level] = []
        self._named(level + 1, self._frame(b"I", fmt.encoder.encode(moved), len(moved), level, fmt.LEVEL))

    def _table(self) -> int:
        """The table of segments; where it begins."""
        while self._stream.peek().kind == b"O":
            self._stream.next(b"O")
        begin = self._at
        for first in range(0, len(self._segments), fmt.OFFSETS_PER_FRAME):
            part = self._segments[first : first + fmt.OFFSETS_PER_FRAME]
            self._frame(b"O", struct.pack(f"<{len(part)}Q", *part), len(part), first, None)
        return begin

    def _end(self, segments_at: int) -> Summary:
        at = self._stream.at
        _, raw = self._stream.next(b"T")
        self._stream.finish(at)
        old = fmt.decode(fmt.trailers, raw, at)
        root_at, root_length = self._root(old.levels, at)
        trailer: Trailer = msgspec.structs.replace(
            old, segments_at=segments_at, root_at=root_at, root_length=root_length
        )
        place = self._frame(b"T", fmt.encoder.encode(trailer), 0, 0, None)
        self._write(fmt.FOOTER.pack(place[0], fmt.END))
        return trailer.summary

    def _root(self, levels: int, at: int) -> tuple[int, int]:
        if not levels:
            return 0, 0
        if not 0 < levels < len(self._places) or len(self._places[levels]) != 1:
            raise Corrupt(f"The manifest's trailer at byte {at} does not fit its content.")
        return self._places[levels][0]
