"""How much of each pack is live: the index walked against the live ids, each group counted once."""

from __future__ import annotations

import heapq
import struct
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from rubackup.chunkstore.gc.live import PREFIX_BYTES, LiveIds
from rubackup.chunkstore.gc.spill import Buckets
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.pack import overhead_bytes
from rubackup.domain.errors import Corrupt

_GROUP = struct.Struct("<III")
"""Pack, offset and length of a group: the beginning of a place in the index."""
_MENDED: Final = 2.0
"""More than any share."""
_HOLES: Final = {HOLE[:PREFIX_BYTES]}
"""What rows of holes leave among the ids."""
_PACK_BUCKETS: Final = 64
MOST_LOST: Final = 1_000_000
"""Beginnings of ids that are held at once, some 80 MB."""
Row = tuple[bytes, bytes]
"""Key and value of a chunk in the index."""


class Weights:
    """Live bytes by pack number, in arrays: 16 bytes a pack."""

    def __init__(self, index: Index, horizon: int, excluded: set[int]) -> None:
        """Of the closed packs below number `horizon` that are not `excluded`."""
        self._sizes = array("Q", bytes(8 * horizon))
        self.live = array("Q", bytes(8 * horizon))
        """Live bytes, with what the pack itself needs for its live groups."""
        for row in index.packs():
            if row.closed and row.number < horizon and row.number not in excluded:
                self._sizes[row.number] = row.indexed_bytes

    def size(self, number: int) -> int:
        """Length of a pack that is looked at; 0 of another one."""
        return self._sizes[number] if number < len(self._sizes) else 0

    def packs(self) -> list[int]:
        """Numbers of the packs that are looked at."""
        return [number for number, size in enumerate(self._sizes) if size]

    def unused(self, number: int) -> int:
        """Bytes of a pack that nobody needs."""
        return max(0, self._sizes[number] - self.live[number])


class Emptied:
    """The packs that are worth emptying, those with the largest unused share first, within a budget of bytes to copy."""

    def __init__(self, share: float, budget_bytes: int) -> None:
        self._share, self._budget = share, budget_bytes
        self._heap: list[tuple[float, int, int, array[int]]] = []
        self._bytes = 0

    def offer(self, number: int, size: int, live: int, offsets: array[int], *, mend: bool = False) -> None:
        """A pack with its live groups; to `mend` it, it is emptied whatever its share, and before others."""
        unused = _MENDED if mend else (size - live) / size
        if not live or unused <= self._share:
            return
        heapq.heappush(self._heap, (unused, number, live, offsets))
        self._bytes += live
        while self._bytes > self._budget:
            self._bytes -= heapq.heappop(self._heap)[2]

    def chosen(self) -> list[tuple[int, array[int]]]:
        """Pack numbers with the offsets of their live groups."""
        return [(number, offsets) for _, number, _, offsets in sorted(self._heap, reverse=True)]


def weigh(
    index: Index,
    live: LiveIds,
    weights: Weights,
    emptied: Emptied,
    folder: Path,
    check: Callable[[], None],
    drained: Collection[bytes] = (),
    lost: Collection[bytes] = (),
) -> set[bytes]:
    """Fill in `weights` and `emptied`; `check` may raise Stopped. Packs in `drained` storages are emptied, whatever their share.

    The beginnings of live ids that the index does not know, but for those that are `lost`; if there are any, nothing is
    weighed. Corrupt when they are more than can be proved to be lost.
    """
    buckets = _PACK_BUCKETS if live.partitions > 1 else 1
    groups = Buckets(folder / "groups", buckets, _GROUP.size)
    partition, prefixes, left = -1, set[bytes](), set[bytes]()
    unread, unknown = set(range(live.partitions)), set[bytes]()
    for rows in index.marks.chunks():
        check()
        for number, part in _by_partition(rows, live.partitions):
            if number != partition:
                _add(unknown, left)
                partition, prefixes = number, live.partition(number)
                unread.remove(number)
                left = prefixes.difference(_HOLES, lost)
            found = {key[:PREFIX_BYTES] for key, _ in part} & prefixes
            groups.add({value[: _GROUP.size] for key, value in part if key[:PREFIX_BYTES] in found})
            left -= found
    _add(unknown, left)
    for number in unread:
        _add(unknown, live.partition(number).difference(_HOLES, lost))
    if unknown:
        return unknown
    scarred = index.scarred()
    for bucket in range(buckets):
        check()
        for number, offsets in _count(groups.take(bucket), weights).items():
            # A damaged group that is needed keeps its pack: it goes nowhere, and its bytes may be all that is left.
            mend = number in scarred or (bool(drained) and _storage_of(index, number) in drained)
            mend = mend and not any(index.is_bad(number, offset) for offset in offsets)
            emptied.offer(number, weights.size(number), weights.live[number], offsets, mend=mend)
    return unknown


def _add(unknown: set[bytes], some: set[bytes]) -> None:
    unknown |= some
    if len(unknown) > MOST_LOST:
        raise Corrupt(f"Nothing is collected: more than {MOST_LOST} chunks that copies need are nowhere in the index.")


def _storage_of(index: Index, number: int) -> bytes:
    row = index.pack(number)
    return row.storage if row else b""


def _by_partition(rows: list[Row], partitions: int) -> Iterator[tuple[int, list[Row]]]:
    """Sorted rows of the index, cut where another partition begins."""
    begin = 0
    while begin < len(rows):
        number = rows[begin][0][0] * partitions // 256
        end = bisect_left(rows, (number + 1) * 256 // partitions, begin, key=lambda row: row[0][0])
        yield number, rows[begin:end]
        begin = end


def _count(groups: set[bytes], weights: Weights) -> dict[int, array[int]]:
    """Offsets of these groups by pack; their bytes are added to what is live."""
    found: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
    for number, offset, length in map(_GROUP.unpack, groups):
        if weights.size(number):
            found[number].append(offset)
            weights.live[number] += length
    for number, offsets in found.items():
        weights.live[number] += overhead_bytes(len(offsets))
    return found
