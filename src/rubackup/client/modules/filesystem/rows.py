"""Rows of a manifest's chunk table, read ahead: neighbouring files have neighbouring rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rubackup.chunkstore.manifest import ManifestReader
from rubackup.domain.errors import Corrupt

AHEAD = 8192

Row = tuple[bytes, int]


class Rows:
    """Reads a chunk table in windows; memory is one window."""

    def __init__(self, reader: ManifestReader, ahead: int = AHEAD) -> None:
        self._reader = reader
        self._ahead = ahead
        self._first = 0
        self._window: Sequence[Row] = ()

    def at_once(self, first: int, count: int) -> Sequence[Row]:
        """The rows, or the begin of them where they do not fit into one window. Corrupt when they are not there."""
        return self._part(first, count, least=count) if count else ()

    def read(self, first: int, count: int) -> Iterator[Sequence[Row]]:
        """Rows `first` to `first + count`, in slices of at most one window. Corrupt when they are not there."""
        while count > 0:
            part = self._part(first, count, least=1)
            yield part
            first += len(part)
            count -= len(part)

    def _part(self, first: int, count: int, least: int) -> Sequence[Row]:
        """Of these rows what the window has; it is moved there unless it has `least` of them."""
        skip = first - self._first
        if not (skip >= 0 and skip + least <= len(self._window)):
            self._window = self._reader.rows(first, min(self._ahead, self._reader.row_count - first))
            self._first, skip = first, 0
        part = self._window[skip : skip + count]
        if not part:
            raise Corrupt("The manifest names rows that its chunk table does not have.")
        return part
