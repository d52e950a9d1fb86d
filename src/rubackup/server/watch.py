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
from rubackup.services import admission, bandwidth

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
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
        """Once for all that was heard since it was looked last; again after a while when it could not be done."""
        while True:
            await self._heard_of[channel].wait()
            self._heard_of[channel].clear()
            try:
                await self._followed[channel]()
            except RubackupError as error:
                log.warning("a change of %s could not be followed, it is tried again: %s", channel, error)
                self._heard_of[channel].set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _certificates(self) -> None:
        """Whoever may not be here any more goes first: media servers may be slow to answer."""
        await self._close_refused()
        await self._pools.revoke_all()

    async def _close_refused(self) -> None:
        """End the connections of hosts that would not be admitted any more."""
        peers = self._registry.everyone()
        gone = set(await admission.turned_away(self._database, list({peer.identity for peer in peers})))
        for peer in peers:
            if peer.identity in gone:
                log.info("%s loses its connection: it may not connect any more", peer)
                peer.close()
