"""Checks a whole manifest in one pass and bounded memory, as if a hostile client had written it.

Sums, order, names and counts, and that tables and index say exactly what the segments hold: what it accepts,
`ManifestReader` reads the same way in any order. Of an encrypted one that nobody here can decrypt, entries and index
are taken as they are: whoever wrote them can only harm that record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from blake3 import blake3

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest import runs
from rubackup.chunkstore.manifest.format import Frame, FrameCipher, Header, IndexRow, SegmentRow, Trailer
from rubackup.chunkstore.manifest.frames import FrameStream
from rubackup.chunkstore.manifest.runs import RunView
from rubackup.chunkstore.manifest.writer import row_bytes
from rubackup.domain.errors import Corrupt, Invalid

_MAX_PENDING_BYTES: Final = fmt.MAX_BLOCK_BYTES
OnRows = Callable[[memoryview, bool], None]
Known = Callable[[int], bool]
KnownRun = Callable[[memoryview], bool]


def check_manifest(
    read_at: Callable[[int, int], bytes],
    size: int | None,
    on_rows: OnRows,
    *,
    cipher: FrameCipher | None = None,
    known: Known | None = None,
    known_run: KnownRun | None = None,
) -> tuple[Header, Trailer]:
    """Header and trailer of a manifest that is right in every part; Corrupt or Invalid otherwise.

    Without `size` the manifest still grows, as `FrameStream` says.
    `on_rows` is given the raw rows (36 bytes each) of the chunk table in order, and whether their segment is known.
    `known` tells whether the segment at an offset is one of a sealed manifest: its sums and its place in the order are
    checked, and no more. `known_run` tells the same of a run, by its bytes.
    """
    return _Check(read_at, size, on_rows, cipher, known, known_run).run()


class _Check:
    def __init__(
        self,
        read_at: Callable[[int, int], bytes],
        size: int | None,
        on_rows: OnRows,
        cipher: FrameCipher | None,
        known: Known | None,
        known_run: KnownRun | None,
    ) -> None:
        self._stream = FrameStream(read_at, size, cipher)
        self._on_rows = on_rows
        self._known = known
        self._known_run = known_run
        self._cipher = cipher
        self._encrypted = False
        self._number = 0
        """Of the cipher; all frames must have the same."""
        self._segments = self._entries = self._rows = self._row_bytes = 0
        self._table = blake3()  # of what the table of segments must hold
        self._leaves = blake3()  # of what level 0 of the index must hold
        self._folder: bytes | None = None
        self._ordinal = 0
        self._last_name = b""

    @property
    def _opaque(self) -> bool:
        """Whether entries and index cannot be read here."""
        return self._encrypted and self._cipher is None

    def run(self) -> tuple[Header, Trailer]:
        if self._stream.peek().raw_bytes > fmt.MAX_HEADER_BYTES:
            raise Invalid("The manifest's header is too long.")
        _, raw = self._stream.next(b"H")
        header = fmt.decode_header(raw)
        self._encrypted = bool(header.key_id)
        while self._stream.peek().kind in b"RE":
            self._segment()
        segments_at = self._stream.at
        self._segment_table()
        root = _Index(self._stream, self._segments, self._next).run(
            None if self._opaque else self._leaves.digest()
        )  # fmt: skip
        at = self._stream.at
        _, raw = self._stream.next(b"T")
        trailer = fmt.decode(fmt.trailers, raw, at)
        self._stream.finish(at)
        self._totals(trailer, at, segments_at, root)
        return header, trailer

    def _next(self, kind: bytes) -> tuple[Frame, memoryview | None]:
        """The next frame, which must be encrypted if the header says so; no content where it cannot be read."""
        frame = self._stream.peek()
        if bool(frame.cipher) != self._encrypted or (self._number and frame.cipher != self._number):
            raise Invalid("The manifest is not encrypted as its header says.")
        self._number = frame.cipher
        if self._opaque:
            return self._stream.next_stored(kind)[0], None
        return self._stream.next(kind)

    # --- segments ---

    def _segment(self) -> None:
        at = self._stream.at
        known = self._known is not None and self._known(at)
        rows = total = 0
        last = False
        while self._stream.peek().kind == b"R":
            offset = self._stream.at
            frame, raw = self._stream.next(b"R")
            count, rest = divmod(len(raw), fmt.ROW.size)
            if rest or not 1 <= count <= fmt.SEGMENT_ROWS or count != frame.items or frame.codec:
                raise Corrupt(f"The manifest's chunk table is damaged at byte {offset}.")
            if frame.number != rows or last:
                raise Corrupt(f"The manifest's chunk table has a gap at byte {offset}.")
            last = count < fmt.SEGMENT_ROWS
            rows += count
            total += row_bytes(raw)
            if not all(runs.words(raw)[8::9]):
                raise Invalid("A row of the manifest's chunk table is empty.")
            self._on_rows(raw, known)
        entries_at = self._stream.at
        frame, content = self._next(b"E")
        if frame.number != rows or rows >= 2**32:
            raise Corrupt(f"The manifest's entries at byte {entries_at} do not fit their rows.")
        row = SegmentRow(at, self._rows, total, rows, frame.items, frame.total_bytes)
        if content is not None:
            first = self._runs(content, frame, entries_at, known=known)
            name = first.names_raw.partition(b"\0")[0]
            leaf = IndexRow(first.path, first.first, name, at, frame.total_bytes, self._rows, rows)
            self._leaves.update(fmt.encoder.encode(leaf))
        self._table.update(fmt.SEGMENT.pack(*row))
        self._segments += 1
        self._rows += rows
        self._row_bytes += total
        self._entries += frame.items

    def _runs(self, content: memoryview, frame: Frame, at: int, *, known: bool) -> RunView:
        """Check the runs of a segment; the first of them."""
        begin: RunView | None = None
        entries = rows = 0
        for run in runs.parse_runs(content):
            if not known or begin is None:
                self._place(run, begins_segment=begin is None)
            if not known and not (self._known_run and self._known_run(run.raw)):
                runs.check_run(run)
            begin = begin or run
            entries += run.count
            rows += run.rows
            self._passed(run)
        if begin is None or (entries, rows) != (frame.items, frame.number):
            raise Corrupt(f"The manifest's entries are damaged at byte {at}.")
        return begin

    def _place(self, run: RunView, *, begins_segment: bool) -> None:
        """Whether a run may stand where it stands."""
        if run.path == self._folder:
            if not begins_segment or not run.count or not self._ordinal:
                raise Invalid("A folder of the manifest is split in a wrong place.")
            if run.names_raw.partition(b"\0")[0] <= self._last_name:
                raise Invalid("Entries of the manifest do not ascend by name.")
            if run.first != self._ordinal:
                raise Invalid("Entries of the manifest are numbered wrongly.")
            return
        if run.first:
            raise Invalid("Entries of the manifest are numbered wrongly.")
        if self._folder is None:
            if run.path != b"/":
                raise Invalid("A manifest must begin with the root folder.")
            return
        parent, slash, name = run.path.rpartition(b"/")
        if not slash or parent == b"/" or len(run.path) > fmt.MAX_PATH_BYTES:
            raise Invalid("A path of a manifest is not absolute, or too long.")
        fmt.check_name(name)  # what is before it was checked with the folder that it lies in
        # Folders ascend and each lies in one seen before: the last one, or one above it.
        inside = (self._folder + b"/").startswith(parent + b"/")
        if not inside or fmt.folder_key(run.path) <= fmt.folder_key(self._folder):
            raise Invalid("Folders of the manifest are not in the order of a walk.")

    def _passed(self, run: RunView) -> None:
        self._folder, self._ordinal = run.path, run.first + run.count
        self._last_name = run.names_raw.rpartition(b"\0")[2]

    # --- tables and totals ---

    def _segment_table(self) -> None:
        done = 0
        told = blake3()
        while self._stream.peek().kind == b"S":
            at = self._stream.at
            frame, raw = self._stream.next(b"S")
            count = min(fmt.SEGMENTS_PER_FRAME, self._segments - done)
            if frame.number != done or frame.items != count or not count or len(raw) != count * fmt.SEGMENT.size:
                raise Corrupt(f"The manifest's table of segments is damaged at byte {at}.")
            told.update(raw)
            done += count
        if done != self._segments or told.digest() != self._table.digest():
            raise Corrupt("The manifest's table of segments is not the one of its segments.")

    def _totals(self, trailer: Trailer, at: int, segments_at: int, root: tuple[int, int, int]) -> None:
        told = (trailer.root_at, trailer.root_length, trailer.levels)
        counts = (trailer.rows, trailer.row_bytes, trailer.segments, trailer.entries, trailer.segments_at)
        mine = (self._rows, self._row_bytes, self._segments, self._entries, segments_at)
        if told != root or counts != mine:
            raise Corrupt(f"The manifest's trailer at byte {at} does not fit its content.")
        summary = trailer.summary
        numbers = (summary.files, summary.files_failed, summary.folders, summary.size_bytes)
        if not all(0 <= number < 2**63 for number in numbers):
            raise Invalid("The manifest's summary has an impossible number.")


class _Index:
    """The frames of the index: each row above level 0 must name the frame that was seen."""

    def __init__(
        self,
        stream: FrameStream,
        segments: int,
        take: Callable[[bytes], tuple[Frame, memoryview | None]],
    ) -> None:
        self._stream, self._segments, self._take = stream, segments, take
        self._leaves = blake3()
        self._leaf_rows = 0
        self._pending: list[list[IndexRow]] = []
        self._counts: list[int] = []
        """Rows that the next frame of a level must have, by level; 0 is not used."""
        self._pending_bytes: list[int] = []
        self._last = (0, 0)

    def run(self, leaves: bytes | None) -> tuple[int, int, int]:
        """The root's place and the number of levels; `leaves` is None where contents cannot be read."""
        while self._stream.peek().kind == b"I":
            self._frame()
        if self._leaf_rows != self._segments or (leaves is not None and self._leaves.digest() != leaves):
            raise Invalid("The manifest's index does not fit its segments.")
        if not self._segments:
            return 0, 0, 0
        if any(self._counts[:-1]) or self._counts[-1] != 1:
            raise Invalid("The manifest's index is not complete.")
        return *self._last, len(self._counts) - 1

    def _frame(self) -> None:
        at = self._stream.at
        frame, raw = self._take(b"I")
        level = frame.number
        if not frame.items or (level and (level >= len(self._counts) or frame.items != self._counts[level])):
            raise Invalid(f"The manifest's index at byte {at} is not built as it must be.")
        first = IndexRow(b"", 0, b"", 0, 0)
        if raw is not None:
            rows = fmt.decode(fmt.index_rows, raw, at)
            if len(rows) != frame.items or (level and rows != self._pending[level]):
                raise Invalid(f"The manifest's index at byte {at} does not fit what it names.")
            first = rows[0]
            if not level:
                for row in rows:
                    self._leaves.update(fmt.encoder.encode(row))
        if level:
            self._pending[level], self._counts[level], self._pending_bytes[level] = [], 0, 0
        else:
            self._leaf_rows += frame.items
        self._expect(level + 1, IndexRow(first.path, first.first, first.name, at, frame.total_bytes))
        self._last = (at, frame.total_bytes)

    def _expect(self, level: int, row: IndexRow) -> None:
        """The next frame of this level must have this row."""
        while level >= len(self._pending):
            self._pending.append([])
            self._counts.append(0)
            self._pending_bytes.append(0)
        self._pending[level].append(row)
        self._counts[level] += 1
        self._pending_bytes[level] += len(row.path) + len(row.name) + 32
        if self._pending_bytes[level] > _MAX_PENDING_BYTES or level > fmt.MAX_LEVELS:
            raise Invalid("The manifest's index is not built as it must be.")
