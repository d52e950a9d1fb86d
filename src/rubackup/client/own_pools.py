"""The client's own parts of Client defined pools: a pool in folders that this client's settings name, which nobody else opens.

Index, fences and lock lie in the client's state folder, as an index belongs on a local disk; packs and manifests lie in the
named folders, each in a folder of its own for pool and client. Design: `docs/design/pools.md`, Client defined pools.
"""

from __future__ import annotations

import logging
import os
import shlex
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rubackup.agent.folders import Ground, check_ground
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.locations import Folder, Location, Unopened
from rubackup.chunkstore.pool import GcSafety, Pool
from rubackup.chunkstore.roster import Roster
from rubackup.domain.errors import Invalid, RubackupError, StorageFault
from rubackup.domain.pools import client_pool_uuid, kept_folder
from rubackup.wire.messages import ClientPool, PoolState, StorageState

log = logging.getLogger(__name__)
SETTING: Final = "CLIENT_DEFINED_STORAGES"
_FORM: Final = f"{SETTING} has pairs such as name=/folder, separated by blanks and quoted as for a shell; {{}}."


class NoFolder(StorageFault):
    """This client has no folder for any storage of a pool."""


def parse_storages(text: str) -> dict[str, Path]:
    """Folders by the names of their storages; Invalid names what is no such pair."""
    try:
        pairs = shlex.split(text)
    except ValueError as error:
        raise Invalid(_FORM.format("a quote is not closed")) from error
    found: dict[str, Path] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=/")
        if not separator:
            raise Invalid(_FORM.format(f"{pair!r} is none"))
        if name in found:
            raise Invalid(_FORM.format(f"{name!r} is there twice"))
        found[name] = Path("/" + path)
    return found


class OwnPools:
    """Those of one client. Thread-safe."""

    def __init__(
        self,
        hwid: str,
        folders: Mapping[str, Path],
        state: Path,
        ground: Ground | None = None,
        safety: GcSafety | None = None,
    ) -> None:
        """`folders` by the names of storages; `state`: where indexes are kept."""
        self.safety = safety or GcSafety()
        self._hwid, self._folders, self._state = hwid, dict(folders), state
        self._ground = ground or Ground((state,), host="client")
        self._lock = threading.RLock()
        self._configs: dict[int, ClientPool] = {}
        self._applied: dict[int, ClientPool] = {}
        self._open: dict[int, Pool] = {}

    def names(self) -> list[str]:
        """The storages that this client has folders for."""
        return sorted(self._folders)

    def configure(self, configs: Sequence[ClientPool]) -> None:
        """These pools there are, and no others. Those that were written to before are opened."""
        with self._lock:
            self._configs = {config.id: config for config in configs}
            for pool_id in self._open.keys() - self._configs.keys():
                self._close(pool_id)
            for config in configs:
                if self._is_used(config) and self._named(config):
                    try:
                        self.get(config.id)
                    except RubackupError as error:
                        log.warning("pool %s cannot be used: %s", config.name, error.message)

    def told(self, config: ClientPool) -> Pool:
        """The pool of an order, open; made when it is new here. StorageFault says why it cannot be used."""
        with self._lock:
            self._configs[config.id] = config
            return self.get(config.id)

    def get(self, pool_id: int) -> Pool:
        """The open pool; StorageFault says why it cannot be used, NoFolder that the settings name no folder for it."""
        with self._lock:
            config = self._configs.get(pool_id)
            if config is None:
                raise StorageFault("The client has not been told this pool yet.", pool_id=pool_id)
            pool = self._open.get(pool_id)
            if pool is not None and pool.index_damaged:
                log.error("the index of pool %s is damaged; it is rebuilt", config.name)
                self._close(pool_id)
                pool = None
            if pool is None or self._applied.get(pool_id) != config:
                pool = self._apply(config, pool)
            else:
                pool.look()
            return pool

    def ids(self) -> list[int]:
        """The pools that are open."""
        return list(self._open)

    def is_reconciled(self, _pool_id: int) -> bool:
        """What may be deleted here was said by the server that leads, record by record."""
        return True

    def states(self) -> list[PoolState]:
        """How those pools are for which this client has a folder; one that is not used yet is not made for that."""
        with self._lock:
            return [self._state_of(config) for config in self._configs.values() if self._named(config)]

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for pool_id in list(self._open):
                self._close(pool_id)

    def _close(self, pool_id: int) -> None:
        self._applied.pop(pool_id, None)
        if pool := self._open.pop(pool_id, None):
            pool.close()

    def _named(self, config: ClientPool) -> list[tuple[int, str, Path]]:
        """Id, name and folder of the storages that this client has folders for."""
        return [(number, name, self._folders[name]) for number, name in config.storages if name in self._folders]

    def _metadata(self, config: ClientPool) -> Path:
        return self._state / client_pool_uuid(config.uuid, self._hwid)

    def _is_used(self, config: ClientPool) -> bool:
        return (self._metadata(config) / "index").is_dir()

    def _apply(self, config: ClientPool, pool: Pool | None) -> Pool:
        named = self._named(config)
        if not named:
            names = ", ".join(repr(name) for _, name in config.storages) or "it has none yet"
            raise NoFolder(
                f"This client has no folder for pool {config.name}: its setting {SETTING} has to name one for a storage "
                f"of the pool ({names}).",
                pool_id=config.id,
            )
        locations = [self._location(config, folder) for _, _, folder in named]
        if pool is not None:
            pool.reconfigure(locations, config.reserve_bytes, None, evenly=config.evenly)
        else:
            reasons = [one.reason for one in locations if isinstance(one, Unopened)]
            if len(reasons) == len(locations):
                raise StorageFault(" ".join(reasons), pool_id=config.id)
            pool = self._open[config.id] = Pool.open(
                uuid=client_pool_uuid(config.uuid, self._hwid),
                metadata=self._metadata(config),
                storages=locations,
                reserve_bytes=config.reserve_bytes,
                level=None,
                evenly=config.evenly,
            )
            log.info("pool %s is open", config.name)
        self._applied[config.id] = config
        return pool

    def _place(self, config: ClientPool, folder: Path) -> Path:
        return folder / kept_folder(config.uuid, self._hwid)

    def _location(self, config: ClientPool, folder: Path) -> Location:
        """The part of a named folder that is this pool's; it is made where the pool has never had it."""
        place = self._place(config, folder)
        try:
            check_ground(str(folder), self._ground)
        except Invalid as error:
            return Unopened(str(place), f"The folder {folder} of {SETTING} cannot be used: it {error.message}")
        if not place.is_dir():
            if str(place) in self._known(config):
                return Unopened(str(place), f"The storage {place} is gone: is its disk mounted?")
            try:
                place.mkdir(mode=0o700)
            except OSError as error:
                reason = error.strerror or error
                return Unopened(str(place), f"The folder {place} cannot be made: {reason}.")
        return Folder(place)

    def _known(self, config: ClientPool) -> set[str]:
        """Paths of the storages that the pool has had here."""
        roster = Roster(bytes.fromhex(client_pool_uuid(config.uuid, self._hwid)))
        roster.learn(LocalBackend(self._metadata(config)))
        return set(roster.paths().values())

    def _state_of(self, config: ClientPool) -> PoolState:
        problem, pool = "", self._open.get(config.id)
        if pool is not None or self._is_used(config):
            try:
                pool = self.get(config.id)
            except RubackupError as error:
                problem = error.message
        if pool is None:
            return self._unused(config, problem)
        usage = pool.usage()
        fills = {fill.path: fill for fill in pool.fills()}
        return PoolState(
            id=config.id, problem=problem or usage.problem, free_bytes=usage.free_bytes, used_bytes=usage.used_bytes,
            total_bytes=usage.total_bytes, chunks=usage.chunks, records=usage.records, away=pool.away(),
            storages=[
                StorageState(
                    id=number, problem=fill.problem, free_bytes=fill.free_bytes, used_bytes=fill.used_bytes,
                    total_bytes=fill.total_bytes,
                )
                for number, _, folder in self._named(config)
                if (fill := fills.get(str(self._place(config, folder)))) is not None
            ],
        )  # fmt: skip

    def _unused(self, config: ClientPool, problem: str) -> PoolState:
        """Of a pool in which nothing lies here, or that cannot be opened."""
        storages = [self._room(number, folder, problem) for number, _, folder in self._named(config)]
        good = [one for one in storages if not one.problem]
        return PoolState(
            id=config.id, problem="" if good else storages[0].problem, free_bytes=sum(one.free_bytes for one in good),
            used_bytes=0, total_bytes=sum(one.total_bytes for one in good), chunks=0, records=0, storages=storages,
        )  # fmt: skip

    def _room(self, number: int, folder: Path, problem: str) -> StorageState:
        free = total = 0
        try:
            check_ground(str(folder), self._ground)
            found = os.statvfs(folder)
            free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        except (Invalid, OSError) as error:
            reason = error.message if isinstance(error, Invalid) else error.strerror
            problem = problem or f"The folder {folder} of {SETTING} cannot be used: it {reason}"
        return StorageState(id=number, problem=problem, free_bytes=free, used_bytes=0, total_bytes=total)
