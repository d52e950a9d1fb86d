"""Leadership and what only the leader does: schedule, dispatch, reaping, pool states, housekeeping, retention."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced, RubackupError
from rubackup.server.bandwidth import BandwidthSync
from rubackup.server.dispatcher import LEASE_SECONDS, Dispatcher
from rubackup.server.pools import PoolSync
from rubackup.server.retention import Retention
from rubackup.server.rounds import ROUNDS
from rubackup.server.scheduler import Scheduler
from rubackup.services import dispatch, housekeeping
from rubackup.services.leadership import Leadership

log = logging.getLogger(__name__)

CAMPAIGN_SECONDS = 1.0
WATCH_SECONDS = 2.0
REAP_SECONDS = 2.0
REFRESH_SECONDS = 30.0
HOUSEKEEPING_SECONDS = 60.0


class Leader:
    """Takes the lead when nobody holds it and gives it up when the catalogue is lost."""

    def __init__(self, database: Database, server_hwid: str, dispatcher: Dispatcher, scheduler: Scheduler) -> None:
        self._database = database
        self._server_hwid = server_hwid
        self._dispatcher = dispatcher
        self._scheduler = scheduler
        self._leadership = Leadership(database)
        self.pools: PoolSync | None = None
        self.bandwidth: BandwidthSync | None = None
        self.retention = Retention(database)
        self.epoch = 0
        """The epoch while this server leads, else 0."""

    async def run(self) -> None:
        """Campaign and lead until cancelled."""
        while True:
            try:
                epoch = await self._leadership.take(self._server_hwid)
                if epoch is not None:
                    await self._lead(epoch)
            except* RubackupError as group:
                for error in group.exceptions:
                    log.warning("the lead was lost: %s", error)
            finally:
                self.epoch = 0
            await asyncio.sleep(CAMPAIGN_SECONDS)

    async def _lead(self, epoch: int) -> None:
        log.info("this server leads in epoch %d", epoch)
        assert self.bandwidth is not None
        self.epoch = epoch
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._dispatcher.run(epoch))
                group.create_task(self._scheduler.run(epoch))
                group.create_task(self._reap(epoch))
                group.create_task(self._refresh())
                group.create_task(self.bandwidth.run(epoch))
                group.create_task(self._keep_house(epoch))
                group.create_task(self.retention.run(epoch))
        finally:
            await self._leadership.release()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not await self._leadership.held():
                raise Fenced("The connection that holds the lead is gone.")

    async def _reap(self, epoch: int) -> None:
        """Hand on the tasks of silent workers.

        Agents get a full lease to report after a change of leader, and after the catalogue took no changes for a while: it
        took none of their reports either.
        """
        wait = LEASE_SECONDS
        while True:
            await asyncio.sleep(wait)
            done = await self._guarded("reaping", dispatch.reap(self._database, epoch))
            wait = REAP_SECONDS if done else LEASE_SECONDS

    async def _refresh(self) -> None:
        assert self.pools is not None
        await self.pools.configure_all()
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.pools.refresh()

    async def _keep_house(self, epoch: int) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            await self._guarded("housekeeping", housekeeping.run(self._database, epoch))

    async def _guarded(self, name: str, work: Awaitable[object]) -> bool:
        """Whether it went well."""
        try:
            with ROUNDS.measured(name):
                await work
        except RubackupError as error:
            log.warning("%s failed: %s", name, error)
            return False
        return True
