"""Writes a manifest as one stream, in bounded memory, whatever the record's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import cuts, runs
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Entry, FrameCipher, Header, IndexRow, SegmentRow, Summary
from rubackup.chunkstore.manifest.index import IndexBuilder
from rubackup.chunkstore.manifest.runs import Piece, RunView
from rubackup.domain.errors import Invalid

_WAITING_BYTES = 1 << 20
_FRAME_ROWS_BYTES = fmt.SEGMENT_ROWS * fmt.ROW.size


class ManifestWriter:
    """A manifest being written to `sink`, in order; the caller sees to durability.

    Rows are added before the entries that they belong to, in the order of these; each is one entry's.
    """

    def __init__(self, sink: Callable[[bytes], None], header: Header, cipher: FrameCipher | None = None) -> None:
        """Invalid when the header names a key and there is no cipher, or the other way round."""
        if bool(header.key_id) != (cipher is not None):
            raise Invalid("A manifest is encrypted exactly when its header names a key.")
        self._sink = sink
        self._cipher = cipher
        self._at = 0
        self._waiting = bytearray()  # rows whose entries are still to come
        self._ahead = 0  # rows of the segment whose entries are still to come
        self._rows = bytearray()  # of the segment, not yet in a frame
        self._row_bytes = 0  # of the segment
        self._total_rows = self._total_bytes = self._total_entries = 0  # of the segments before
        self._folder: bytes | None = None
        self._ordinal = 0
        self._last_name = b""
        self._table = bytearray()
        self._index = IndexBuilder(cipher)
        self._write(fmt.MAGIC)
        self._write(fmt.pack_frame(b"H", fmt.encode_header(header), level=None))
        self._begin()

    def _begin(self) -> None:
        """A new segment."""
        self._offset = self._at
        self._segment_rows = self._row_frames = self._segment_entries = self._row_bytes = 0
        self._weight = self._raw = 0
        self._done: list[bytes] = []  # runs
        self._run: list[Piece | RunView] = []
        self._run_first = -1
        self._first: tuple[bytes, int, bytes] | None = None

    def _write(self, data: bytes) -> tuple[int, int]:
        offset = self._at
        self._sink(data)
        self._at += len(data)
        return offset, len(data)

    # --- rows ---

    @property
    def row_count(self) -> int:
        """Rows added so far."""
        return self._total_rows + self._segment_rows + len(self._waiting) // fmt.ROW.size

    def add_rows(self, rows: Sequence[tuple[bytes, int]]) -> int:
        """Add chunk-table rows (id, length) of the next entry, or of several; the number of the first."""
        pack = fmt.ROW.pack
        return self.add_raw_rows(b"".join([pack(name, length) for name, length in rows]))

    def add_raw_rows(self, rows: bytes | memoryview) -> int:
        """As `add_rows`, for rows as they are stored."""
        first = self.row_count
        self._waiting += rows
        if len(self._waiting) >= _WAITING_BYTES:  # of a large file: they go into this segment, and so must the file
            self._ahead += len(self._waiting) // fmt.ROW.size
            self._take_rows(len(self._waiting))
        return first

    def _take_rows(self, length: int) -> None:
        """Rows that waited become the segment's."""
        self._rows += self._waiting[:length]
        del self._waiting[:length]
        self._segment_rows += length // fmt.ROW.size
        while len(self._rows) >= _FRAME_ROWS_BYTES:
            self._flush_rows(bytes(self._rows[:_FRAME_ROWS_BYTES]))
            del self._rows[:_FRAME_ROWS_BYTES]

    def _flush_rows(self, raw: bytes) -> None:
        number = self._row_frames * fmt.SEGMENT_ROWS
        self._row_frames += 1
        self._row_bytes += row_bytes(raw)
        self._write(fmt.pack_frame(b"R", raw, count=len(raw) // fmt.ROW.size, number=number, level=None))

    def _own_rows(self, count: int) -> None:
        """The next entries own so many rows."""
        early = min(count, self._ahead)
        self._ahead -= early
        length = (count - early) * fmt.ROW.size
        if length > len(self._waiting):
            raise Invalid("An entry of a manifest names rows that were not added for it.")
        if length:
            self._take_rows(length)

    # --- entries ---

    def add_folder(self, path: bytes, entries: Sequence[Entry]) -> None:
        """Append entries of a folder; an empty folder is one without.

        Folders come as a walk meets them (a folder before those below it, names ascending), entries ascend by name;
        a huge folder may come in several calls, one after another. Invalid when the order or a name is wrong.
        """
        at = self.row_count - len(self._waiting) // fmt.ROW.size - self._ahead
        for entry in entries:
            if entry.rows and entry.first_row != at:
                raise Invalid("Entries of a manifest must own its rows in order.")
            at += entry.rows
        self.add_piece(path, Piece.of(entries))

    def add_piece(self, path: bytes, piece: Piece) -> None:
        """As `add_folder`, for entries that are packed already."""
        self._check(path, piece.names)
        sizes = piece.extras.sizes()
        if any(size + fmt.MAX_NAME_BYTES > fmt.MAX_ENTRY_BYTES for size in sizes.values()):
            raise Invalid(f"An entry of {max(sizes.values())} bytes is too large for a manifest.")
        self._start(path)
        begin, count = 0, len(piece.names)
        for end in self._cut_points(piece, sizes):
            if end > begin:
                self._append(path, piece.cut(begin, end), sizes, begin, end)
            self._flush()
            begin = end
        if begin:
            self._append(path, piece.cut(begin, count), sizes, begin, count)
        elif count or (self._run_first < 0 and not self._ordinal):
            self._append(path, piece, sizes, 0, count)

    def add_run(self, path: bytes, run: RunView) -> None:
        """As `add_piece`, for a run of another manifest, as it stands there; nothing in it is looked at."""
        names = (run.names_raw.partition(b"\0")[0], run.names_raw.rpartition(b"\0")[2]) if run.count else ()
        self._check(path, names[:1])
        self._start(path)
        weight = run.count * cuts.ENTRY_WEIGHT + len(run.names_raw) - max(0, run.count - 1)  # without the NULs
        length = len(run.stats) + len(run.counts) + len(run.names_raw) + len(run.extras_raw)
        full = self._weight + weight > cuts.MAX_WEIGHT or self._raw + length > cuts.MAX_RAW
        if not self._ahead and self._first is not None and (
            full or (self._ordinal and cuts.before_entry(self._weight, self._ordinal, names[0] if names else b""))
        ):  # fmt: skip
            self._flush()
        self._note(path, names[0] if names else b"")
        self._own_rows(run.rows)
        self._run.append(run)
        self._weight += weight
        self._raw += length
        self._segment_entries += run.count
        self._ordinal += run.count
        self._last_name = names[-1] if names else b""

    def begins(self, run: RunView) -> bool:
        """Whether a segment would begin with this run of another manifest, if it came now."""
        if self._waiting or self._ahead or run.first != (self._ordinal if run.path == self._folder else 0):
            return False
        if self._first is None:
            return True
        if run.path != self._folder:
            return cuts.before_folder(self._weight, run.path)
        return cuts.before_entry(self._weight, self._ordinal, run.names_raw.partition(b"\0")[0])

    def _check(self, path: bytes, names: Sequence[bytes]) -> None:
        if path != self._folder:
            above, slash, name = path.rpartition(b"/")
            if slash and above and self._folder is not None and (self._folder + b"/").startswith(above + b"/"):
                fmt.check_name(name)  # what is above it was checked before
                if len(path) > fmt.MAX_PATH_BYTES:
                    raise Invalid("A path of a manifest is not absolute, or too long.")
            else:
                fmt.check_path(path)
            if self._folder is not None and fmt.folder_key(path) <= fmt.folder_key(self._folder):
                raise Invalid("Folders of a manifest must ascend.")
        last = self._last_name if path == self._folder else b""
        for name in names:
            if name <= last:
                raise Invalid("Entries of a folder must ascend by name.")
            last = name
        runs.check_names(names)

    def _start(self, path: bytes) -> None:
        """Begin a run where the folder is a new one."""
        if path == self._folder:
            return
        if not self._ahead and cuts.before_folder(self._weight, path):
            self._flush()
        self._end_run()
        self._folder, self._ordinal, self._last_name = path, 0, b""

    def _note(self, path: bytes, name: bytes) -> None:
        """An entry, or an empty folder, comes next: where it begins a run or the segment, keep its place."""
        if self._run_first < 0:
            self._run_first = self._ordinal
            self._weight += cuts.folder_weight(path)
            self._raw += cuts.folder_weight(path)
        if self._first is None:
            self._first = path, self._ordinal, name

    def _end_run(self) -> None:
        if self._run_first >= 0:
            assert self._folder is not None
            self._done.append(runs.encode_run(self._folder, self._run_first, self._run))
            self._run, self._run_first = [], -1

    def _cut_points(self, piece: Piece, sizes: dict[int, int]) -> list[int]:
        """Positions in the piece before which a segment ends."""
        count = len(piece.names)
        weight = count * cuts.ENTRY_WEIGHT + sum(map(len, piece.names))
        small = self._weight + weight <= cuts.MAX_WEIGHT and self._raw + weight + sum(sizes.values()) <= cuts.MAX_RAW
        if small and (self._ordinal + count <= cuts.HUGE or self._weight + weight < cuts.MIN_WEIGHT):
            return []
        found: list[int] = []
        start = cuts.folder_weight(self._folder or b"")
        begun = start if self._run_first < 0 else 0
        so_far, raw, ahead = self._weight + begun, self._raw + begun, self._ahead
        ordinal = self._ordinal
        for at, name in enumerate(piece.names):
            size = cuts.ENTRY_WEIGHT + len(name)
            full = raw + size + sizes.get(at, 0) > cuts.MAX_RAW
            filled = at or self._first is not None
            if not ahead and filled and (full or (ordinal and cuts.before_entry(so_far, ordinal, name))):
                found.append(at)
                so_far = raw = start
            so_far += size
            raw += size + sizes.get(at, 0)
            ahead = max(0, ahead - piece.counts[at])
            ordinal += 1
        return found

    def _append(self, path: bytes, piece: Piece, sizes: dict[int, int], begin: int, end: int) -> None:
        self._note(path, piece.names[0] if piece.names else b"")
        self._own_rows(sum(piece.counts))
        self._run.append(piece)
        weight = len(piece.names) * cuts.ENTRY_WEIGHT + sum(map(len, piece.names))
        self._weight += weight
        self._raw += weight + sum(size for at, size in sizes.items() if begin <= at < end)
        self._segment_entries += len(piece.names)
        self._ordinal += len(piece.names)
        if piece.names:
            self._last_name = piece.names[-1]

    # --- segments ---

    def copy_segment(self, row: SegmentRow, first: RunView, last: RunView) -> None:
        """Count a whole segment of another manifest that the caller puts into the stream at this place.

        `first` and `last` are its first and last run; it must follow in the order. Nothing that was added may
        wait for its segment's other entries: rows that wait are Invalid.
        """
        if self._waiting or self._ahead:
            raise Invalid("Rows of a manifest wait for their entries.")
        name = first.names_raw.partition(b"\0")[0]
        if first.path == self._folder and first.first != self._ordinal:
            raise Invalid("Entries of a manifest must be numbered in order.")
        self._check(first.path, [name] if first.count else [])
        self._flush()
        self._folder, self._ordinal = last.path, last.first + last.count
        self._last_name = last.names_raw.rpartition(b"\0")[2]
        self.list_segment(row, (first.path, first.first, name))

    def list_segment(self, row: SegmentRow, first: tuple[bytes, int, bytes]) -> None:
        """As `copy_segment`, for one that may stand anywhere; `first` is path, number and name of its first entry."""
        self._flush()
        self._first = first
        self._list(row._replace(offset=self._at, first_row=self._total_rows))
        self._at += row.end - row.offset
        self._begin()

    def _flush(self) -> None:
        """End the segment."""
        self._end_run()
        if self._first is None:
            return
        if self._rows:
            self._flush_rows(bytes(self._rows))
            self._rows.clear()
        raw = b"".join(self._done)
        if len(raw) > fmt.MAX_BLOCK_BYTES:
            raise Invalid("Entries are too large for a manifest.")
        data = fmt.pack_frame(
            b"E", raw, count=self._segment_entries, number=self._segment_rows, cipher=self._cipher
        )  # fmt: skip
        _, length = self._write(data)
        self._list(
            SegmentRow(
                self._offset, self._total_rows, self._row_bytes, self._segment_rows, self._segment_entries, length
            )
        )
        self._begin()

    def _list(self, row: SegmentRow) -> None:
        assert self._first is not None
        self._table += fmt.SEGMENT.pack(*row)
        self._index.add(IndexRow(*self._first, row.offset, row.length, row.first_row, row.rows))
        self._total_rows += row.rows
        self._total_bytes += row.row_bytes
        self._total_entries += row.entries

    def finish(self, summary: Summary) -> None:
        """Write what is left, the tables and the trailer; nothing may follow."""
        if self._waiting or self._ahead:
            raise Invalid("A manifest has rows that no entry names.")
        self._flush()
        segments_at = self._at
        step = fmt.SEGMENTS_PER_FRAME * fmt.SEGMENT.size
        for begin in range(0, len(self._table), step):
            part = bytes(self._table[begin : begin + step])
            number = begin // fmt.SEGMENT.size
            self._write(fmt.pack_frame(b"S", part, count=len(part) // fmt.SEGMENT.size, number=number, level=None))
        root_at, root_length, levels = self._index.finish(self._write)
        trailer = fmt.Trailer(
            summary=summary,
            rows=self._total_rows,
            row_bytes=self._total_bytes,
            segments=len(self._table) // fmt.SEGMENT.size,
            entries=self._total_entries,
            segments_at=segments_at,
            root_at=root_at,
            root_length=root_length,
            levels=levels,
        )
        offset, _ = self._write(fmt.pack_frame(b"T", fmt.encoder.encode(trailer), level=None))
        self._write(fmt.FOOTER.pack(offset, fmt.END))


def row_bytes(raw: bytes | memoryview) -> int:
    """Sum of the lengths of rows that are no holes."""
    total = sum(runs.words(raw)[8::9])
    if HOLE in bytes(raw):
        total -= sum(length for name, length in fmt.ROW.iter_unpack(raw) if name == HOLE)
    return total
