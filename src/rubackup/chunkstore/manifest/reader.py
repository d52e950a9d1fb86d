"""Reads a manifest through any function that reads a range: a file, or the wire.

A folder or one entry costs the index frames on the way (one or two), and one block; row n of
the chunk table one look-up and one segment. Nothing is ever held whole.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.check import check_manifest
from rubackup.chunkstore.manifest.format import Entry, Header, IndexRow, Run, Summary
from rubackup.domain.errors import Corrupt, NotFound

ReadAt = Callable[[int, int], bytes]
_END_BYTES: Final = 4096  # read at both ends at once: header and trailer mostly fit
_AHEAD_BYTES: Final = 1 << 20
_SPAN_BYTES: Final = 4 << 20
MAX_LEVELS: Final = 8
_LAST: Final = 1 << 64

_V = TypeVar("_V")


class _Recent(Generic[_V]):
    """The last few values, by offset."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[int, _V] = OrderedDict()

    def get(self, key: int) -> _V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: int, value: _V) -> None:
        self._values[key] = value
        if len(self._values) > self._size:
            self._values.popitem(last=False)


class ManifestReader:
    """A manifest of `size` bytes; Corrupt names the byte where it is damaged. Not to be shared by threads."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self._read_at = read_at
        self.size = size
        if size < len(fmt.MAGIC) + 2 * fmt.FRAME_BYTES + fmt.FOOTER.size:
            raise Corrupt(f"A manifest cannot have {size} bytes.")
        self._window: tuple[int, bytes] = (0, read_at(0, min(size, _END_BYTES)))
        if self._window[1][: len(fmt.MAGIC)] != fmt.MAGIC:
            raise Corrupt("This is no manifest of a known version.")
        self.header: Header = self._read_header()
        self._trailer = self._read_trailer()
        self.summary: Summary = self._trailer.summary
        self.row_count: int = self._trailer.rows
        self.row_bytes: int = self._trailer.row_bytes
        """Sum of the lengths of all rows that are no holes."""
        self._blocks: _Recent[list[Run]] = _Recent(4)
        self._index: _Recent[list[IndexRow]] = _Recent(16)
        self._offsets: _Recent[tuple[int, ...]] = _Recent(8)
        self._segments: _Recent[memoryview] = _Recent(32)

    # --- frames ---

    def _read(self, offset: int, length: int, ahead: int = 0) -> bytes | memoryview:
        """A range out of the window, or read; with `ahead` the window moves there."""
        start, data = self._window
        if start <= offset and offset + length <= start + len(data):
            return memoryview(data)[offset - start : offset - start + length]
        if offset < 0 or offset + length > self.size:
            raise Corrupt(f"The manifest points out of itself, to byte {offset}.")
        found = self._read_at(offset, min(max(length, ahead), self.size - offset))
        if len(found) < length:
            raise Corrupt(f"The manifest is cut off at byte {offset + len(found)}.")
        if ahead:
            self._window = (offset, found)
        return found[:length]

    def _frame(
        self, offset: int, kind: bytes, length: int | None = None, ahead: int = 0
    ) -> tuple[fmt.Frame, memoryview]:
        if length is None:
            length = fmt.parse_front(self._read(offset, fmt.FRAME_BYTES), offset).total_bytes
        if not fmt.FRAME_BYTES <= length <= fmt.FRAME_BYTES + fmt.MAX_BLOCK_BYTES:
            raise Corrupt(f"The manifest names an impossible frame at byte {offset}.")
        return fmt.unpack_frame(self._read(offset, length, ahead), offset, kind)

    def _read_header(self) -> Header:
        at = len(fmt.MAGIC)
        return fmt.decode(fmt.headers, self._frame(at, b"H")[1], at)

    def _read_trailer(self) -> fmt.Trailer:
        size = min(self.size, _END_BYTES)
        tail = self._read(self.size - size, size)
        at, end = fmt.FOOTER.unpack(tail[-fmt.FOOTER.size :])
        if end != fmt.END or at >= self.size:
            raise Corrupt("The manifest has no end.")
        trailer = fmt.decode(fmt.trailers, self._frame(at, b"T", self.size - fmt.FOOTER.size - at)[1], at)
        if not 0 <= trailer.levels <= MAX_LEVELS or trailer.rows < 0:
            raise Corrupt(f"The manifest is damaged at byte {at}.")
        return trailer

    # --- entries ---

    def _index_rows(self, offset: int, length: int, level: int) -> list[IndexRow]:
        rows = self._index.get(offset)
        if rows is None:
            frame, raw = self._frame(offset, b"I", length)
            rows = fmt.decode(fmt.index_rows, raw, offset)
            if frame.number != level or not rows:
                raise Corrupt(f"The manifest is damaged at byte {offset}.")
            self._index.put(offset, rows)
        return rows

    def _walk(self, start: Callable[[list[IndexRow]], int]) -> Iterator[IndexRow]:
        """Index rows of the entry blocks in order, from the one that `start` finds in each frame."""
        if not self._trailer.levels:
            return iter(())
        return self._walk_frame(
            self._trailer.root_at, self._trailer.root_length, self._trailer.levels - 1, start, first=True
        )

    def _walk_frame(
        self, offset: int, length: int, level: int, start: Callable[[list[IndexRow]], int], *, first: bool
    ) -> Iterator[IndexRow]:
        rows = self._index_rows(offset, length, level)
        begin = max(0, start(rows)) if first else 0
        for i in range(begin, len(rows)):
            row = rows[i]
            if level == 0:
                yield row
            else:
                yield from self._walk_frame(row.offset, row.length, level - 1, start, first=first and i == begin)

    def _block(self, row: IndexRow, ahead: int = 0) -> list[Run]:
        runs = self._blocks.get(row.offset)
        if runs is None:
            _, raw = self._frame(row.offset, b"E", row.length, ahead)
            runs = fmt.decode(fmt.runs, raw, row.offset)
            self._blocks.put(row.offset, runs)
        return runs

    def folders(self) -> Iterator[tuple[bytes, list[Entry]]]:
        """Every folder with its entries, in the order of the walk; a huge folder comes in several parts."""
        for row in self._walk(lambda _: 0):
            for run in self._block(row, _AHEAD_BYTES):
                yield run.path, run.entries

    def folder(self, path: bytes, offset: int, limit: int) -> tuple[list[Entry], int]:
        """A part of a folder's entries, and how many it has; NotFound when the copy has no such folder."""
        key = fmt.folder_key(path)
        total = self._folder_total(path, key)
        found: list[Entry] = []
        wanted = min(limit, total - offset)
        if wanted <= 0:
            return found, total
        for row in self._walk(_by_number(key, offset)):
            for run in self._block(row):
                if run.path == path:
                    begin = max(0, offset + len(found) - run.first)
                    found += run.entries[begin : begin + wanted - len(found)]
            if len(found) >= wanted:
                return found, total
        raise Corrupt("The manifest's index is damaged.")

    def _folder_total(self, path: bytes, key: bytes) -> int:
        row = next(self._walk(_by_number(key, _LAST)), None)
        for run in reversed(self._block(row) if row else []):
            if run.path == path:
                return run.first + len(run.entries)
        raise NotFound(f"The copy has no folder {path.decode(errors='replace')}.")

    def find(self, path: bytes) -> Entry | None:
        """The entry of an absolute path; None when there is none, and for the root."""
        parent, _, name = path.rpartition(b"/")
        folder = parent or b"/"
        row = next(self._walk(_by_name(fmt.folder_key(folder), name)), None)
        for run in self._block(row) if row else []:
            if run.path == folder:
                at = bisect_left(run.entries, name, key=_name)
                if at < len(run.entries) and run.entries[at].name == name:
                    return run.entries[at]
        return None

    # --- chunk table ---

    def rows(self, first: int, count: int) -> list[tuple[bytes, int]]:
        """Rows (chunk id, length) of the chunk table; Corrupt when it does not have them."""
        if first < 0 or count < 0 or first + count > self.row_count:
            raise Corrupt(f"The manifest has no rows {first} to {first + count}.")
        rows: list[tuple[bytes, int]] = []
        if not count:
            return rows
        last = (first + count - 1) // fmt.SEGMENT_ROWS
        for segment, raw in self._read_segments(first // fmt.SEGMENT_ROWS, last):
            begin = max(0, first - segment * fmt.SEGMENT_ROWS)
            end = min(fmt.SEGMENT_ROWS, first + count - segment * fmt.SEGMENT_ROWS)
            rows += fmt.ROW.iter_unpack(raw[begin * fmt.ROW.size : end * fmt.ROW.size])
        return rows

    def _read_segments(self, segment: int, last: int) -> Iterator[tuple[int, memoryview]]:
        """Segments in order; those that lie side by side are read together."""
        while segment <= last:
            raw = self._segments.get(segment)
            if raw is not None:
                yield segment, raw
                segment += 1
                continue
            span = self._neighbours(segment, last)
            begin, end = span[0][0], span[-1][0] + span[-1][1]
            data = memoryview(self._read(begin, end - begin))
            for offset, length in span:
                frame, raw = fmt.unpack_frame(data[offset - begin : offset - begin + length], offset, b"R")
                if frame.number != segment * fmt.SEGMENT_ROWS:
                    raise Corrupt(f"The manifest is damaged at byte {offset}.")
                self._segments.put(segment, raw)
                yield segment, raw
                segment += 1

    def _neighbours(self, segment: int, last: int) -> list[tuple[int, int]]:
        """Offset and length of this segment and of those that follow it closely in the stream."""
        span: list[tuple[int, int]] = []
        while segment <= last:
            offset = self._segment_offset(segment)
            count = min(fmt.SEGMENT_ROWS, self.row_count - segment * fmt.SEGMENT_ROWS)
            length = fmt.FRAME_BYTES + count * fmt.ROW.size
            if span:
                end = span[-1][0] + span[-1][1]
                if not end <= offset <= end + fmt.BLOCK_BYTES or offset + length - span[0][0] > _SPAN_BYTES:
                    break
            span.append((offset, length))
            segment += 1
        return span

    def _segment_offset(self, segment: int) -> int:
        number, at = divmod(segment, fmt.OFFSETS_PER_FRAME)
        offsets = self._offsets.get(number)
        if offsets is None:
            segments = -(-self.row_count // fmt.SEGMENT_ROWS)
            count = min(fmt.OFFSETS_PER_FRAME, segments - number * fmt.OFFSETS_PER_FRAME)
            place = self._trailer.segments_at + number * (fmt.FRAME_BYTES + 8 * fmt.OFFSETS_PER_FRAME)
            frame, raw = self._frame(place, b"O", fmt.FRAME_BYTES + 8 * count)
            if frame.number != number * fmt.OFFSETS_PER_FRAME or frame.items != count:
                raise Corrupt(f"The manifest is damaged at byte {place}.")
            offsets = struct.unpack(f"<{count}Q", raw)
            self._offsets.put(number, offsets)
        return offsets[at]

    def verify(self) -> None:
        """Read and check everything; Corrupt or Invalid says what is wrong."""
        check_manifest(self._read_at, self.size, lambda _: None)


def _name(entry: Entry) -> bytes:
    return entry.name


def _by_number(key: bytes, number: int) -> Callable[[list[IndexRow]], int]:
    """Finds the last row that is not after entry `number` of the folder."""
    return lambda rows: bisect_right(rows, (key, number), key=lambda r: (fmt.folder_key(r.path), r.first)) - 1


def _by_name(key: bytes, name: bytes) -> Callable[[list[IndexRow]], int]:
    """Finds the last row that is not after `name` in the folder."""
    return lambda rows: bisect_right(rows, (key, name), key=lambda r: (fmt.folder_key(r.path), r.name)) - 1
