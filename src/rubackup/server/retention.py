"""The leader's retention: rounds of `services.retention`, as long as the clock is not in doubt."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError
from rubackup.server.rounds import ROUNDS
from rubackup.services import capacity_notices, retention
from rubackup.services.retention_clock import Watch

log = logging.getLogger(__name__)

ROUND_SECONDS = 60
NEXT_SECONDS = 0.5
"""Between rounds while there are rules that were not looked at."""


class Retention:
    """Runs while its server leads."""

    def __init__(self, database: Database, zone: dt.tzinfo | None = None, seconds: int = ROUND_SECONDS) -> None:
        self._database = database
        self._zone = zone
        self._seconds = seconds

    async def run(self, epoch: int) -> None:
        """Look at all rules every `seconds`, in lots, until cancelled."""
        watch, after = Watch(), dict[str, int]()
        while True:
            try:
                with ROUNDS.measured("retention"):
                    after = await self._round(epoch, watch, after)
            except RubackupError as error:
                log.warning("retention failed: %s", error)
                after = {}
            except Exception:  # the leader's other work must go on
                log.exception("retention failed unexpectedly")
                after = {}
            await asyncio.sleep(NEXT_SECONDS if after else self._seconds)

    async def _round(self, epoch: int, watch: Watch, after: dict[str, int]) -> dict[str, int]:
        if reason := await watch.look(self._database, epoch, time.clock_gettime(time.CLOCK_BOOTTIME)):
            log.warning("retention rests: %s", reason)
        done = await retention.run(self._database, epoch, now=watch.at, zone=self._zone, after=after)
        if done.deleted or done.moved or done.copied or done.informed or done.verified:
            log.info(
                "retention deleted %d copies, queued %d moves, %d second copies and %d verifications, told of %d that end",
                done.deleted, done.moved, done.copied, done.verified, done.informed,
            )  # fmt: skip
        if not done.after:
            await capacity_notices.tell(self._database, epoch, now=watch.at)
        return done.after
