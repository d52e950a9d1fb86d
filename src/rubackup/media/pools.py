"""The pools of a media server: opened as the server configures them, closed when they go.

A pool that cannot be opened is kept with the sentence that says why, so that the server
can show it and every use of it is refused with that sentence.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import msgspec

from rubackup.agent.folders import Ground, check_folder
from rubackup.chunkstore.digests import DigestSpec
from rubackup.chunkstore.pool import GcSafety, Pool
from rubackup.domain.errors import Busy, Conflict, RubackupError, StorageFault
from rubackup.domain.pools import NOT_RECONCILED, OPENING, UNUSABLE, PoolProblem
from rubackup.media.devices import HOST, Kernel
from rubackup.media.emergency import OWNER_DIGITS, emergency_folder
from rubackup.media.held import FilePool, unknown_pools
from rubackup.media.history import KNOWN, UNKNOWN, History, Standing
from rubackup.media.lanes import Lanes
from rubackup.media.places import Places
from rubackup.wire.messages import (
    EmergencyState,
    HeldPool,
    PoolConfig,
    PoolState,
    StorageConfig,
    StorageNeed,
    StorageState,
)

log = logging.getLogger(__name__)

UNTOLD = "The media server has not been told its pools yet."
UNSERVED = "The media server does not serve this pool."
PATIENCE_SECONDS = 60.0
"""How long tasks and sessions wait for a pool that is being opened; after a crash an object storage is read for that."""
LEVELS: dict[str, int | None] = {"None": None, "fast": 1, "optimal": 3, "best": 9}
"""zstd level by the pool's compression type (domain.lookups.CompressionType)."""


class Problem(NamedTuple):
    """Why a pool is not open."""

    text: str
    code: PoolProblem


def _nothing_of(pool_id: int, problem: str, code: str) -> PoolState:
    return PoolState(
        id=pool_id, problem=problem, code=code, free_bytes=0, used_bytes=0, total_bytes=0, chunks=0, records=0
    )


def _is_folder(storage: StorageConfig) -> bool:
    return storage.device is None and storage.bucket is None


class PoolKeeper:
    """Every configured pool, by its number in the catalogue. Thread-safe."""

    def __init__(
        self,
        metadata: Path,
        ground: Ground | None = None,
        safety: GcSafety | None = None,
        key: Path | None = None,
        hwid: str = "media",
        kernel: Kernel = HOST,
    ) -> None:
        """`key`: the media server's private key, which opens the sealed keys of buckets."""
        self._hwid, self._kernel = hwid, kernel
        self.safety = safety or GcSafety()
        self._metadata = metadata
        self._ground = ground or Ground((metadata,))
        self.places = Places(metadata, self._ground, key)
        self._lock = threading.RLock()
        self._configs: dict[int, PoolConfig] = {}
        self._open: dict[int, Pool] = {}
        self._problems: dict[int, Problem] = {}
        self._history = History(metadata)
        self._standings: dict[int, Standing] = {}
        self._applied: dict[int, PoolConfig] = {}
        """What each pool was brought to last."""
        self._states: dict[int, PoolState] = {}
        self._slow: Lanes[None] = Lanes()
        self._configured = threading.Event()

    def configure(self, configs: list[PoolConfig], terms: Sequence[tuple[int, str]] = ()) -> None:
        """Make the open pools those of the list; `terms` are those of the catalogue that has it."""
        with self._lock:
            self._standings = {
                one.id: self._history.meet(
                    one.uuid,
                    list(terms),
                    reconciled=one.reconciled,
                    contact=one.contact,
                    folders=[Path(storage.path) for storage in one.storages if _is_folder(storage)],
                    others=self.places.holders(one.storages, one.uuid),
                    name=one.name,
                )
                for one in configs
            }
            wanted = {config.id: config for config in configs}
            former = self._configs.keys() - wanted.keys()
            late = {config.id for config in configs if self._keeps_waiting(config)}
            self._configs = wanted
            begun = self._settle_all([*former, *wanted])
            self._configured.set()
        self._slow.wait(work for pool_id, work in begun.items() if pool_id not in late)

    def meet_again(self, contacts: Sequence[tuple[int, int]]) -> None:
        """The server has numbered this contact with these pools; StorageFault when that cannot be kept."""
        with self._lock:
            for pool_id, contact in contacts:
                config = self._configs.get(pool_id)
                if config is not None:
                    self._standings[pool_id] = self._history.meet_again(config.uuid, contact)

    def get(self, pool_id: int) -> Pool:
        """The open pool; StorageFault says why it cannot be used, Busy that this is not known yet."""
        return self._get(pool_id, None)

    def wait_for(self, pool_id: int) -> Pool:
        """As `get`, for those who have time: a pool that is being opened is waited for."""
        self._configured.wait(PATIENCE_SECONDS)
        return self._get(pool_id, PATIENCE_SECONDS)

    def _get(self, pool_id: int, seconds: float | None) -> Pool:
        if pool_id in self._slow and pool_id not in self._open:
            self._slow.wait(self._slow.at_work(pool_id), seconds)
        with self._lock:
            if pool_id not in self._slow:
                self._heal(pool_id)
            pool = self._open.get(pool_id)
            if pool is not None:
                return pool
            if not self._configured.is_set():
                raise Busy(UNTOLD)
            if problem := self._problems.get(pool_id):
                raise StorageFault(problem.text, pool_id=pool_id)
            if pool_id in self._configs:
                raise Busy(OPENING)
            raise StorageFault(UNSERVED, pool_id=pool_id)

    def is_reconciled(self, pool_id: int) -> bool:
        """Whether the pool knows the catalogue of the servers."""
        return self._standings.get(pool_id, UNKNOWN).reconciled

    def to_delete_from(self, pool_id: int) -> Pool:
        """The open pool, to delete or collect in it; Conflict while it does not know the catalogue."""
        if not self._standings.get(pool_id, KNOWN).reconciled:
            raise Conflict(NOT_RECONCILED)
        return self.get(pool_id)

    def ids(self) -> list[int]:
        """The pools that are open; does not wait for those that are being opened."""
        return list(self._open)

    def of_folders(self) -> list[int]:
        """The pools that are open and have folders only."""
        with self._lock:
            configs = list(self._configs.values())
            return [one.id for one in configs if one.id in self._open and all(map(_is_folder, one.storages))]

    def held(self) -> list[HeldPool]:
        """Pools that were served here, and that the servers have not told of; Busy before they have told any."""
        if not self._configured.is_set():
            raise Busy(UNTOLD)
        with self._lock:
            known = {one.uuid for one in self._configs.values()}
            names = {one.id: one.name for one in self._configs.values()}
            files = [FilePool(names[pool_id], self._open[pool_id]) for pool_id in self.of_folders()]
        return unknown_pools(self._metadata, known, files, self._kernel)

    def metadata_pools(self) -> list[tuple[int, int]]:
        """Each open pool whose metafiles are kept in another one, and that one."""
        with self._lock:
            configs = list(self._configs.values())
            return [(one.id, one.metadata_pool) for one in configs if one.metadata_pool and one.id in self._open]

    def states(self) -> list[PoolState]:
        """How each configured pool is; of one whose object storage keeps it waiting, how it was last."""
        with self._lock:
            ids = list(self._configs)
            begun = self._settle_all(ids)
        self._slow.wait(begun.values())
        return [state for pool_id in ids if (state := self._told(pool_id)) is not None]

    def _settle_all(self, ids: Sequence[int]) -> dict[int, Future[None]]:
        """Bring each pool to what is configured; with those of buckets it is begun: the work by pool. The lock is held."""
        slow = [pool_id for pool_id in ids if self._is_slow(pool_id)]
        begun = {one: self._slow.begin(one, functools.partial(self._settle_slowly, one)) for one in slow}
        for pool_id in ids:
            if pool_id not in slow:
                self._settle(pool_id)
        return begun

    def _keeps_waiting(self, config: PoolConfig) -> bool:
        """Whether a pool's object storage does not answer just now, or did not the last time, and nothing else is configured."""
        state = self._states.get(config.id)
        failed = bool(self._problems.get(config.id) or (state is not None and state.problem))
        applied = self._applied.get(config.id)
        same = applied is not None and msgspec.structs.replace(applied, contact=config.contact) == config
        return bool(self._slow.at_work(config.id)) or (failed and same)

    def _settle_slowly(self, pool_id: int) -> None:
        """As `_settle`, in a thread of its own, without the lock: nobody else touches this pool's entries."""
        try:
            self._settle(pool_id)
        except Exception as error:
            log.exception("pool %d cannot be looked at", pool_id)
            told = f"The pool cannot be looked at: {error}"
            self._states[pool_id] = _nothing_of(pool_id, told, PoolProblem.OTHER)

    def _is_slow(self, pool_id: int) -> bool:
        config = self._configs.get(pool_id)
        return pool_id in self._slow or (config is not None and any(one.bucket for one in config.storages))

    def _settle(self, pool_id: int) -> None:
        """Open, change or close a pool as configured, notice what changed by itself, and note how it is."""
        config = self._configs.get(pool_id)
        if config is None:
            self._close(pool_id)
            for known in (self._problems, self._states, self._applied):
                known.pop(pool_id, None)
            return
        self._heal(pool_id)
        if self._applied.get(pool_id) is not config:
            self._apply(config)
            self._applied[pool_id] = config
        else:
            self._look(config)
        self._states[pool_id] = self._state(config)

    def _told(self, pool_id: int) -> PoolState | None:
        config, state = self._configs.get(pool_id), self._states.get(pool_id)
        if config is None:
            return None
        standing = self._standings.get(pool_id, UNKNOWN)
        told = {"reconciled": standing.reconciled, "contact": standing.contact}
        if state is None or self._applied.get(pool_id) is not config or self._slow.at_work(pool_id):
            nothing = _nothing_of(pool_id, OPENING, PoolProblem.OPENING)
            state = msgspec.structs.replace(state or nothing, problem=OPENING, code=PoolProblem.OPENING)
        return msgspec.structs.replace(state, **told)

    def check_folder(self, path: str, pool: str, *, existing: bool = False) -> None:
        """Invalid or Conflict when the folder cannot become a storage of the pool with this uuid."""
        check_folder(path, pool, self._folders(), self._ground, existing=existing)

    def need(self, pool_id: int, storage_id: int) -> StorageNeed:
        """Whether a pool can do without one of its storages; of a pool that is not open nothing is known."""
        with self._lock:
            config, pool = self._configs.get(pool_id), self._open.get(pool_id)
            problem = self._problems.get(pool_id)
        path = next((one.path for one in config.storages if one.id == storage_id), "") if config else ""
        if not path:
            return StorageNeed(in_pool=True, reason="The media server does not know the storage yet.")
        if pool is None:
            return StorageNeed(in_pool=True, reason=problem.text if problem else "The pool is not open.")
        return StorageNeed(in_pool=not pool.is_left_out(path), reason=pool.needs(path))

    def close(self) -> None:
        """Close every pool."""
        with self._lock:
            former, self._configs = list(self._open), {}
            begun = self._settle_all(former)
        self._slow.wait(begun.values())

    def _apply(self, config: PoolConfig) -> None:
        if not config.storages:
            self._leave_all(config)
            self._close(config.id)
            self._problems[config.id] = Problem(f"Pool {config.name} has no storage yet.", PoolProblem.NO_STORAGE)
            return
        storages = [self.places.location(storage, config.uuid) for storage in config.storages]
        level, emergency = LEVELS.get(config.compression, 1), self._emergency(config)
        try:
            pool = self._open.get(config.id)
            if pool is not None:
                pool.reconfigure(storages, config.reserve_bytes, level, evenly=config.evenly, emergency=emergency)
            else:
                self._open[config.id] = Pool.open(
                    uuid=config.uuid,
                    metadata=self._metadata / config.uuid,
                    storages=storages,
                    reserve_bytes=config.reserve_bytes,
                    level=level,
                    evenly=config.evenly,
                    emergency=emergency,
                    digest=DigestSpec(config.algorithm, config.hash_length) if config.algorithm else None,
                    block_bytes=config.block_size,
                )
                log.info("pool %s is open", config.name)
            self._problems.pop(config.id, None)
            self.places.tidy(config.uuid, storages)
        except (RubackupError, OSError) as error:
            log.error("pool %s cannot be used: %s", config.name, error)
            self._problems[config.id] = Problem(f"Pool {config.name}{UNUSABLE}{error}", PoolProblem.UNUSABLE)
        except Exception as error:  # the other pools are served, and this one says why it is not
            log.exception("pool %s cannot be used", config.name)
            told = f"Pool {config.name}{UNUSABLE}{type(error).__name__}: {error}"
            self._problems[config.id] = Problem(told, PoolProblem.UNUSABLE)

    def _emergency(self, config: PoolConfig) -> Callable[[bool], Path | None] | None:
        """Where what no storage of the pool has room for goes; None when that is off."""
        if not config.emergency:
            return None
        return emergency_folder(config.emergency, self._hwid[:OWNER_DIGITS], config.uuid, self._folders, self._ground)

    def _folders(self) -> list[str]:
        """Without the lock: sessions ask while pools are repaired."""
        configs = list(self._configs.values())
        return [storage.path for config in configs for storage in config.storages if storage.bucket is None]

    def _leave_all(self, config: PoolConfig) -> None:
        """The pool's last folder was taken out: the pool need not wait for it later."""
        pool = self._open.get(config.id)
        if pool is None:
            return
        try:
            pool.reconfigure([], config.reserve_bytes, LEVELS.get(config.compression, 1), evenly=config.evenly)
        except RubackupError as error:
            log.warning("pool %s may wait for its last folder: %s", config.name, error.message)

    def _heal(self, pool_id: int) -> None:
        """Open a pool again whose index was found damaged: that rebuilds it from the storages."""
        pool = self._open.get(pool_id)
        if pool is not None and pool.index_damaged:
            log.error("the index of pool %s is damaged; it is rebuilt", self._configs[pool_id].name)
            self._close(pool_id)
            self._apply(self._configs[pool_id])

    def _look(self, config: PoolConfig) -> None:
        """Notice folders that went away or came back; a pool that could not be opened is tried again."""
        pool = self._open.get(config.id)
        if pool is not None:
            pool.look()
        elif config.storages:
            self._apply(config)

    def _close(self, pool_id: int) -> None:
        pool = self._open.pop(pool_id, None)
        if pool is not None:
            pool.close()

    def _state(self, config: PoolConfig) -> PoolState:
        pool = self._open.get(config.id)
        problem = self._problems.get(config.id)
        if pool is None:
            return _nothing_of(config.id, *(problem or ("", "")))
        usage = pool.usage()
        if problem is None and usage.problem:
            problem = Problem(usage.problem, PoolProblem.FULL if usage.full else PoolProblem.STORAGE)
        return PoolState(
            id=config.id,
            problem=problem.text if problem else "",
            code=problem.code if problem else "",
            free_bytes=usage.free_bytes,
            used_bytes=usage.used_bytes,
            total_bytes=usage.total_bytes,
            chunks=usage.chunks,
            records=usage.records,
            storages=self._storages(config, pool),
            emergency=[
                EmergencyState(
                    path=fill.path,
                    problem=fill.problem,
                    free_bytes=fill.free_bytes,
                    used_bytes=fill.used_bytes,
                    total_bytes=fill.total_bytes,
                )
                for fill in pool.fills()
                if fill.emergency
            ],
            away=pool.away(),
        )

    @staticmethod
    def _storages(config: PoolConfig, pool: Pool) -> list[StorageState]:
        fills = {fill.path: fill for fill in pool.fills()}
        return [
            StorageState(
                id=storage.id,
                problem=fill.problem,
                free_bytes=fill.free_bytes,
                used_bytes=fill.used_bytes,
                total_bytes=fill.total_bytes,
            )
            for storage in config.storages
            if (fill := fills.get(storage.path)) is not None
        ]
