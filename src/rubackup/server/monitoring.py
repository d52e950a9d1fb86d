"""The server measures itself, takes the samples of media servers, and stores all of them together.

One statement every few seconds, whatever the number of media servers. A server whose catalogue
does not answer keeps a bounded number of samples.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math

from rubackup.agent.sampling import Sampler, measure
from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError, SystemFault, WireFault
from rubackup.services import monitoring
from rubackup.services.monitoring import Limits, Sample
from rubackup.wire.messages import MonitoringLimits, MonitoringSample

log = logging.getLogger(__name__)

STORE_SECONDS = 5.0
WAITING_SAMPLES = 100_000
FIRST = Limits(1, 3600)
"""Until the catalogue has been asked."""


class Monitor:
    """Measures, gathers and stores until cancelled."""

    def __init__(
        self,
        database: Database,
        server: tuple[str, str],
        sampler: Sampler | None = None,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._database = database
        self._hwid, self._hostname = server
        self._sampler = sampler or Sampler()
        self._store_seconds = store_seconds
        self._limits = FIRST
        self._waiting: list[Sample] = []

    def report(self, media_hwid: str, samples: list[MonitoringSample]) -> MonitoringLimits:
        """Take what a media server measured; how often it is to measure."""
        room = WAITING_SAMPLES - len(self._waiting)
        self._waiting += [sample_of(media_hwid, "", "media server", one) for one in samples][:room]
        return MonitoringLimits(period_seconds=self._limits.period_seconds)

    async def run(self) -> None:
        """Two loops: one measures, one stores."""
        async with asyncio.TaskGroup() as group:
            group.create_task(measure(self._sampler, lambda: self._limits.period_seconds, self._take))
            group.create_task(self._keep_storing())

    def _take(self, sample: MonitoringSample) -> None:
        if len(self._waiting) < WAITING_SAMPLES:
            self._waiting.append(sample_of(self._hwid, self._hostname, "server", sample))

    async def _keep_storing(self) -> None:
        while True:
            try:
                await self.store()
            except RubackupError as error:
                log.warning("samples of the monitoring could not be stored yet: %s", error)
            await asyncio.sleep(self._store_seconds)

    async def store(self) -> None:
        """Store everything that waits, and learn the limits; while the catalogue does not answer it waits on."""
        batch, self._waiting = self._waiting, []
        try:
            self._limits = await monitoring.store(self._database, self._hwid, batch)
        except SystemFault:
            self._waiting = [*batch, *self._waiting][-WAITING_SAMPLES:]
            raise


def sample_of(hwid: str, hostname: str, server_type: str, one: MonitoringSample) -> Sample:
    """A sample as the catalogue takes it; WireFault for instants and figures that are none."""
    try:
        before, after = (dt.datetime.fromtimestamp(ns / 1e9, dt.UTC) for ns in (one.before_ns, one.after_ns))
    except (ValueError, OverflowError, OSError) as error:
        raise WireFault("A sample of the monitoring has an impossible time.") from error
    figures = _figures(one)
    if not all(map(math.isfinite, figures)):
        raise WireFault("A sample of the monitoring has figures that are no numbers.")
    return Sample(hwid, hostname, server_type, before, after, figures)


def _figures(one: MonitoringSample) -> tuple[float, ...]:
    """In the order of `services.monitoring.FIGURES`."""
    return (
        one.general_cpu_percent,
        one.own_cpu_percent,
        one.general_ram_percent,
        one.own_ram_percent,
        one.general_ram_megabytes,
        one.own_ram_megabytes,
        one.general_read_per_second,
        one.general_written_per_second,
        one.own_read_per_second,
        one.own_written_per_second,
        one.general_received_per_second,
        one.general_sent_per_second,
        one.load,
    )
