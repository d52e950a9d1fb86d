"""Reads every chunk of a record again and hashes it; names the files that are damaged.

Without contents it only looks whether everything is where the index says, as far as the packs' lengths tell.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from rubackup.chunkstore import group
from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore._presence import Presence
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import Index, Place
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import SEGMENT_ROWS
from rubackup.domain.errors import Corrupt

_BATCH_ROWS: Final = 8 * SEGMENT_ROWS
_REMEMBERED: Final = 100_000


class VerifyResult(msgspec.Struct, frozen=True):
    """What a verification found."""

    bytes_read: int
    """Bytes of stored groups that were read."""
    damaged: list[str]
    """Paths of files that cannot be restored whole, as os.fsdecode gives them; of an encrypted record rows of its chunk table."""


class Verification:
    """One pass over a record, in bounded memory."""

    def __init__(
        self,
        reader: ManifestReader,
        index: Index,
        groups: GroupReader,
        progress: Callable[[int, int], None],
        check: Callable[[], None],
        presence: Presence | None = None,
        space: bytes = b"",
    ) -> None:
        """With `presence` contents are left out; `space` is the record's (`Index.space`).

        Of an encrypted record the stored groups are read and their sums checked; only its key can tell more.
        """
        self._space = space
        self._reader, self._index, self._groups = reader, index, groups
        self._presence = presence
        self._progress, self._check = progress, check
        self._bytes_read = 0
        self._bytes_done = 0
        self._bad_rows = array("Q")
        self._whole: OrderedDict[Spot, None] = OrderedDict()  # groups lately found whole

    def run(self) -> VerifyResult:
        """Check the manifest, then the chunks; Corrupt when the manifest itself is damaged."""
        self._reader.verify()
        count = self._reader.row_count
        for first in range(0, count, _BATCH_ROWS):
            self._rows(first, min(_BATCH_ROWS, count - first))
        self._progress(self._reader.row_bytes, self._reader.row_bytes)
        return VerifyResult(self._bytes_read, self._damaged() if self._bad_rows else [])

    def _rows(self, first: int, count: int) -> None:
        rows = self._reader.rows(first, count)
        if self._presence is not None:
            self._look(self._presence, first, rows)
            return
        found = self._index.places({name for name, _ in rows}, self._space)
        wanted: defaultdict[Spot, list[tuple[int, bytes, int, int]]] = defaultdict(list)
        bad: list[int] = []
        for number, (name, length) in enumerate(rows, first):
            if name == HOLE:
                continue
            if name not in found:
                bad.append(number)
                continue
            place = Place.decode(found[name])
            spot = Spot(place.pack, place.offset, place.group_bytes)
            wanted[spot].append((number, name, length, place.position))
        for spot in sorted(wanted):
            self._check()
            if spot not in self._whole:
                bad += self._group(spot, wanted[spot])
            self._bytes_done += sum(length for _, _, length, _ in wanted[spot])
            self._progress(self._bytes_done, self._reader.row_bytes)
        self._bad_rows.extend(sorted(bad))

    def _look(self, presence: Presence, first: int, rows: list[tuple[bytes, int]]) -> None:
        """Whether each chunk is known, as long as the row says, and its pack long enough to hold it."""
        self._check()
        found = self._index.lookup({name for name, _ in rows if name != HOLE}, self._space)
        for number, (name, length) in enumerate(rows, first):
            value = found.get(name)
            if name != HOLE and (
                value is None or Place.decode(value).chunk_bytes != length or not presence.holds(value)
            ):
                self._bad_rows.append(number)
        self._bytes_done += sum(length for name, length in rows if name != HOLE)
        self._progress(self._bytes_done, self._reader.row_bytes)

    def _group(self, spot: Spot, wanted: list[tuple[int, bytes, int, int]]) -> list[int]:
        """Numbers of the rows that this group does not give."""
        try:
            data = self._groups.read(spot)
            stored = group.read_head(data) if self._space else group.decode(data)
        except Corrupt:
            return [number for number, _, _, _ in wanted]
        self._bytes_read += spot.length
        wrong = set(stored.wrong()) if isinstance(stored, group.Group) else set()
        if wrong:
            self._index.mark_bad(spot.pack, spot.offset)
        bad = [
            number
            for number, name, length, position in wanted
            if position >= len(stored.ids)
            or position in wrong
            or (stored.ids[position], stored.lengths[position]) != (name, length)
        ]
        if not bad and not wrong:
            self._whole[spot] = None
            if len(self._whole) > _REMEMBERED:
                self._whole.popitem(last=False)
        return bad

    def _damaged(self) -> list[str]:
        if self._reader.header.key_id:  # the names are encrypted
            return [f"rows {first} to {last} of the encrypted copy" for first, last in _runs(self._bad_rows)]
        names: list[str] = []
        for path, entries in self._reader.folders():
            self._check()
            for entry in entries:
                begin, end = entry.first_row, entry.first_row + entry.rows
                if entry.rows and bisect_left(self._bad_rows, begin) < bisect_left(self._bad_rows, end):
                    names.append(os.fsdecode(path.rstrip(b"/") + b"/" + entry.name))
        return names


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (first, last) of what follows one another."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
