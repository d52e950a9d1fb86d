"""Which blocks are free: runs, found by size. Knows no device and no names; the caller holds a lock.

Run sizes are classed by powers of two, so finding, cutting and joining take the same time however many runs there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rubackup.domain.errors import StorageFull

Extent = tuple[int, int]
"""First block, number of blocks."""

_LOOK: Final = 64
"""So many runs of a class are looked at for one that fits."""
_CLASSES: Final = 64
_LENGTH_BITS: Final = 32
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1


class FreeSpace:
    """Free runs of blocks; growing files hold a run ahead of what they have, which others get when nothing else is left."""

    def __init__(self, label: str, runs: Iterable[Extent]) -> None:
        self._label = label
        self._runs: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        """Of each run, by the block behind it."""
        self._classes: list[dict[int, None]] = [{} for _ in range(_CLASSES)]
        self._held: dict[object, Extent] = {}
        self.free_blocks = 0
        """In runs, or held."""
        self.promised_blocks = 0
        """Of these, wanted by what waits in memory."""
        self.closed = ""
        """Why nothing is given out."""
        for start, blocks in runs:
            self._put(start, blocks)
            self.free_blocks += blocks

    # --- promises ---

    def promise(self, blocks: int) -> None:
        """Keep so many for what waits in memory (negative: no longer); StorageFull."""
        if blocks > 0:
            self._check(blocks)
        self.promised_blocks += blocks

    def _check(self, blocks: int) -> None:
        if self.closed:
            raise StorageFull(self.closed, folder=self._label)
        if blocks > self.free_blocks - self.promised_blocks:
            raise StorageFull(f"There is no room left in {self._label}.", folder=self._label)

    # --- taking ---

    def take(self, owner: object, blocks: int, ahead: int = 0) -> list[Extent]:
        """So many blocks, as few runs as can be; `ahead` more are held for the owner. StorageFull, and nothing is taken.

        Without `ahead` they come from the end of a run: small things lie apart from large ones.
        """
        self._check(blocks)
        self.free_blocks -= blocks
        taken: list[Extent] = []
        if (held := self._held.pop(owner, None)) is not None:
            start, length = held
            part = min(blocks, length)
            if part:
                taken.append((start, part))
            if length > part:
                self._held[owner] = (start + part, length - part)
            blocks -= part
        while blocks:
            found = self._find(blocks + ahead)
            if found is None:
                self._take_back()
                continue
            start, length = found, self._cut(found)
            part = min(blocks, length)
            blocks -= part
            if not ahead:
                taken.append((start + length - part, part))
                self._put_if(start, length - part)
                continue
            taken.append((start, part))
            more = min(length - part, 0 if blocks else ahead)
            if more:
                self._held[owner] = (start + part, more)
            self._put_if(start + part + more, length - part - more)
        return taken

    def release(self, owner: object) -> None:
        """What is held for the owner goes back."""
        if (held := self._held.pop(owner, None)) is not None:
            self._join(*held)

    def give(self, extents: Iterable[Extent]) -> None:
        """These are free now."""
        for start, blocks in extents:
            self._join(start, blocks)
            self.free_blocks += blocks

    def runs(self) -> Iterator[Extent]:
        """The free runs, without what is held; no order."""
        yield from self._runs.items()

    # --- runs ---

    def _take_back(self) -> None:
        if not self._held:
            raise AssertionError("free blocks were counted that are in no run")
        for owner in list(self._held):
            self.release(owner)

    def _find(self, blocks: int) -> int | None:
        """The start of a run: one that fits closely, any that fits, else one of the longest."""
        own = blocks.bit_length()
        fits = [
            start for _, start in zip(range(_LOOK), self._classes[own], strict=False) if self._runs[start] >= blocks
        ]
        if fits:
            return min(fits, key=lambda start: (self._runs[start], start))
        for runs in self._classes[own + 1 :]:
            if runs:
                return next(iter(runs))
        for runs in reversed(self._classes[: own + 1]):
            if runs:
                return max((start for _, start in zip(range(_LOOK), runs, strict=False)), key=self._runs.__getitem__)
        return None

    def _put_if(self, start: int, blocks: int) -> None:
        if blocks:
            self._put(start, blocks)

    def _put(self, start: int, blocks: int) -> None:
        self._runs[start] = blocks
        self._starts[start + blocks] = start
        self._classes[blocks.bit_length()][start] = None

    def _cut(self, start: int) -> int:
        """Take a whole run out; its length."""
        blocks = self._runs.pop(start)
        del self._starts[start + blocks]
        del self._classes[blocks.bit_length()][start]
        return blocks

    def _join(self, start: int, blocks: int) -> None:
        if (before := self._starts.get(start)) is not None:
            start, blocks = before, blocks + self._cut(before)
        if start + blocks in self._runs:
            blocks += self._cut(start + blocks)
        self._put(start, blocks)


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """The same blocks in the same order, neighbours as one."""
    found: list[Extent] = []
    for start, blocks in extents:
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], found[-1][1] + blocks)
        else:
            found.append((start, blocks))
    return found


def cut_at(extents: Iterable[Extent], blocks: int) -> tuple[list[Extent], list[Extent]]:
    """The first so many blocks, and the rest."""
    front: list[Extent] = []
    rest: list[Extent] = []
    for start, length in extents:
        part = min(length, blocks)
        blocks -= part
        if part:
            front.append((start, part))
        if length > part:
            rest.append((start + part, length - part))
    return front, rest


def gaps(used: Iterable[Extent], blocks: int) -> tuple[list[Extent], list[Extent]]:
    """The free runs of so many blocks, and where two of the used extents overlap."""
    free: list[Extent] = []
    twice: list[Extent] = []
    at = 0
    for one in sorted(start << _LENGTH_BITS | length for start, length in used):  # a number takes a third of a tuple
        start, length = one >> _LENGTH_BITS, one & _LENGTH_MASK
        if start > at:
            free.append((at, start - at))
        elif start < at:
            twice.append((start, min(at, start + length) - start))
        at = max(at, start + length)
    if at < blocks:
        free.append((at, blocks - at))
    return free, twice
