"""What sessions and a running collection must know of each other; every method needs the pool's lock."""

from __future__ import annotations

from collections.abc import Iterable

from rubackup.domain.errors import Busy, Conflict


class Guard:
    """Of one pool."""

    def __init__(self) -> None:
        self.turn = 0
        """Rises with each session and each mark, so that it can be told which was first."""
        self.changes = 0
        """Rises whenever packs are condemned, groups moved, or a removal begins."""
        self.running = False
        self.moved: dict[tuple[bytes, str], int] = {}
        """Storage and name of manifests that lie elsewhere too, and the instant of the steady clock from which they did."""
        self._touched: set[int] = set()
        self._disturbed = False

    def next_turn(self) -> int:
        """A turn higher than all before."""
        self.turn += 1
        return self.turn

    def begin(self) -> None:
        """A collection or a sweep begins; Busy when another one runs."""
        if self.running:
            raise Busy("The pool is being collected already.")
        self.running, self._touched, self._disturbed = True, set(), False

    def end(self) -> None:
        """It is over."""
        self.running, self._touched = False, set()

    def sealed(self, packs: Iterable[int]) -> None:
        """A record that needs these packs was listed."""
        if self.running:
            self._touched.update(packs)

    def disturb(self) -> None:
        """A storage joined or left the pool: what a running collection knows of live chunks is not the whole."""
        self._disturbed = True

    def touched(self) -> set[int]:
        """Packs of records that were sealed since the collection began; Conflict when it cannot go on."""
        if self._disturbed:
            raise Conflict("The storages of the pool changed while it was collected; it is collected again later.")
        return self._touched
