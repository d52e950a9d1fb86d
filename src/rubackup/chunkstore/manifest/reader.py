"""Reads a manifest through any function that reads a range: a file, or the wire.

A folder or one entry costs the index frames on the way (one or two), and one segment's entries; row n of
the chunk table the table of segments and one frame of rows. Nothing is ever held whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.check import Known, check_manifest
from rubackup.chunkstore.manifest.format import Entry, FrameCipher, Header, IndexRow, SegmentRow, Summary
from rubackup.chunkstore.manifest.runs import RunView, parse_runs
from rubackup.domain.errors import Corrupt, NotFound

ReadAt = Callable[[int, int], bytes]
_END_BYTES: Final = 4096  # read at both ends at once: header and trailer mostly fit
_AHEAD_BYTES: Final = 1 << 20
_SPAN_BYTES: Final = 4 << 20
_TABLE_FRAME_BYTES: Final = fmt.FRAME_BYTES + fmt.SEGMENTS_PER_FRAME * fmt.SEGMENT.size
_LAST: Final = 1 << 64

_V = TypeVar("_V")


class _Recent(Generic[_V]):
    """The last few values, by number."""

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
    """A manifest of `size` bytes; Corrupt names the byte where it is damaged. Not to be shared by threads.

    Of an encrypted one without `cipher` only header, summary, `segments` and rows can be read; the rest is Invalid.
    """

    def __init__(self, read_at: ReadAt, size: int, cipher: FrameCipher | None = None) -> None:
        self._read_at = read_at
        self._cipher = cipher
        self.size = size
        if size < len(fmt.MAGIC) + 2 * fmt.FRAME_BYTES + fmt.FOOTER.size:
            raise Corrupt(f"A manifest cannot have {size} bytes.")
        self._window: tuple[int, bytes] = (0, read_at(0, min(size, _END_BYTES)))
        if self._window[1][: len(fmt.MAGIC)] != fmt.MAGIC:
            raise Corrupt("This is no manifest of a known version.")
        self.header: Header = fmt.decode_header(self._frame(len(fmt.MAGIC), b"H")[1])
        self._trailer = self._read_trailer()
        self.summary: Summary = self._trailer.summary
        self.row_count: int = self._trailer.rows
        self.segment_count: int = self._trailer.segments
        self.row_bytes: int = self._trailer.row_bytes
        """Sum of the lengths of all rows that are no holes."""
        self._runs: _Recent[list[RunView]] = _Recent(4)
        self._index: _Recent[list[IndexRow]] = _Recent(16)
        self._table: _Recent[list[SegmentRow]] = _Recent(8)
        self._rows: _Recent[memoryview] = _Recent(32)

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
        if not fmt.FRAME_BYTES <= length <= fmt.FRAME_BYTES + fmt.MAX_SEALED_BYTES:
            raise Corrupt(f"The manifest names an impossible frame at byte {offset}.")
        return fmt.unpack_frame(self._read(offset, length, ahead), offset, kind, self._cipher)

    def _read_trailer(self) -> fmt.Trailer:
        size = min(self.size, _END_BYTES)
        tail = self._read(self.size - size, size)
        at, end = fmt.FOOTER.unpack(tail[-fmt.FOOTER.size :])
        if end != fmt.END or at >= self.size:
            raise Corrupt("The manifest has no end.")
        trailer = fmt.decode(fmt.trailers, self._frame(at, b"T", self.size - fmt.FOOTER.size - at)[1], at)
        if not 0 <= trailer.levels <= fmt.MAX_LEVELS or min(trailer.rows, trailer.segments, trailer.segments_at) < 0:
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
        """Index rows of the segments in order, from the one that `start` finds in each frame."""
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

    def _segment(self, row: IndexRow) -> list[RunView]:
        """The runs of the segment that an index row names."""
        runs = self._runs.get(row.offset)
        if runs is None:
            runs = self._read_runs(row.offset + fmt.rows_length(row.rows), row.length, row.first_row, row.rows, 0)
            self._runs.put(row.offset, runs)
        return runs

    def _read_runs(self, at: int, length: int, first_row: int, rows: int, ahead: int) -> list[RunView]:
        frame, raw = self._frame(at, b"E", length, ahead)
        if frame.number != rows:
            raise Corrupt(f"The manifest is damaged at byte {at}.")
        return list(parse_runs(raw, first_row))

    def runs(self, first: int = 0) -> Iterator[tuple[int, SegmentRow, list[RunView]]]:
        """Number, place and runs of every segment from number `first` on, in order."""
        for number in range(first, self.segment_count):
            row = self.segment(number)
            # Neighbours are read together unless there is much between them that is not wanted.
            ahead = _AHEAD_BYTES if fmt.rows_length(row.rows) <= 4 * row.length else 0
            yield number, row, self._read_runs(row.entries_at, row.length, row.first_row, row.rows, ahead)

    def folders(self) -> Iterator[tuple[bytes, list[Entry]]]:
        """Every folder with its entries, in the order of the walk; a huge folder comes in several parts."""
        for _, _, found in self.runs():
            for run in found:
                yield run.path, run.entries()

    def folder(self, path: bytes, offset: int, limit: int) -> tuple[list[Entry], int]:
        """A part of a folder's entries, and how many it has; NotFound when the copy has no such folder."""
        key = fmt.folder_key(path)
        total = self._folder_total(path, key)
        found: list[Entry] = []
        wanted = min(limit, total - offset)
        if wanted <= 0:
            return found, total
        for row in self._walk(_by_number(key, offset)):
            for run in self._segment(row):
                if run.path == path:
                    begin = max(0, offset + len(found) - run.first)
                    found += run.entries(begin, begin + wanted - len(found))
            if len(found) >= wanted:
                return found, total
        raise Corrupt("The manifest's index is damaged.")

    def folder_runs(self, path: bytes) -> Iterator[RunView]:
        """The runs of a folder, in order; none when the copy has no such folder."""
        key = fmt.folder_key(path)
        for row in self._walk(_by_number(key, 0)):
            runs = self._segment(row)
            yield from (run for run in runs if run.path == path)
            if runs and fmt.folder_key(runs[-1].path) > key:
                return

    def _folder_total(self, path: bytes, key: bytes) -> int:
        row = next(self._walk(_by_number(key, _LAST)), None)
        for run in reversed(self._segment(row) if row else []):
            if run.path == path:
                return run.first + run.count
        raise NotFound(f"The copy has no folder {path.decode(errors='replace')}.")

    def find(self, path: bytes) -> Entry | None:
        """The entry of an absolute path; None when there is none, and for the root."""
        parent, _, name = path.rpartition(b"/")
        folder = parent or b"/"
        row = next(self._walk(_by_name(fmt.folder_key(folder), name)), None)
        for run in self._segment(row) if row else []:
            if run.path == folder:
                names = run.names()
                at = bisect_left(names, name)
                if at < len(names) and names[at] == name:
                    return run.entries(at, at + 1)[0]
        return None

    # --- segments and rows ---

    def segments(self) -> Iterator[SegmentRow]:
        """The table of segments."""
        for number in range(-(-self.segment_count // fmt.SEGMENTS_PER_FRAME)):
            yield from self._table_frame(number)

    def segment(self, number: int) -> SegmentRow:
        """A row of the table of segments; Corrupt when it has no such row."""
        if not 0 <= number < self.segment_count:
            raise Corrupt(f"The manifest has no segment {number}.")
        frame, at = divmod(number, fmt.SEGMENTS_PER_FRAME)
        return self._table_frame(frame)[at]

    def _table_frame(self, number: int) -> list[SegmentRow]:
        rows = self._table.get(number)
        if rows is None:
            first = number * fmt.SEGMENTS_PER_FRAME
            count = min(fmt.SEGMENTS_PER_FRAME, self.segment_count - first)
            at = self._trailer.segments_at + number * _TABLE_FRAME_BYTES
            frame, raw = self._frame(at, b"S", fmt.FRAME_BYTES + count * fmt.SEGMENT.size)
            if frame.number != first or frame.items != count or len(raw) != count * fmt.SEGMENT.size:
                raise Corrupt(f"The manifest is damaged at byte {at}.")
            rows = [SegmentRow(*row) for row in fmt.SEGMENT.iter_unpack(raw)]
            self._table.put(number, rows)
        return rows

    def _segment_of(self, row: int) -> int:
        """Number of the segment that has a row of the chunk table."""
        low, high = 0, -(-self.segment_count // fmt.SEGMENTS_PER_FRAME)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._table_frame(middle)[0].first_row <= row else (low, middle)
        return low * fmt.SEGMENTS_PER_FRAME + bisect_right(self._table_frame(low), row, key=_first_row) - 1

    def rows(self, first: int, count: int) -> list[tuple[bytes, int]]:
        """Rows (chunk id, length) of the chunk table; Corrupt when it does not have them."""
        return list(fmt.ROW.iter_unpack(self.raw_rows(first, count)))

    def raw_rows(self, first: int, count: int) -> bytes:
        """As `rows`, as they are stored: 36 bytes each."""
        if first < 0 or count < 0 or first + count > self.row_count:
            raise Corrupt(f"The manifest has no rows {first} to {first + count}.")
        parts = []
        for begin, raw in self._row_frames(first, first + count) if count else ():
            parts.append(raw[max(0, first - begin) * fmt.ROW.size : (first + count - begin) * fmt.ROW.size])
        found = b"".join(parts)
        if len(found) != count * fmt.ROW.size:
            raise Corrupt("The manifest's table of segments is damaged.")
        return found

    def row_frames(self) -> Iterator[tuple[bytes, int, int]]:
        """Sum, number of the first row and number of rows of each R frame; their contents are not read.

        Frames of one sum have the same rows, in whatever manifest.
        """
        end = self.row_count
        for offset, length, first, _ in self._row_places(0, end) if end else ():
            front = bytes(self._read(offset, fmt.FRAME_BYTES))
            if fmt.parse_front(front, offset).kind != b"R":
                raise Corrupt(f"The manifest is damaged at byte {offset}.")
            yield front[-fmt.SUM_BYTES :], first, (length - fmt.FRAME_BYTES) // fmt.ROW.size

    def _row_frames(self, first: int, end: int) -> Iterator[tuple[int, memoryview]]:
        """Number of the first row and content of each R frame with rows from `first` to `end`.

        Those that lie close by are read together.
        """
        span: list[tuple[int, int, int, int]] = []
        for frame in self._row_places(first, end):
            raw = self._rows.get(frame[0])
            if raw is not None:
                yield from self._read_span(span)
                span = []
                yield frame[2], raw
                continue
            if span:
                behind = span[-1][0] + span[-1][1]
                if not behind <= frame[0] <= behind + fmt.BLOCK_BYTES or frame[0] - span[0][0] > _SPAN_BYTES:
                    yield from self._read_span(span)
                    span = []
            span.append(frame)
        yield from self._read_span(span)

    def _row_places(self, first: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Offset, length, first row and first row within the segment of each R frame from row `first` to `end`."""
        number = self._segment_of(first)
        size = fmt.FRAME_BYTES + fmt.SEGMENT_ROWS * fmt.ROW.size
        while True:
            row = self.segment(number)
            begin = max(0, first - row.first_row) // fmt.SEGMENT_ROWS * fmt.SEGMENT_ROWS
            for at in range(begin, min(row.rows, end - row.first_row), fmt.SEGMENT_ROWS):
                count = min(fmt.SEGMENT_ROWS, row.rows - at)
                offset = row.offset + at // fmt.SEGMENT_ROWS * size
                yield offset, fmt.FRAME_BYTES + count * fmt.ROW.size, row.first_row + at, at
            number += 1
            if row.first_row + row.rows >= end:
                return

    def _read_span(self, span: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, memoryview]]:
        if not span:
            return
        begin, end = span[0][0], span[-1][0] + span[-1][1]
        data = memoryview(self._read(begin, end - begin))
        for offset, length, first, within in span:
            frame, raw = fmt.unpack_frame(data[offset - begin : offset - begin + length], offset, b"R")
            if frame.number != within:
                raise Corrupt(f"The manifest is damaged at byte {offset}.")
            self._rows.put(offset, raw)
            yield first, raw

    def verify(self, *, sealed: bool = False) -> None:
        """Read and check everything; Corrupt or Invalid says what is wrong.

        Of a `sealed` manifest, which was checked when it was sealed: that sums, order and tables are still right.
        """
        known: Known | None = (lambda _offset: True) if sealed else None
        check_manifest(self._read_at, self.size, lambda _rows, _known: None, cipher=self._cipher, known=known)


def _first_row(row: SegmentRow) -> int:
    return row.first_row


def _by_number(key: bytes, number: int) -> Callable[[list[IndexRow]], int]:
    """Finds the last row that is not after entry `number` of the folder."""
    return lambda rows: bisect_right(rows, (key, number), key=lambda r: (fmt.folder_key(r.path), r.first)) - 1


def _by_name(key: bytes, name: bytes) -> Callable[[list[IndexRow]], int]:
    """Finds the last row that is not after `name` in the folder."""
    return lambda rows: bisect_right(rows, (key, name), key=lambda r: (fmt.folder_key(r.path), r.name)) - 1
