"""Rows of a manifest's chunk table, read ahead: neighbouring files have neighbouring rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rubackup.chunkstore.manifest import ManifestReader
from rubackup.domain.errors import Corrupt

AHEAD = 8192
BEYOND = "The manifest names rows that its chunk table does not have."

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
        if not count:
            return ()
        skip = first - self._first
        if not (skip >= 0 and skip + count <= len(self._window)):
            self._move(first)
            skip = 0
        part = self._window[skip : skip + count]
        if not part:
            raise Corrupt(BEYOND)
        return part

    def _move(self, first: int) -> None:
        self._window = self._reader.rows(first, min(self._ahead, self._reader.row_count - first))
        self._first = first

    def read(self, first: int, count: int) -> Iterator[Sequence[Row]]:
        """Rows `first` to `first + count`, in slices of at most one window. Corrupt when they are not there."""
        while count > 0:
            skip = first - self._first
            if not 0 <= skip < len(self._window):
                self._move(first)
                skip = 0
            part = self._window[skip : skip + count]
            if not part:
                raise Corrupt(BEYOND)
            yield part
            first += len(part)
            count -= len(part)
