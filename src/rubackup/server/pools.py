"""Keeps media servers in step with the catalogue: pool configurations, states, locks, tombstones."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError, StorageFault, Unavailable, WireFault
from rubackup.domain.pools import problem_of
from rubackup.server.client_pools import ClientPoolSync
from rubackup.server.registry import Registry
from rubackup.services import admission, configuration, leadership, pools, records, unavailable
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    AskPools,
    AskUnavailable,
    ConfigurePools,
    DropRecord,
    EmergencyState,
    KeepKey,
    LockRecord,
    Message,
    PoolConfig,
    PoolStates,
    Revoked,
    StorageConfig,
    UnavailableRecords,
)

log = logging.getLogger(__name__)

CONFIGURE_SECONDS = 120.0
"""Opening a pool may repair its index."""


class PoolSync:
    """Speaks to connected media servers, for the server that leads."""

    def __init__(self, database: Database, registry: Registry, epoch: Callable[[], int]) -> None:
        self._database = database
        self._registry = registry
        self._epoch = epoch
        self.clients = ClientPoolSync(database, registry, epoch)
        """The same for clients that have pools of their own."""
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Configurations reach a media server in the order in which they were read."""
        self._told: dict[str, tuple[ControlPeer, int, list[pools.PoolRow]]] = {}
        """Which pools each media server has confirmed, on which connection, to the leader of which epoch."""
        self._untold: set[ControlPeer] = set()
        """Media servers that could not be told yet who was revoked."""
        self._telling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def configure_all(self) -> None:
        """Send every connected media server its pools."""
        for peer in self._registry.all("media"):
            await self.configure(peer)
        await self.clients.configure_all()

    async def configure(self, peer: ControlPeer) -> None:
        """Send one media server its pools where they are other ones than it has, store what it says of them, and what it has to forget.

        A server that does not lead only makes its key known.
        """
        hwid = peer.identity.hwid
        try:
            if not self._epoch():
                await self._tell_revoked(peer)  # tickets are renewed by whichever server is asked
                return
            async with self._turns[hwid]:
                rows = await pools.configuration(self._database, hwid)
                news = self._told.get(hwid) != (peer, self._epoch(), _told(rows))
                if news:
                    await self._configure(peer, rows)
            await (self._mark_unavailable(peer) if news else self._ask(peer))
            await self._drop(peer)
        except RubackupError as error:
            log.warning("media server %s could not be configured: %s", hwid, error)

    async def catch_up(self, hwid: str) -> None:
        """Return once a media server, if it is connected, has been told the pools that the catalogue has now.

        A task may be quicker than the notification of the change that it needs.
        """
        peer = self._registry.find("media", hwid)
        if peer is None or not self._epoch():
            return
        try:
            async with self._turns[hwid]:
                rows = await pools.configuration(self._database, hwid)
                known, epoch, told = self._told.get(hwid, (None, 0, []))
                if (known, epoch) != (peer, self._epoch()) or _lasting(told) != _lasting(rows):
                    await self._configure(peer, rows)
        except RubackupError as error:
            log.warning("media server %s could not be configured: %s", hwid, error)

    async def _configure(self, peer: ControlPeer, rows: Sequence[pools.PoolRow]) -> None:
        hwid = peer.identity.hwid
        message = ConfigurePools(
            epoch=self._epoch(),
            pools=[
                PoolConfig(
                    id=row.id,
                    uuid=row.uuid,
                    name=row.name,
                    compression=row.compression,
                    reserve_bytes=row.reserve_bytes,
                    evenly=row.evenly,
                    emergency=row.emergency,
                    reconciled=row.reconciled,
                    contact=row.contact,
                    metadata_pool=row.metadata_pool,
                    algorithm=row.algorithm,
                    hash_length=row.hash_length,
                    block_size=row.block_size,
                    storages=[msgspec.convert(one, StorageConfig, from_attributes=True) for one in row.storages],
                )
                for row in rows
            ],
            terms=await leadership.terms(self._database),
        )
        await self._tell_revoked(peer)
        answer = await peer.call(message, CONFIGURE_SECONDS)
        self._told[hwid] = (peer, message.epoch, _told(rows))
        await self._store(hwid, answer)

    async def refresh(self) -> None:
        """Ask every connected media server how its pools are, and repeat what it has to know, forget and keep."""
        for peer in self._registry.all("media"):
            try:
                await self._keep_key(peer)
                await self._ask(peer)
                await self._drop(peer)
            except RubackupError as error:
                log.warning("media server %s did not report its pools: %s", peer.identity.hwid, error)
        await self.clients.configure_all()

    async def _ask(self, peer: ControlPeer) -> None:
        hwid = peer.identity.hwid
        question = AskPools(contacts=await pools.contacts(self._database, hwid))
        await self._store(hwid, await peer.call(question, 10.0))
        await self._mark_unavailable(peer)

    async def keep_key(self) -> None:
        """Have connected media servers honour the tickets of this server, which does not lead, for longer."""
        if self._epoch():
            return  # the leader's refresh does it
        for peer in self._registry.all("media"):
            try:
                await self._keep_key(peer)
            except RubackupError as error:
                log.warning("media server %s did not hear of this server's key: %s", peer.identity.hwid, error)

    async def _keep_key(self, peer: ControlPeer) -> None:
        """One that could not be told who was revoked hears that with it."""
        if peer in self._untold:
            await self._tell_revoked(peer)
        else:
            await peer.call(KeepKey(key_seconds=await self._key_seconds()), 10.0)

    async def ask(self, hwid: str) -> None:
        """Ask one media server how its pools are: a task failed for one of them. One that is not connected is not asked."""
        peer = self._registry.find("media", hwid)
        try:
            if peer is not None:
                await self._ask(peer)
        except RubackupError as error:
            log.warning("media server %s did not report its pools: %s", hwid, error)

    async def _mark_unavailable(self, peer: ControlPeer) -> None:
        """Mark the copies that need what is away, and take the mark from those that are whole again."""
        for pool_id in await unavailable.pools(self._database, peer.identity.hwid):
            try:
                await unavailable.mark(self._database, pool_id, await _unavailable(peer, pool_id))
            except StorageFault as error:  # the pool is not open, and says why
                log.warning("pool %d cannot tell which copies need what is away: %s", pool_id, error)

    async def revoke_all(self) -> None:
        """Tell connected media servers, all at once, which hosts' certificates are revoked; who does not answer hears it later."""
        peers = self._registry.all("media")
        self._untold = set(peers)

        async def tell(peer: ControlPeer) -> None:
            try:
                await self._tell_revoked(peer)
            except RubackupError as error:
                log.warning("media server %s could not be told of revoked hosts yet: %s", peer.identity.hwid, error)

        await asyncio.gather(*map(tell, peers))

    async def _tell_revoked(self, peer: ControlPeer) -> None:
        """Read and say in one turn, so that an older list never comes after a newer one."""
        async with self._telling[peer.identity.hwid]:
            await peer.call(await self._revoked(), 10.0)
        self._untold.discard(peer)

    async def _revoked(self) -> Revoked:
        serials = await admission.revoked_hosts(self._database)
        return Revoked(serials=serials, key_seconds=await self._key_seconds())

    async def _key_seconds(self) -> float:
        """How long media servers honour this server's tickets without hearing of it again."""
        async with self._database.connection() as db:
            return 60.0 * await configuration.number(db, "digital_signature_public_key_obsolence")

    async def drop_all(self) -> None:
        """Tell connected media servers of the records that the catalogue has deleted, for the server that leads."""
        if not self._epoch():
            return
        for peer in self._registry.all("media"):
            try:
                await self._drop(peer)
            except RubackupError as error:
                log.warning("media server %s could not drop records: %s", peer.identity.hwid, error)
        await self.clients.catch_up_all()

    async def _store(self, hwid: str, answer: object) -> None:
        if isinstance(answer, PoolStates):
            states = [
                pools.PoolReport(
                    id=state.id,
                    problem=state.problem,
                    code=problem_of(state.code, state.problem),
                    free_bytes=state.free_bytes,
                    used_bytes=state.used_bytes,
                    total_bytes=state.total_bytes,
                    chunks=state.chunks,
                    reconciled=state.reconciled,
                    contact=state.contact,
                    emergency=_emergency(state.emergency),
                    away=tuple(state.away),
                    storages=tuple(
                        pools.StorageReport(
                            id=one.id,
                            problem=one.problem,
                            free_bytes=one.free_bytes,
                            used_bytes=one.used_bytes,
                            total_bytes=one.total_bytes,
                        )
                        for one in state.storages
                    ),
                )
                for state in answer.pools
            ]
            await pools.report(self._database, hwid, states)

    async def _drop(self, peer: ControlPeer) -> None:
        """What the media server has to keep, then what it has to forget."""
        hwid = peer.identity.hwid
        for row_id, pool_id, record, until in await records.untold_locks(self._database, hwid):
            until_ns = int(until.timestamp()) * 1_000_000_000 + until.microsecond * 1000
            order = LockRecord(epoch=self._epoch(), pool_id=pool_id, record=record, until_ns=until_ns)
            if await _done(peer, order, f"copy {row_id} could not be locked in its pool"):
                await records.lock_told(self._database, row_id, until)
        waiting = await records.waiting_tombstones(self._database, hwid)
        zeroing = await self._zeroing() if waiting else False
        for pool_id, record in waiting:
            drop = DropRecord(epoch=self._epoch(), pool_id=pool_id, record=record, zeroing=zeroing)
            if await _done(peer, drop, f"record {record} was deleted, but its pool keeps it"):
                await records.tombstone_done(self._database, record)
        await self.clients.drop_all_kept(peer)

    async def _zeroing(self) -> bool:
        """Whether what is deleted is overwritten."""
        async with self._database.connection() as db:
            return await configuration.enabled(db, "delete_archives_with_zeroing")


def _told(rows: Sequence[pools.PoolRow]) -> list[pools.PoolRow]:
    """A configuration without the number of the contact, which each question has, too."""
    return [msgspec.structs.replace(row, contact=0) for row in rows]


def _lasting(rows: Sequence[pools.PoolRow]) -> list[pools.PoolRow]:
    """What of a configuration changes with the pools only, not with each contact."""
    return [msgspec.structs.replace(row, contact=0, reconciled=False) for row in rows]


async def _unavailable(peer: ControlPeer, pool_id: int) -> list[str]:
    """The records of a pool that need what is away."""
    found: list[str] = []
    after = ""
    while True:
        answer = await peer.call(AskUnavailable(pool_id=pool_id, after=after), CONFIGURE_SECONDS)
        if not isinstance(answer, UnavailableRecords):
            raise WireFault("A media server answered a question for records with something else.")
        found += answer.records
        after = answer.after
        if not after:
            return found


async def _done(peer: ControlPeer, order: Message, problem: str) -> bool:
    """Whether the order was carried out; one that is refused does not stop the next, a lost connection does."""
    try:
        await peer.call(order, 30.0)
    except Unavailable:
        raise
    except RubackupError as error:
        log.error("%s: %s", problem, error)
        return False
    return True


def _emergency(found: Sequence[EmergencyState]) -> pools.EmergencyReport | None:
    """The emergency storages of a pool as one: there are two for a while when another folder was named."""
    if not found:
        return None
    return pools.EmergencyReport(
        path=", ".join(one.path for one in found),
        problem=" ".join(one.problem for one in found if one.problem),
        free_bytes=max(one.free_bytes for one in found),
        used_bytes=sum(one.used_bytes for one in found),
        total_bytes=max(one.total_bytes for one in found),
    )
