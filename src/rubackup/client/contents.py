"""Reads every chunk of a copy from its media server and hashes it again: how the contents of an encrypted copy are verified.

What is damaged is told file by file. Memory is bounded by the rows of one batch, whatever the size of the copy.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rubackup.chunkstore.group import open_group
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.keys import Keys
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.client.lots import in_lots
from rubackup.client.ports import RestoreChannel
from rubackup.domain.errors import Corrupt

BATCH_ROWS = 8192
WORKERS = min(4, os.cpu_count() or 1)
"""Threads that open groups and hash what is in them."""
LOTS = 6
"""Lots that were received and wait to be opened, at most."""

Row = tuple[bytes, int]
Judged = tuple[set[Row], set[Row]]
"""Rows that are whole, and rows that are false."""
NumberedRow = tuple[int, Row]


class ContentCheck:
    """One pass over a copy."""

    def __init__(
        self,
        channel: RestoreChannel,
        reader: ManifestReader,
        keys: Keys,
        progress: Callable[[int, int], None],
        check: Callable[[], None],
    ) -> None:
        """`progress` gets bytes done, of how many; `check` may raise Stopped."""
        self._channel, self._reader, self._keys = channel, reader, keys
        self._progress, self._check = progress, check
        self._bad = array("Q")
        self._done = 0
        self.bytes_read = 0

    def run(self) -> list[str]:
        """Paths of files that are damaged, as os.fsdecode gives them; Corrupt when the manifest itself is."""
        self._reader.verify()
        with ThreadPoolExecutor(WORKERS, "contents") as pool:
            for first in range(0, self._reader.row_count, BATCH_ROWS):
                rows = self._reader.rows(first, min(BATCH_ROWS, self._reader.row_count - first))
                numbered = [one for one in enumerate(rows, first) if one[1][0] != HOLE]
                self._bad.extend(sorted(self._rows(pool, numbered)))
                self._done += sum(length for name, length in rows if name != HOLE)
                self._progress(self._done, self._reader.row_bytes)
        return self._damaged() if self._bad else []

    def _rows(self, pool: ThreadPoolExecutor, rows: list[NumberedRow]) -> Iterator[int]:
        """Numbers of the rows that cannot be read; a damaged group ends an answer, so what is left is asked for again."""
        pending = [rows]
        while pending:
            asked = pending.pop()
            wanted = {row for _, row in asked}
            whole, wrong, cut = self._ask(pool, asked, wanted)
            left = [one for one in asked if one[1] not in whole and one[1] not in wrong]
            yield from (number for number, row in asked if row in wrong)
            if not cut or len(asked) == 1:
                yield from (number for number, _ in left)
            elif len(left) < len(asked):
                pending.append(left)
            else:
                middle = len(left) // 2
                pending += [left[:middle], left[middle:]]

    def _ask(
        self, pool: ThreadPoolExecutor, asked: Sequence[NumberedRow], wanted: set[Row]
    ) -> tuple[set[Row], set[Row], bool]:
        """What came whole, what came and is false, and whether the answer ended before its time."""
        whole: set[Row] = set()
        wrong: set[Row] = set()
        cuts: list[Corrupt] = []
        if asked:
            runs = _runs([number for number, _ in asked])
            judge = partial(self._judge, wanted)
            for good, bad in in_lots(self._received(runs), pool.submit, judge, LOTS, cuts.append):
                whole |= good
                wrong |= bad
        return whole, wrong - whole, bool(cuts)

    def _received(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        for data in self._channel.groups(runs):
            self._check()
            self.bytes_read += len(data)
            yield data

    def _judge(self, wanted: set[Row], lot: Sequence[bytes]) -> Judged:
        """What these groups hold of the wanted rows."""
        whole: set[Row] = set()
        wrong: set[Row] = set()
        for data in lot:
            try:
                group = open_group(data, self._keys)
            except Corrupt:  # whose rows it holds is not to be believed: they are missing in the end
                continue
            for position, row in enumerate(zip(group.ids, group.lengths, strict=True)):
                if row in wanted:
                    (whole if group.identify(group.chunk(position)) == row[0] else wrong).add(row)
        return whole, wrong

    def _damaged(self) -> list[str]:
        names: list[str] = []
        for path, entries in self._reader.folders():
            self._check()
            for entry in entries:
                begin, end = entry.first_row, entry.first_row + entry.rows
                if entry.rows and bisect_left(self._bad, begin) < bisect_left(self._bad, end):
                    names.append(os.fsdecode(path.rstrip(b"/") + b"/" + entry.name))
        return names


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (first, how many follow one another)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs
