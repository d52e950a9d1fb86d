"""Keeps clients with pools of their own in step with the catalogue: which pools these are, how they are, locks, tombstones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError, StorageFault, Unavailable
from rubackup.server.registry import Registry
from rubackup.services import client_pools, configuration, pools, records
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    ClientPool,
    ConfigureClientPools,
    DropKept,
    DropRecord,
    LockRecord,
    Message,
    PoolStates,
)

log = logging.getLogger(__name__)
CONFIGURE_SECONDS = 120.0
"""Opening a pool may repair its index."""
ASK_SECONDS = 10.0
AT_ONCE = 16
LOOKED_UP_AT_ONCE = 3
"""Clients of which it is looked up at a time what pools they have: thousands may come at once."""


class ClientPoolSync:
    """Speaks to connected clients, for the server that leads."""

    def __init__(self, database: Database, registry: Registry, epoch: Callable[[], int]) -> None:
        self._database, self._registry, self._epoch = database, registry, epoch
        self._turns = asyncio.Semaphore(LOOKED_UP_AT_ONCE)
        self._told: set[ControlPeer] = set()
        """Clients that were told of pools on this connection: those are asked again, and told when there are none any more."""

    async def configure_all(self) -> None:
        """Tell every connected client that has folders, or had, its pools; some at a time."""
        if not self._epoch():
            return
        named = await client_pools.clients(self._database)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(peer: ControlPeer) -> None:
            async with turns:
                await self.configure(peer)

        peers = [peer for peer in self._registry.all("client") if peer.identity.hwid in named or peer in self._told]
        await asyncio.gather(*map(one, peers))

    async def configure(self, peer: ControlPeer) -> None:
        """Tell one client its pools, store what it says of them, and tell it what it has to keep and to forget."""
        if not self._epoch():
            return
        hwid = peer.identity.hwid
        try:
            async with self._turns:
                rows = await client_pools.configuration(self._database, hwid)
                if not rows and peer not in self._told:
                    await client_pools.report(self._database, hwid, [])  # it may have had some when it was here last
                    return
            first = peer not in self._told
            self._told = {one for one in self._told if not one.is_closed} | {peer}
            await self._configure(peer, rows, CONFIGURE_SECONDS if first else ASK_SECONDS)
            await self._catch_up(peer)
        except RubackupError as error:
            log.warning("client %s could not be told of its own pools: %s", hwid, error)

    async def _configure(self, peer: ControlPeer, rows: list[client_pools.ClientPoolRow], seconds: float) -> None:
        message = ConfigureClientPools(epoch=self._epoch(), pools=[client_pool(row) for row in rows])
        answer = await peer.call(message, seconds)
        if not isinstance(answer, PoolStates):
            return
        states = [
            pools.PoolReport(
                id=state.id, problem=state.problem, free_bytes=state.free_bytes, used_bytes=state.used_bytes,
                total_bytes=state.total_bytes, chunks=state.chunks,
                storages=tuple(pools.StorageReport(**msgspec.structs.asdict(one)) for one in state.storages),
            )
            for state in answer.pools
        ]  # fmt: skip
        await client_pools.report(self._database, peer.identity.hwid, states)

    async def catch_up_all(self) -> None:
        """Tell the clients that were told of pools what they have to keep and to forget."""
        for peer in self._registry.all("client"):
            if peer in self._told and self._epoch():
                try:
                    await self._catch_up(peer)
                except RubackupError as error:
                    log.warning("client %s could not be told of its copies: %s", peer.identity.hwid, error)

    async def _catch_up(self, peer: ControlPeer) -> None:
        hwid = peer.identity.hwid
        for row_id, pool_id, record, until in await client_pools.untold_locks(self._database, hwid):
            until_ns = int(until.timestamp()) * 1_000_000_000 + until.microsecond * 1000
            order = LockRecord(epoch=self._epoch(), pool_id=pool_id, record=record, until_ns=until_ns)
            if await _done(peer.call(order, 30.0), f"copy {row_id} could not be locked in its client's pool"):
                await records.lock_told(self._database, row_id, until)
        waiting = await client_pools.waiting_tombstones(self._database, hwid)
        zeroing = await self._zeroing() if waiting else False
        closed: set[int] = set()
        for one in waiting:
            if one.pool_id in closed:
                continue
            drop = DropRecord(epoch=self._epoch(), pool_id=one.pool_id, record=one.record, zeroing=zeroing)
            try:
                if not await _done(peer.call(drop, 30.0), f"record {one.record} was deleted, but its client keeps it"):
                    continue
            except StorageFault as error:
                closed.add(one.pool_id)
                log.warning("client %s cannot drop records of pool %d now: %s", hwid, one.pool_id, error)
                continue
            # Its client may have had the manifest kept once more since it was dropped.
            if await self.drop_kept(one):
                await records.tombstone_done(self._database, one.record)

    async def drop_all_kept(self, peer: ControlPeer) -> None:
        """Tell a media server which manifests it need not keep any more."""
        for one in await client_pools.kept_tombstones(self._database, peer.identity.hwid):
            if await self.drop_kept(one):
                await client_pools.manifest_gone(self._database, one.record)

    async def drop_kept(self, one: client_pools.Tombstone) -> bool:
        """Whether the media server, which may be away, keeps the manifest no more."""
        keeper = self._registry.find("media", one.media_hwid)
        if keeper is None:
            return False
        kept = DropKept(epoch=self._epoch(), folder=one.folder, record=one.record)
        return await _done(keeper.call(kept, 30.0), f"record {one.record} was deleted, but its manifest is kept")

    async def _zeroing(self) -> bool:
        async with self._database.connection() as db:
            return await configuration.enabled(db, "delete_archives_with_zeroing")


def client_pool(row: client_pools.ClientPoolRow) -> ClientPool:
    """The pool on the wire."""
    return msgspec.convert(row, ClientPool, from_attributes=True)


async def _done(call: Awaitable[Message], problem: str) -> bool:
    """Whether an order was carried out; one that is refused does not stop the next, a lost connection and a pool that is away do."""
    try:
        await call
    except (StorageFault, Unavailable):
        raise
    except RubackupError as error:
        log.error("%s: %s", problem, error)
        return False
    return True
