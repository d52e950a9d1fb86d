"""What a new manifest has in common with its parent, found by reading both side by side.

A backup that changes a little everywhere sends nearly all of its parent again. What stands in the sealed parent was
checked there, and looked up in the index: nobody has to do so again as long as the parent is whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from rubackup.chunkstore._taken import Taken
from rubackup.chunkstore.identity import Buffer
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import ROW
from rubackup.domain.errors import Corrupt, Invalid

AHEAD: Final = 4
"""Segments of the parent that are looked at behind the last one that had something in common."""
BEHIND: Final = 2
MOST_ROWS: Final = 16_384
"""Segments with more rows (some 2 GiB of large files) are not compared."""


def is_taken(taken: Taken, beside: Beside | None, offset: int) -> bool:
    """Whether the segment at this offset of a new manifest was taken over; `beside` follows the parent on its way."""
    if taken.holds(offset):
        return True
    if beside is not None and (number := taken.following(offset)):
        beside.skip_to(number)
    return False


class _Segment(NamedTuple):
    rows: set[bytes]
    runs: set[memoryview]


class Beside:
    """A parent as it is passed by; memory is that of a few segments. For one pass in the order of the manifest."""

    def __init__(self, reader: ManifestReader, *, opaque: bool) -> None:
        """`opaque`: runs are encrypted, only rows are compared."""
        self._reader = reader
        self._opaque = opaque
        self._segments = self._read(0)
        self.common = False
        """Whether anything was in common."""
        self._near: deque[_Segment] = deque()
        self._last = -1
        """Of those near, the last that had something in common."""

    def skip_to(self, number: int) -> None:
        """What comes next is at or behind this segment of the parent."""
        self._near.clear()
        self._last = -1
        self._segments = self._read(number)

    def unknown(self, raw: Buffer) -> set[bytes]:
        """The rows, of these, that are not near in the parent."""
        data, size = bytes(raw), ROW.size
        rest = {data[at : at + size] for at in range(0, len(data), size)}
        number = 0
        while rest and (number < len(self._near) or self._more()):
            before = len(rest)
            rest -= self._near[number].rows
            if len(rest) < before and number > self._last:
                number -= self._advance(number)
            number += 1
        return rest

    def has_run(self, raw: memoryview) -> bool:
        """Whether the parent has the very same run near."""
        number = 0
        while number < len(self._near) or self._more():
            if raw in self._near[number].runs:
                if number > self._last:
                    self._advance(number)
                return True
            number += 1
        return False

    def _advance(self, number: int) -> int:
        """There is something in common here: forget what lies far behind; how many were forgotten."""
        self.common = True
        gone = max(0, number - BEHIND)
        for _ in range(gone):
            self._near.popleft()
        self._last = number - gone
        return gone

    def _more(self) -> bool:
        """Take another segment of the parent in, unless enough are ahead."""
        if len(self._near) > self._last + AHEAD:
            return False
        segment = next(self._segments, None)
        if segment is None:
            return False
        self._near.append(segment)
        return True

    def _read(self, first: int) -> Iterator[_Segment]:
        try:
            if self._opaque:
                for number in range(first, self._reader.segment_count):
                    row = self._reader.segment(number)
                    yield _Segment(self._rows(row.first_row, row.rows), set())
            else:
                for _, row, runs in self._reader.runs(first):
                    yield _Segment(self._rows(row.first_row, row.rows), {run.raw for run in runs})
        except (Corrupt, Invalid):  # then nothing more is in common, and everything is checked
            return

    def _rows(self, first: int, count: int) -> set[bytes]:
        if not 0 < count <= MOST_ROWS:
            return set()
        data, size = self._reader.raw_rows(first, count), ROW.size
        return {data[at : at + size] for at in range(0, len(data), size)}
