"""The part of a pool that frees what no record needs. Design: `docs/design/chunkstore.md`, Garbage collection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from rubackup.chunkstore import seals
from rubackup.chunkstore.gc.collection import collect
from rubackup.chunkstore.gc.drain import remove_moved
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.gc.guard import Guard
from rubackup.chunkstore.gc.remove import remove_due
from rubackup.chunkstore.gc.safety import GcResult, GcSafety
from rubackup.chunkstore.gc.tidy import tidy
from rubackup.chunkstore.hashes import Hashes
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.roster import Roster
from rubackup.chunkstore.storage import Storages
from rubackup.chunkstore.write import WriteSession
from rubackup.domain.errors import StorageFault

_NEVER = 1 << 62


class Collecting:
    """What `Pool` inherits; the attributes are the pool's."""

    _pool: bytes
    _metadata: Path
    _index: Index
    _storages: Storages
    _roster: Roster
    _lock: threading.RLock
    _guard: Guard
    _sessions: dict[int, WriteSession]
    _closed: bool
    _unreadable: list[str]
    _unlisted: set[str]
    now_ns: Callable[[], int]
    steady_ns: Callable[[], int]
    leave_emergency: Callable[[], None]
    _hashes: Hashes | None

    def _dropped(self, record: str) -> bool:
        return any(one.has(seals.tombstone_name(record)) for one in self._storages.all)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageFault("The pool is closed.")

    def collect(
        self,
        progress: Callable[[int, int], None],
        check: Callable[[], None],
        *,
        unfinished: Collection[int] | None = None,
        zeroing: bool = False,
        safety: GcSafety | None = None,
    ) -> GcResult:
        """Free what no record needs; what was condemned goes with a later `sweep` or `collect`, after its grace.

        `progress` gets bytes done and total, `check` may raise Stopped; what was done till then stays done. Tasks that are
        not `unfinished` lose their pins (None: none does). Corrupt or StorageFault, and nothing is changed, when a
        manifest cannot be read; Busy when a collection runs; Conflict when storages joined or left meanwhile.
        """
        with self._ground(progress, check, zeroing=zeroing, safety=safety) as ground:
            collect(ground, unfinished, lambda: set(self._sessions))
            remove_moved(ground)
            with self._lock:
                self.leave_emergency()
            return ground.result

    def sweep(self, check: Callable[[], None], *, safety: GcSafety | None = None) -> GcResult:
        """Remove what was condemned and is due. Cheap when there is nothing. StorageFault when a storage is away."""
        with self._ground(lambda *_: None, check, safety=safety) as ground:
            remove_due(ground)
            remove_moved(ground)
            with self._lock:
                self.leave_emergency()
            return ground.result

    def tidy(self, check: Callable[[], None], *, safety: GcSafety | None = None) -> GcResult:
        """Remove old tombstones, and what interrupted writing left beside them; errors as for `collect`."""
        with self._ground(lambda *_: None, check, safety=safety) as ground:
            tidy(ground)
            return ground.result

    @property
    def condemned_packs(self) -> int:
        """How many packs wait for their removal."""
        return len(self._index.marks.condemned)

    @property
    def sweepable(self) -> bool:
        """Whether a sweep may find something, now or later."""
        return bool(self._index.marks.condemned or self._guard.moved)

    @contextmanager
    def _ground(
        self,
        progress: Callable[[int, int], None],
        check: Callable[[], None],
        *,
        safety: GcSafety | None,
        zeroing: bool = False,
    ) -> Iterator[Ground]:
        with self._lock:
            self._check_open()
            self._guard.begin()
        try:
            yield Ground(
                pool=self._pool,
                index=self._index,
                storages=lambda: self._storages,
                away=lambda: self._roster.away(one.id for one in self._storages.all),
                unreadable=lambda: self._unreadable,
                listable=lambda record: record not in self._unlisted and not self._dropped(record),
                lock=self._lock,
                guard=self._guard,
                oldest_turn=lambda: min((one.turn for one in self._sessions.values()), default=_NEVER),
                now_ns=self.now_ns,
                steady_ns=self.steady_ns,
                folder=self._metadata / "collect",
                safety=safety or GcSafety(),
                zeroing=zeroing,
                progress=progress,
                check=check,
                result=GcResult(),
                hashes=self._hashes,
            )
        finally:
            with self._lock:
                self._guard.end()
