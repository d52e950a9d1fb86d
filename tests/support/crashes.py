"""Crashes of a pool in memory at a chosen step, and what is left of its storage then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.domain.errors import RubackupError
from support.chunkstore import Place, record_id

Survivors = Callable[[MemoryBackend], MemoryBackend]
"""What is left of a storage after a crash."""


class Crash(Exception):
    """The power is gone."""


class Crasher:
    """Ends the world at one step, keeping what a disk would hold: the storage, and a copy of the index."""

    def __init__(self, place: Place, step: int, survivors: Survivors) -> None:
        self.place, self.left, self.survivors = place, step, survivors
        self.crashed: Place | None = None
        self.promised = [record_id(1)]

    def __call__(self, operation: str, name: str, done: bool) -> None:
        """Called before and after each operation on the storage."""
        if self.crashed is None and operation != "read":
            self.left -= 1
            if self.left < 0:
                self.crashed = self._copy()
        if self.crashed is not None:
            raise Crash

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What runs within may be ended by the crash, and by nothing else; then the pools of the place are let go."""
        try:
            yield
        except (Crash, RubackupError):
            assert self.crashed is not None
        for left in self.place.opened:
            try:
                left.close()
            except Crash:
                left._index.close()
        self.place.opened.clear()

    def _copy(self) -> Place:
        folder = Path(f"{self.place.folder}-crashed")
        shutil.copytree(self.place.folder, folder)
        survivor = Place(folder)
        survivor.backends["one"] = self.survivors(self.place.memory())
        return survivor


def everything(backend: MemoryBackend) -> MemoryBackend:
    """The process died, the machine did not: all that was written is there."""
    copy = MemoryBackend(backend.label)
    for name, file in backend.files.items():
        copy.put(name, bytes(file.data))
    return copy


def nothing_unsynced(backend: MemoryBackend) -> MemoryBackend:
    """The power is gone, and nothing that was not synced is there."""
    return backend.after_power_loss()


def half(backend: MemoryBackend) -> MemoryBackend:
    """The power is gone, and half of what was not synced is there."""
    return backend.after_power_loss(torn=True)


def at_every_step(
    folder: Path,
    run: Callable[[Place, int, Survivors], Crasher],
    survivors: Survivors,
    *,
    lose_index: bool,
) -> Iterator[tuple[Place, Crasher]]:
    """What each crash leaves, with or without its index, until `run` comes to its end before it crashes."""
    for step in count():
        crasher = run(Place(folder / str(step)), step, survivors)
        if crasher.crashed is None:
            return
        if lose_index:
            crasher.crashed.lose_index()
        yield crasher.crashed, crasher
