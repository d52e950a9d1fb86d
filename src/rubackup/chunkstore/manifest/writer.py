"""Writes a manifest as one stream, in bounded memory, whatever the record's size."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Entry, Header, IndexRow, Run, Summary
from rubackup.domain.errors import Invalid

_ENTRY_OVERHEAD = 96  # about what the numbers of an entry take


class IndexBuilder:
    """Rows of each level of the block index; a level that is full becomes a frame and a row above."""

    def __init__(self, emit: Callable[[bytes, bytes, int, int], tuple[int, int]]) -> None:
        self._emit = emit
        self._levels: list[list[IndexRow]] = []
        self._sizes: list[int] = []

    def add(self, row: IndexRow, level: int = 0) -> None:
        """Add a row to a level."""
        if level == len(self._levels):
            self._levels.append([])
            self._sizes.append(0)
        self._levels[level].append(row)
        self._sizes[level] += len(row.path) + len(row.name) + 32
        if self._sizes[level] >= fmt.BLOCK_BYTES and len(self._levels[level]) >= fmt.INDEX_ROWS:
            self._flush(level)

    def _flush(self, level: int) -> None:
        rows = self._levels[level]
        offset, length = self._emit(b"I", fmt.encoder.encode(rows), len(rows), level)
        first = rows[0]
        self._levels[level] = []
        self._sizes[level] = 0
        self.add(IndexRow(first.path, first.first, first.name, offset, length), level + 1)

    def finish(self) -> tuple[int, int, int]:
        """Write what is left; offset and length of the root, and the number of levels."""
        level = 0
        while level < len(self._levels):
            rows = self._levels[level]
            top = level + 1 == len(self._levels)
            if top and level and len(rows) == 1:  # a single row of the last level names the root
                return rows[0].offset, rows[0].length, level
            if rows:
                self._flush(level)
            level += 1
        return 0, 0, 0


class ManifestWriter:
    """A manifest being written to `sink`, in order; the caller sees to durability."""

    def __init__(self, sink: Callable[[bytes], None], header: Header) -> None:
        self._sink = sink
        self._at = 0
        self._rows = bytearray()
        self._row_count = 0
        self._row_bytes = 0
        self._segments = array("Q")
        self._runs: list[Run] = []
        self._pending_bytes = 0
        self._blocks = 0
        self._entries = 0
        self._folder: bytes | None = None
        self._ordinal = 0
        self._last_name = b""
        self._index = IndexBuilder(self._frame)
        self._write(fmt.MAGIC)
        self._frame(b"H", fmt.encoder.encode(header), 0, 0, None)

    def _write(self, data: bytes) -> None:
        self._sink(data)
        self._at += len(data)

    def _frame(
        self, kind: bytes, raw: bytes, count: int, number: int, level: int | None = fmt.LEVEL
    ) -> tuple[int, int]:
        offset = self._at
        data = fmt.pack_frame(kind, raw, count=count, number=number, level=level)
        self._write(data)
        return offset, len(data)

    def add_rows(self, rows: Sequence[tuple[bytes, int]]) -> int:
        """Append chunk-table rows (id, length); the number of the first. The rows of one file are contiguous."""
        first = self._row_count
        pack = fmt.ROW.pack
        self._rows += b"".join([pack(name, length) for name, length in rows])
        self._row_count += len(rows)
        self._row_bytes += sum(length for name, length in rows if name != HOLE)
        size = fmt.SEGMENT_ROWS * fmt.ROW.size
        while len(self._rows) >= size:
            self._flush_segment(bytes(self._rows[:size]))
            del self._rows[:size]
        return first

    def _flush_segment(self, raw: bytes) -> None:
        self._segments.append(self._at)
        number = (len(self._segments) - 1) * fmt.SEGMENT_ROWS
        self._frame(b"R", raw, len(raw) // fmt.ROW.size, number, None)

    def add_folder(self, path: bytes, entries: Sequence[Entry]) -> None:
        """Append entries of a folder; an empty folder is one without.

        Folders come as a walk meets them (a folder before those below it, names ascending), entries ascend by name;
        a huge folder may come in several calls, one after another. Invalid when the order or a name is wrong.
        """
        if path != self._folder:
            fmt.check_path(path)
            if self._folder is not None and fmt.folder_key(path) <= fmt.folder_key(self._folder):
                raise Invalid("Folders of a manifest must ascend.")
            self._folder, self._ordinal, self._last_name = path, 0, b""
            self._start_run()
        for entry in entries:
            self._add_entry(entry)

    def _start_run(self) -> None:
        assert self._folder is not None
        if self._pending_bytes > fmt.BLOCK_BYTES:
            self._flush_block()
        self._runs.append(Run(self._folder, self._ordinal, []))
        self._pending_bytes += len(self._folder) + 16

    def _add_entry(self, entry: Entry) -> None:
        size = _ENTRY_OVERHEAD + len(entry.name) + len(entry.target) + len(entry.hardlink)
        size += len(entry.user) + len(entry.group) + sum(len(name) + len(value) + 10 for name, value in entry.xattrs)
        if entry.name <= self._last_name:
            raise Invalid("Entries of a folder must ascend by name.")
        fmt.check_name(entry.name)
        if size > fmt.MAX_ENTRY_BYTES:
            raise Invalid(f"An entry of {size} bytes is too large for a manifest.")
        if self._pending_bytes + size > fmt.BLOCK_BYTES and (len(self._runs) > 1 or self._runs[-1].entries):
            if not self._runs[-1].entries:  # the folder begins in the next block
                self._runs.pop()
            self._flush_block()
            self._start_run()
        self._runs[-1].entries.append(entry)
        self._last_name = entry.name
        self._ordinal += 1
        self._entries += 1
        self._pending_bytes += size

    def _flush_block(self) -> None:
        first = self._runs[0]
        name = first.entries[0].name if first.entries else b""
        offset, length = self._frame(b"E", fmt.encoder.encode(self._runs), len(self._runs), self._blocks)
        self._index.add(IndexRow(first.path, first.first, name, offset, length))
        self._runs = []
        self._pending_bytes = 0
        self._blocks += 1

    def finish(self, summary: Summary) -> None:
        """Write what is left, the tables and the trailer; nothing may follow."""
        if self._runs:
            self._flush_block()
        if self._rows:
            self._flush_segment(bytes(self._rows))
        root_at, root_length, levels = self._index.finish()
        segments_at = self._at
        for i in range(0, len(self._segments), fmt.OFFSETS_PER_FRAME):
            part = self._segments[i : i + fmt.OFFSETS_PER_FRAME]
            self._frame(b"O", struct.pack(f"<{len(part)}Q", *part), len(part), i, None)
        trailer = fmt.Trailer(
            summary=summary,
            rows=self._row_count,
            row_bytes=self._row_bytes,
            blocks=self._blocks,
            entries=self._entries,
            segments_at=segments_at,
            root_at=root_at,
            root_length=root_length,
            levels=levels,
        )
        offset, _ = self._frame(b"T", fmt.encoder.encode(trailer), 0, 0, None)
        self._write(fmt.FOOTER.pack(offset, fmt.END))
