"""Launches what is due, as the leader: it sleeps until the next launch, or until a schedule changes.

Design: `docs/design/scheduler.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced, RubackupError
from rubackup.server.rounds import ROUNDS
from rubackup.services import ticks

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
BROKEN_SECONDS = 10.0
SLOW_SECONDS = 1.0
"""A tick that takes longer is told in the log: the next ones may come late."""


class Scheduler:
    """Ticks until cancelled."""

    def __init__(self, database: Database, zone: dt.tzinfo) -> None:
        """`zone` is that of cron fields."""
        self._database = database
        self._zone = zone
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A schedule was changed, or the service mode: look at once."""
        self._wake.set()

    async def run(self, epoch: int) -> None:
        """Schedule as the leader of this epoch; Fenced when another server leads."""
        settled_at = time.monotonic() + ticks.SETTLE_SECONDS
        while True:
            self._wake.clear()
            wait = await self._tick(epoch, settled=time.monotonic() >= settled_at)
            if wait:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)

    async def _tick(self, epoch: int, *, settled: bool) -> float:
        """The seconds until the next tick."""
        began = time.monotonic()
        try:
            with ROUNDS.measured("schedule"):
                done = await ticks.tick(self._database, epoch, self._zone, settled=settled)
        except Fenced:
            raise
        except RubackupError as error:
            log.warning("a tick of the schedule failed and is made again: %s", error)
            return RETRY_SECONDS
        except Exception:  # the leader's other work must go on
            log.exception("a tick of the schedule failed unexpectedly and is made again")
            return BROKEN_SECONDS
        took = time.monotonic() - began
        if took > SLOW_SECONDS:
            log.warning("a tick of the schedule with %d launches took %.1f s", done.launches, took)
        elif done.launches:
            log.info("%d launches of the schedule made %d tasks in %.0f ms", done.launches, done.tasks, took * 1000)
        return max(done.wait_seconds - took, 0.0)
