"""Hears the catalogue's notifications and wakes who has to look. They are hints: all of it is polled too."""

from __future__ import annotations

import logging

from rubackup.catalog.database import Database
from rubackup.domain.errors import Refused, RubackupError
from rubackup.server.dispatcher import Dispatcher
from rubackup.server.pools import PoolSync
from rubackup.server.registry import Registry
from rubackup.server.scheduler import Scheduler
from rubackup.services import enrolment

log = logging.getLogger(__name__)

CHANNELS = ("tasks", "schedule", "pools", "records", "certificates")


class CatalogueWatch:
    """Reacts to NOTIFY."""

    def __init__(
        self, database: Database, registry: Registry, dispatcher: Dispatcher, scheduler: Scheduler, pools: PoolSync
    ) -> None:
        self._database = database
        self._registry = registry
        self._dispatcher = dispatcher
        self._scheduler = scheduler
        self._pools = pools

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._database.listen(CHANNELS, self._heard)

    async def _heard(self, channel: str, _payload: str) -> None:
        try:
            if channel == "tasks":
                self._dispatcher.wake()
            elif channel == "schedule":
                self._scheduler.wake()
            elif channel == "pools":
                await self._pools.configure_all()
            elif channel == "records":
                await self._pools.drop_all()
            else:
                await self._pools.revoke_all()
                await self._close_revoked()
        except RubackupError as error:
            log.warning("a change of %s could not be followed: %s", channel, error)

    async def _close_revoked(self) -> None:
        """End the connections of hosts that were deleted."""
        for role in ("client", "media"):
            for peer in self._registry.all(role):
                identity = peer.identity
                try:
                    await enrolment.admit(self._database, role=role, hwid=identity.hwid, serial=identity.serial)
                except Refused as error:
                    log.info("%s %s loses its connection: %s", role, identity.hwid, error)
                    peer.close()
