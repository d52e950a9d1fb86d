"""The index of names, built behind the segments: rows of each level become frames, frames rows above."""

from __future__ import annotations

from collections.abc import Callable

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import FrameCipher, IndexRow

Emit = Callable[[bytes], tuple[int, int]]
"""Writes a frame; gives its offset and length."""


class IndexBuilder:
    """Frames of level 0 are held packed until `finish`: their places are only known behind the last segment."""

    def __init__(self, cipher: FrameCipher | None = None) -> None:
        self._cipher = cipher
        self._leaves: list[tuple[IndexRow, bytes]] = []
        self._levels: list[list[IndexRow]] = [[]]
        self._sizes: list[int] = [0]

    def add(self, row: IndexRow) -> None:
        """The next segment."""
        if self._put(0, row):
            self._leaves.append(self._pack(0))

    def _put(self, level: int, row: IndexRow) -> bool:
        """Whether the level is full."""
        if level == len(self._levels):
            self._levels.append([])
            self._sizes.append(0)
        self._levels[level].append(row)
        self._sizes[level] += len(row.path) + len(row.name) + 32
        return self._sizes[level] >= fmt.BLOCK_BYTES and len(self._levels[level]) >= fmt.INDEX_ROWS

    def _pack(self, level: int) -> tuple[IndexRow, bytes]:
        rows, self._levels[level], self._sizes[level] = self._levels[level], [], 0
        raw = fmt.encoder.encode(rows)
        return rows[0], fmt.pack_frame(b"I", raw, count=len(rows), number=level, cipher=self._cipher)

    def finish(self, emit: Emit) -> tuple[int, int, int]:
        """Write all of it; offset and length of the root, and the number of levels."""
        if self._levels[0]:
            self._leaves.append(self._pack(0))
        for first, data in self._leaves:
            self._emit(emit, first, data, 0)
        level = 1
        while level < len(self._levels):
            rows = self._levels[level]
            if level + 1 == len(self._levels) and len(rows) == 1:  # a single row of the last level names the root
                return rows[0].offset, rows[0].length, level
            if rows:
                self._emit(emit, *self._pack(level), level)
            level += 1
        return 0, 0, 0

    def _emit(self, emit: Emit, first: IndexRow, data: bytes, level: int) -> None:
        offset, length = emit(data)
        if self._put(level + 1, IndexRow(first.path, first.first, first.name, offset, length)):
            self._emit(emit, *self._pack(level + 1), level + 1)
