"""What a collection works on: the parts of an open pool that it may use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rubackup.chunkstore._marks import ZEROING, Mark
from rubackup.chunkstore.gc.guard import Guard
from rubackup.chunkstore.gc.safety import GcResult, GcSafety
from rubackup.chunkstore.hashes import Hashes
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.storage import Storages

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ground:
    """Of one run."""

    pool: bytes
    index: Index
    storages: Callable[[], Storages]
    away: Callable[[], list[str]]
    """Paths of the pool's storages that are not there; with the lock."""
    unreadable: Callable[[], list[str]]
    """Packs that could not be read when the pool was opened."""
    listable: Callable[[str], bool]
    """Whether a record whose manifest is there belongs into the index: it could be read then, and was not dropped; with the lock."""
    lock: threading.RLock
    """The pool's."""
    guard: Guard
    oldest_turn: Callable[[], int]
    """The lowest turn of a running session; with the lock."""
    now_ns: Callable[[], int]
    steady_ns: Callable[[], int]
    """A clock that nobody sets; only differences mean something."""
    folder: Path
    """For temporary files."""
    safety: GcSafety
    zeroing: bool
    """Whether what is condemned is to be overwritten when it goes."""
    progress: Callable[[int, int], None]
    """Gets bytes done and total."""
    check: Callable[[], None]
    """May raise Stopped."""
    result: GcResult
    hashes: Hashes | None = None
    """What the pool records beside its packs."""

    def new_mark(self) -> Mark:
        """A mark of this moment; with the lock."""
        return Mark(self.now_ns(), ZEROING if self.zeroing else 0, self.guard.next_turn(), self.steady_ns())

    def problem(self, text: str) -> None:
        """Tell of it, once."""
        if text not in self.result.problems:
            log.error("%s", text)
            self.result.problems.append(text)
