"""Checks a whole manifest in one pass and bounded memory, as if a hostile client had written it.

Sums, order, names and counts, and that the index says exactly what the blocks hold: what it
accepts, `ManifestReader` reads the same way in any order.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from typing import Final

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Entry, EntryType, Frame, Header, IndexRow, Run, Trailer
from rubackup.chunkstore.manifest.frames import FrameStream
from rubackup.domain.errors import Corrupt, Invalid

_MAX_PENDING_BYTES: Final = fmt.MAX_BLOCK_BYTES
_MAX_LEVELS: Final = 8
_TYPES: Final = frozenset(EntryType)
OnRows = Callable[[memoryview], None]


def check_manifest(read_at: Callable[[int, int], bytes], size: int, on_rows: OnRows) -> tuple[Header, Trailer]:
    """Header and trailer of a manifest that is right in every part; Corrupt or Invalid otherwise.

    `on_rows` is given the raw rows (36 bytes each) of the chunk table in order.
    """
    return _Check(read_at, size, on_rows).run()


class _Check:
    def __init__(self, read_at: Callable[[int, int], bytes], size: int, on_rows: OnRows) -> None:
        self._stream = FrameStream(read_at, size)
        self._on_rows = on_rows
        self._blocks = self._entries = self._rows = self._row_bytes = 0
        self._rows_named = 0  # the highest row that an entry names
        self._segments = array("Q")
        self._partial = False  # a segment that is not full was seen: the last one
        self._folder: bytes | None = None
        self._ordinal = 0
        self._last_name = b""
        self._pending: list[list[IndexRow]] = []
        self._pending_bytes: list[int] = []
        self._segments_at = 0

    def run(self) -> tuple[Header, Trailer]:
        if self._stream.peek().raw_bytes > fmt.MAX_HEADER_BYTES:
            raise Invalid("The manifest's header is too long.")
        _, raw = self._stream.next(b"H")
        header = fmt.decode(fmt.headers, raw, len(fmt.MAGIC))
        self._body()
        self._segment_table()
        at = self._stream.at
        _, raw = self._stream.next(b"T")
        trailer = fmt.decode(fmt.trailers, raw, at)
        self._stream.finish(at)
        self._totals(trailer, at)
        return header, trailer

    # --- frames ---

    def _body(self) -> None:
        take = {b"E": self._take_entries, b"R": self._take_rows, b"I": self._take_index}
        while (kind := self._stream.peek().kind) in take:
            at = self._stream.at
            frame, raw = self._stream.next(kind)
            take[kind](frame, raw, at)
        self._segments_at = self._stream.at

    def _take_rows(self, frame: Frame, raw: memoryview, at: int) -> None:
        count, rest = divmod(len(raw), fmt.ROW.size)
        if rest or not 1 <= count <= fmt.SEGMENT_ROWS or count != frame.items or frame.codec:
            raise Corrupt(f"The manifest's chunk table is damaged at byte {at}.")
        if frame.number != self._rows or self._partial:
            raise Corrupt(f"The manifest's chunk table has a gap at byte {at}.")
        self._partial = count < fmt.SEGMENT_ROWS
        self._segments.append(at)
        self._rows += count
        for name, length in fmt.ROW.iter_unpack(raw):
            if not length:
                raise Invalid("A row of the manifest's chunk table is empty.")
            if any(name):
                self._row_bytes += length
        self._on_rows(raw)

    def _take_entries(self, frame: Frame, raw: memoryview, at: int) -> None:
        runs = fmt.decode(fmt.runs, raw, at)
        if not runs or len(runs) != frame.items or frame.number != self._blocks:
            raise Corrupt(f"The manifest's entries are damaged at byte {at}.")
        for i, run in enumerate(runs):
            self._take_run(run, begins_block=i == 0)
        first = runs[0]
        name = first.entries[0].name if first.entries else b""
        self._expect(0, IndexRow(first.path, first.first, name, at, frame.total_bytes))
        self._blocks += 1

    def _take_run(self, run: Run, *, begins_block: bool) -> None:
        if run.path == self._folder:
            if not begins_block or not run.entries or not self._ordinal:
                raise Invalid("A folder of the manifest is split in a wrong place.")
        else:
            self._take_folder(run.path)
        if run.first != self._ordinal:
            raise Invalid("Entries of the manifest are numbered wrongly.")
        for entry in run.entries:
            self._take_entry(entry)
        self._ordinal += len(run.entries)
        self._entries += len(run.entries)

    def _take_folder(self, path: bytes) -> None:
        fmt.check_path(path)
        last = self._folder
        if last is None:
            if path != b"/":
                raise Invalid("A manifest must begin with the root folder.")
        else:
            parent = path.rpartition(b"/")[0]
            # Folders ascend and each lies in one seen before: the last one, or one above it.
            inside = (last + b"/").startswith(parent + b"/")
            if not inside or fmt.folder_key(path) <= fmt.folder_key(last):
                raise Invalid("Folders of the manifest are not in the order of a walk.")
        self._folder, self._ordinal, self._last_name = path, 0, b""

    def _take_entry(self, entry: Entry) -> None:
        if entry.name <= self._last_name:
            raise Invalid("Entries of the manifest do not ascend by name.")
        fmt.check_name(entry.name)
        if entry.hardlink:
            fmt.check_path(entry.hardlink)
        if (
            entry.type not in _TYPES
            or not 0 <= entry.mode <= 0o7777
            or not 0 <= entry.uid < 2**32
            or not 0 <= entry.gid < 2**32
            or not 0 <= entry.size < 2**63
            or not -(2**63) <= entry.mtime_ns < 2**63
            or entry.first_row < 0
            or entry.rows < 0
            or (entry.rows and entry.type != EntryType.FILE)
        ):
            raise Invalid("An entry of the manifest has an impossible value.")
        if entry.rows:
            self._rows_named = max(self._rows_named, entry.first_row + entry.rows)
        self._last_name = entry.name

    # --- index and totals ---

    def _expect(self, level: int, row: IndexRow) -> None:
        """The next index frame of this level must hold this row."""
        if level == len(self._pending):
            self._pending.append([])
            self._pending_bytes.append(0)
        self._pending[level].append(row)
        self._pending_bytes[level] += len(row.path) + len(row.name) + 32
        if self._pending_bytes[level] > _MAX_PENDING_BYTES or level > _MAX_LEVELS:
            raise Invalid("The manifest's index is not built as it must be.")

    def _take_index(self, frame: Frame, raw: memoryview, at: int) -> None:
        level = frame.number
        rows = fmt.decode(fmt.index_rows, raw, at)
        if level >= len(self._pending) or not rows or rows != self._pending[level]:
            raise Invalid(f"The manifest's index at byte {at} does not fit its blocks.")
        self._pending[level] = []
        self._pending_bytes[level] = 0
        first = rows[0]
        self._expect(level + 1, IndexRow(first.path, first.first, first.name, at, frame.total_bytes))

    def _segment_table(self) -> None:
        done = 0
        while self._stream.peek().kind == b"O":
            at = self._stream.at
            frame, raw = self._stream.next(b"O")
            part = self._segments[done : done + fmt.OFFSETS_PER_FRAME]
            if frame.number != done or frame.items != len(part) or raw != struct.pack(f"<{len(part)}Q", *part):
                raise Corrupt(f"The manifest's table of segments is damaged at byte {at}.")
            done += len(part)
        if done != len(self._segments):
            raise Corrupt("The manifest's table of segments is not complete.")

    def _totals(self, trailer: Trailer, at: int) -> None:
        root = (0, 0, 0)
        if self._pending:
            top = self._pending[-1]
            if any(self._pending[:-1]) or len(top) != 1 or len(self._pending) < 2:
                raise Invalid("The manifest's index is not complete.")
            root = (top[0].offset, top[0].length, len(self._pending) - 1)
        told = (trailer.root_at, trailer.root_length, trailer.levels)
        counts = (trailer.rows, trailer.row_bytes, trailer.blocks, trailer.entries, trailer.segments_at)
        if told != root or counts != (self._rows, self._row_bytes, self._blocks, self._entries, self._segments_at):
            raise Corrupt(f"The manifest's trailer at byte {at} does not fit its content.")
        if self._rows_named > self._rows:
            raise Invalid("An entry of the manifest names rows that it does not have.")
        summary = trailer.summary
        numbers = (summary.files, summary.files_failed, summary.folders, summary.size_bytes)
        if not all(0 <= number < 2**63 for number in numbers):
            raise Invalid("The manifest's summary has an impossible number.")
