"""Segments of a parent's manifest that a session takes over as they are, and where they stand in the new one."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.read import StoredManifest
from rubackup.domain.errors import Invalid

_READ_BYTES: Final = 4 << 20


class Taken:
    """What was taken, in ascending order; bounded by the number of the parent's segments."""

    def __init__(self, parent: StoredManifest) -> None:
        self._parent = parent
        self._opened: ManifestReader | None = None
        self._next = 0
        self._begins = array("Q")
        self._ends = array("Q")
        self._following = array("Q")

    @property
    def any(self) -> bool:
        """Whether anything was taken."""
        return bool(self._begins)

    @property
    def _reader(self) -> ManifestReader:
        if self._opened is None:
            self._opened = self._parent.reader()
        return self._opened

    @property
    def key_id(self) -> str:
        """Of the key that the parent is encrypted with."""
        return self._reader.header.key_id

    def take(self, first: int, count: int, at: int) -> Iterator[bytes]:
        """The bytes of these segments, which the caller puts at offset `at` of the new manifest.

        Invalid when the parent does not have them, or an earlier call took the first of them or a later one.
        """
        if first < self._next or count < 1 or first + count > self._reader.segment_count:
            raise Invalid(f"The parent has no segments {first} to {first + count} that can still be taken.")
        begin, end = self._reader.segment(first).offset, self._reader.segment(first + count - 1).end
        self._next = first + count
        if self._ends and self._ends[-1] == at:
            self._ends[-1] = at + end - begin
            self._following[-1] = first + count
        else:
            self._begins.append(at)
            self._ends.append(at + end - begin)
            self._following.append(first + count)
        for offset in range(begin, end, _READ_BYTES):
            yield self._parent.read(offset, min(_READ_BYTES, end - offset))

    def holds(self, offset: int) -> bool:
        """Whether the segment at this offset of the new manifest was taken."""
        at = bisect_right(self._begins, offset) - 1
        return at >= 0 and offset < self._ends[at]

    def following(self, offset: int) -> int:
        """Number of the parent's segment behind those that were taken to end at this offset; 0 when none end there."""
        at = bisect_left(self._ends, offset)
        return self._following[at] if at < len(self._ends) and self._ends[at] == offset else 0
