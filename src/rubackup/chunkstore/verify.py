"""Reads every chunk of a record again and hashes it; names the files that are damaged, and where the damage lies.

Rows are taken in large windows, and the groups of a window in the order of the packs, by a few threads: reading,
decompressing and hashing leave the interpreter to the others. The manifest's own check runs beside them. Without
contents it only looks whether everything is where the index says, as far as the packs' lengths tell.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import msgspec

from rubackup.chunkstore import group
from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore._hash_check import HashCheck
from rubackup.chunkstore._presence import Presence
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import Index, Place
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.domain.errors import Corrupt
from rubackup.domain.filenames import printable

WINDOW_ROWS: Final = 65_536
"""Rows that are held at once, in some 30 MB."""
LOOK_ROWS: Final = 16_384
THREADS: Final = max(2, min(8, os.cpu_count() or 1))
JOB_GROUPS: Final = 4
"""Groups that a thread is given at once."""
NAMED_PLACES: Final = 1000
"""Damaged places that a result names; the files it names are all."""
_REMEMBERED: Final = 200_000
_SPOT = struct.Struct("<III")
"""The first fields of a place in the index."""
_LENGTH = slice(16, 20)
"""Where a place has the chunk's length."""

Row = tuple[bytes, int]


class VerifyResult(msgspec.Struct, frozen=True):
    """What a verification found."""

    bytes_read: int
    """Bytes of stored groups that were read."""
    damaged: list[str]
    """Paths of files that cannot be restored whole, as they are shown; of an encrypted record rows of its chunk table."""
    places: list[str] = []
    """A sentence for each pack that is missing and each group that is damaged, up to NAMED_PLACES."""
    flaws: list[str] = []
    """A sentence for each file of the pool that is damaged where it costs nothing as long as there is an index."""
    seal: str = ""
    """The one of `flaws` that `Pool.repair_seal` mends; '' when there is none."""
    mended: list[str] = []
    """A sentence for each file of hashes that was damaged, and was made anew."""


class _Found(NamedTuple):
    """What a thread says of one group."""

    spot: Spot
    bad: list[int]
    """The rows, of those asked for, that the group does not give."""
    bytes_read: int
    bytes_done: int
    """Sum of the lengths of all rows asked for."""
    whole: bool
    problem: str


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
        hashes: HashCheck | None = None,
    ) -> None:
        """With `presence` contents are left out; `space` is the record's (`Index.space`); `hashes` are compared, too.

        Of an encrypted record the stored groups are read and their sums checked; only its key can tell more.
        `progress` and `check` are called by the thread that calls `run`.
        """
        self._space = space
        self._workers = max(THREADS, groups.at_once)
        self._reader, self._index, self._groups = reader, index, groups
        self._presence, self._hashes = presence, hashes
        self._progress, self._check = progress, check
        self._bytes_read = 0
        self._bytes_done = 0
        self._bad_rows = array("Q")
        self._places: dict[str, None] = {}
        self.packs: set[int] = set()
        """Numbers of the packs that hold something of the record."""
        self._whole: OrderedDict[Spot, None] = OrderedDict()  # groups lately found whole

    def run(self) -> VerifyResult:
        """Check the manifest and the chunks; Corrupt when the manifest itself is damaged."""
        count = self._reader.row_count
        if self._presence is not None:
            self._reader.verify()
            for first in range(0, count, LOOK_ROWS):
                self._look(self._presence, first, self._reader.rows(first, min(LOOK_ROWS, count - first)))
        else:
            threads = ThreadPoolExecutor(self._workers, thread_name_prefix="verify")
            try:
                manifest = threads.submit(self._reader.verify, sealed=True)
                for first in range(0, count, WINDOW_ROWS):
                    self._window(threads, first, min(WINDOW_ROWS, count - first))
                manifest.result()
            finally:
                threads.shutdown(cancel_futures=True)
        self._progress(self._reader.row_bytes, self._reader.row_bytes)
        return VerifyResult(self._bytes_read, self._damaged() if self._bad_rows else [], list(self._places))

    # --- contents ---

    def _window(self, threads: ThreadPoolExecutor, first: int, count: int) -> None:
        """Check the groups that hold these rows, in the order of the packs, a few jobs ahead of the answers."""
        rows = self._reader.rows(first, count)
        bad: list[int] = []
        spots = self._spots(rows, bad)
        self.packs.update({spot.pack for spot, _ in spots})
        if bad:
            name = rows[bad[0]][0].hex()
            self._name(f"The pool does not know {len(bad)} chunks of the copy; the first is {name}.")
        ahead: deque[Future[list[_Found]]] = deque()
        for begin in range(0, len(spots), JOB_GROUPS):
            ahead.append(threads.submit(self._groups_of, rows, spots[begin : begin + JOB_GROUPS]))
            if len(ahead) > 2 * self._workers:
                self._take(ahead.popleft().result(), bad)
        while ahead:
            self._take(ahead.popleft().result(), bad)
        self._bad_rows.extend(first + number for number in sorted(bad))

    def _spots(self, rows: Sequence[Row], bad: list[int]) -> list[tuple[Spot, list[int]]]:
        """The groups in order, each with the rows that should be in it; rows that are nowhere go to `bad`."""
        names = {name for name, _ in rows}
        names.discard(HOLE)
        found = self._index.places(sorted(names), self._space)
        found[HOLE] = b""
        values = [found.get(name, HOLE) for name, _ in rows]
        wanted: defaultdict[bytes, list[int]] = defaultdict(list)
        last, numbers = b"", wanted[b""]
        for number, value in enumerate(values):  # neighbours lie in one group, mostly
            spot = value[: _SPOT.size]
            if spot != last:
                last, numbers = spot, wanted[spot]
            numbers.append(number)
        told = array("I", [length for _, length in rows])
        if sys.byteorder != "little":
            told.byteswap()
        wrong = 0
        if b"".join([value[_LENGTH] for value in values]) != told.tobytes():
            wrong = sum(
                value[_LENGTH] != length.to_bytes(4, "little") and value != b"" and value is not HOLE
                for value, (_, length) in zip(values, rows, strict=True)
            )
        if wrong:  # the groups tell whether the rows are right; a session would refuse them
            self._index.suspect(f"The index gives {wrong} chunks another length than a sealed manifest.")
        wanted.pop(b"", None)
        bad += wanted.pop(HOLE[: _SPOT.size], [])  # no pack has the number 0
        return sorted((Spot(*_SPOT.unpack(place)), numbers) for place, numbers in wanted.items())

    def _take(self, answers: Sequence[_Found], bad: list[int]) -> None:
        self._check()
        for found in answers:
            bad += found.bad
            self._bytes_read += found.bytes_read
            self._bytes_done += found.bytes_done
            if found.problem:
                self._name(found.problem)
            if found.whole:
                self._whole[found.spot] = None
                if len(self._whole) > _REMEMBERED:
                    self._whole.popitem(last=False)
        self._progress(self._bytes_done, self._reader.row_bytes)

    def _name(self, place: str) -> None:
        if len(self._places) < NAMED_PLACES:
            self._places[place] = None

    def _groups_of(self, rows: Sequence[Row], spots: Sequence[tuple[Spot, list[int]]]) -> list[_Found]:
        return [self._group(rows, spot, numbers) for spot, numbers in spots]

    def _group(self, rows: Sequence[Row], spot: Spot, numbers: list[int]) -> _Found:
        """Read and hash a group; one that was found whole shows only its header, for what else it is to hold."""
        again = spot in self._whole
        done = sum([rows[number][1] for number in numbers])
        try:
            stored: group.Head | group.Group = self._read(spot, again=again)
        except Corrupt as error:
            return _Found(spot, numbers, 0, done, whole=False, problem=error.message)
        has = set(zip(stored.ids, stored.lengths, strict=True))
        problem, wrong = "", stored.wrong() if isinstance(stored, group.Group) else []
        if wrong:
            problem = self._groups.condemn(spot, f"{len(wrong)} chunks do not have the content that their ids name.")
            has.difference_update([(stored.ids[one], stored.lengths[one]) for one in wrong])
        elif isinstance(stored, group.Group) and self._hashes and (wrong := self._hashes.differing(spot, stored)):
            first = stored.ids[wrong[0]].hex()
            reason = f"{len(wrong)} chunks have another hash than was recorded; the first is {first}."
            problem = self._groups.condemn(spot, reason)
            has.difference_update([(stored.ids[one], stored.lengths[one]) for one in wrong])
        bad = [] if has.issuperset([rows[one] for one in numbers]) else [one for one in numbers if rows[one] not in has]
        if bad and not problem:
            problem = self._groups.misplaced(spot, "does not hold the chunks that the index looks for there.")
        return _Found(spot, bad, 0 if again else spot.length, done, whole=not problem, problem=problem)

    def _read(self, spot: Spot, *, again: bool) -> group.Head | group.Group:
        if again:
            return self._groups.head(spot)
        return self._groups.sealed(spot) if self._space else self._groups.decoded(spot)

    # --- presence, and what follows from bad rows ---

    def _look(self, presence: Presence, first: int, rows: Sequence[Row]) -> None:
        """Whether each chunk is known, as long as the row says, and its pack long enough to hold it."""
        self._check()
        found = self._index.lookup({name for name, _ in rows if name != HOLE}, self._space)
        for number, (name, length) in enumerate(rows, first):
            value = found.get(name)
            if value is not None:
                self.packs.add(Place.decode(value).pack)
            if name != HOLE and (
                value is None or Place.decode(value).chunk_bytes != length or not presence.holds(value)
            ):
                self._bad_rows.append(number)
        self._bytes_done += sum(length for name, length in rows if name != HOLE)
        self._progress(self._bytes_done, self._reader.row_bytes)

    def _damaged(self) -> list[str]:
        if self._reader.header.key_id:  # the names are encrypted
            return [f"rows {first} to {last} of the encrypted copy" for first, last in _runs(self._bad_rows)]
        names: list[str] = []
        for path, entries in self._reader.folders():
            self._check()
            for entry in entries:
                begin, end = entry.first_row, entry.first_row + entry.rows
                if entry.rows and bisect_left(self._bad_rows, begin) < bisect_left(self._bad_rows, end):
                    names.append(printable(path.rstrip(b"/") + b"/" + entry.name))
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
