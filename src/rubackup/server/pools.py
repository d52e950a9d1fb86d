"""Keeps media servers in step with the catalogue: pool configurations, states, tombstones."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError
from rubackup.server.registry import Registry
from rubackup.services import enrolment, pools, records
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import AskPools, ConfigurePools, DropRecord, PoolConfig, PoolStates, Revoked, StorageConfig

log = logging.getLogger(__name__)

CONFIGURE_SECONDS = 120.0
"""Opening a pool may repair its index."""


class PoolSync:
    """Speaks to connected media servers, for the server that leads."""

    def __init__(self, database: Database, registry: Registry, epoch: Callable[[], int]) -> None:
        self._database = database
        self._registry = registry
        self._epoch = epoch

    async def configure_all(self) -> None:
        """Send every connected media server its pools."""
        for peer in self._registry.all("media"):
            await self.configure(peer)

    async def configure(self, peer: ControlPeer) -> None:
        """Send one media server its pools, store what it says of them, and what it has to forget."""
        if not self._epoch():
            return
        hwid = peer.identity.hwid
        try:
            rows = await pools.configuration(self._database, hwid)
            message = ConfigurePools(
                epoch=self._epoch(),
                pools=[
                    PoolConfig(
                        id=row.id,
                        uuid=row.uuid,
                        name=row.name,
                        compression=row.compression,
                        reserve_bytes=row.reserve_bytes,
                        storages=[StorageConfig(id=number, path=path) for number, path in row.storages],
                    )
                    for row in rows
                ],
            )
            await peer.call(Revoked(serials=await enrolment.revoked_clients(self._database)), 10.0)
            await self._store(hwid, await peer.call(message, CONFIGURE_SECONDS))
            await self._drop(peer)
        except RubackupError as error:
            log.warning("media server %s could not be configured: %s", hwid, error)

    async def refresh(self) -> None:
        """Ask every connected media server how its pools are, and repeat what it has to forget."""
        for peer in self._registry.all("media"):
            try:
                await self._store(peer.identity.hwid, await peer.call(AskPools(), 10.0))
                await self._drop(peer)
            except RubackupError as error:
                log.warning("media server %s did not report its pools: %s", peer.identity.hwid, error)

    async def revoke_all(self) -> None:
        """Tell connected media servers which clients' certificates are revoked."""
        serials = await enrolment.revoked_clients(self._database)
        for peer in self._registry.all("media"):
            try:
                await peer.call(Revoked(serials=serials), 10.0)
            except RubackupError as error:
                log.warning("media server %s could not be told of revoked clients: %s", peer.identity.hwid, error)

    async def drop_all(self) -> None:
        """Tell connected media servers of the records that the catalogue has deleted."""
        for peer in self._registry.all("media"):
            try:
                await self._drop(peer)
            except RubackupError as error:
                log.warning("media server %s could not drop records: %s", peer.identity.hwid, error)

    async def _store(self, hwid: str, answer: object) -> None:
        if isinstance(answer, PoolStates):
            states = [
                pools.PoolReport(
                    id=state.id,
                    problem=state.problem,
                    free_bytes=state.free_bytes,
                    used_bytes=state.used_bytes,
                    total_bytes=state.total_bytes,
                    chunks=state.chunks,
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
        for pool_id, record in await records.waiting_tombstones(self._database, peer.identity.hwid):
            await peer.call(DropRecord(epoch=self._epoch(), pool_id=pool_id, record=record), 30.0)
            await records.tombstone_done(self._database, record)
