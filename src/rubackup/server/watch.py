"""Hears the catalogue's notifications and wakes who has to look. They are hints: all of it is polled too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError
from rubackup.server.bandwidth import BandwidthSync
from rubackup.server.dispatcher import Dispatcher
from rubackup.server.pools import PoolSync
from rubackup.server.registry import Registry
from rubackup.server.scheduler import Scheduler
from rubackup.services import api_hosts, bandwidth, enrolment

log = logging.getLogger(__name__)

CHANNELS = ("tasks", "schedule", "pools", "records", "certificates", bandwidth.CHANNEL)


class CatalogueWatch:
    """Reacts to NOTIFY."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        dispatcher: Dispatcher,
        scheduler: Scheduler,
        pools: PoolSync,
        limits: BandwidthSync,
    ) -> None:
        self._database = database
        self._registry = registry
        self._dispatcher = dispatcher
        self._scheduler = scheduler
        self._pools = pools
        self._limits = limits
        self._followed: dict[str, Callable[[], Awaitable[None]]] = {
            "pools": pools.configure_all, "records": pools.drop_all, "certificates": self._certificates,
        }  # fmt: skip
        """What takes as long as hosts take to answer."""
        self._heard_of = {channel: asyncio.Event() for channel in self._followed}

    async def run(self) -> None:
        """Listen until cancelled. Hosts that answer late hold up nobody who is only woken."""
        async with asyncio.TaskGroup() as group:
            for channel in self._followed:
                group.create_task(self._follow(channel))
            group.create_task(self._database.listen(CHANNELS, self._heard))

    async def _heard(self, channel: str, _payload: str) -> None:
        if channel == "tasks":
            self._dispatcher.wake()
        elif channel == "schedule":
            self._scheduler.wake()
        elif channel == bandwidth.CHANNEL:
            self._limits.changed()
        else:
            self._heard_of[channel].set()

    async def _follow(self, channel: str) -> None:
        """Once for all that was heard since it was looked last."""
        while True:
            await self._heard_of[channel].wait()
            self._heard_of[channel].clear()
            try:
                await self._followed[channel]()
            except RubackupError as error:
                log.warning("a change of %s could not be followed: %s", channel, error)

    async def _certificates(self) -> None:
        await self._pools.revoke_all()
        await self._close_revoked()

    async def _close_revoked(self) -> None:
        """End the connections of hosts that were deleted, or whose certificate was revoked."""
        for role in ("client", "media"):
            peers = self._registry.all(role)
            hosts = [(peer.identity.hwid, peer.identity.serial) for peer in peers]
            gone = await enrolment.not_admitted(self._database, role, hosts)
            for peer in peers:
                if peer.identity.hwid in gone:
                    log.info("%s %s loses its connection: it is not authorised any more", role, peer.identity.hwid)
                    peer.close()
        apis = self._registry.apis()
        known = await api_hosts.admitted(self._database, [(p.identity.hwid, p.identity.serial) for p in apis])
        for peer in apis:
            if (peer.identity.hwid, peer.identity.serial) not in known:
                log.info("the API %s loses its connection: it is not enrolled any more", peer.identity.hwid)
                peer.close()
