"""A media server measures itself and reports to a server in batches; how often is the server's to say."""

from __future__ import annotations

import asyncio
import logging

from rubackup.agent.sampling import Sampler, measure
from rubackup.agent.tasks import CallServer
from rubackup.domain.errors import RubackupError, WireFault
from rubackup.wire.messages import MonitoringLimits, MonitoringSample, ReportMonitoring

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0
WAITING_SAMPLES = 3600
"""Samples kept while no server takes them; the oldest go first."""
BATCH = 1000


class Reporter:
    """Measures and reports until cancelled."""

    def __init__(
        self, call: CallServer, sampler: Sampler | None = None, report_seconds: float = REPORT_SECONDS
    ) -> None:
        self._call = call
        self._sampler = sampler or Sampler()
        self._report_seconds = report_seconds
        self._period = 1.0
        self._waiting: list[MonitoringSample] = []
        self._told = ""

    async def run(self) -> None:
        """Two loops: one measures, one reports."""
        async with asyncio.TaskGroup() as group:
            group.create_task(measure(self._sampler, lambda: self._period, self._take))
            group.create_task(self._report())

    def _take(self, sample: MonitoringSample) -> None:
        self._waiting = [*self._waiting[1 - WAITING_SAMPLES :], sample]

    async def _report(self) -> None:
        while True:
            try:
                await self.send()
                self._told = ""
            except RubackupError as error:
                if str(error) != self._told:
                    self._told = str(error)
                    log.warning("how busy this host is could not be reported: %s", error)
            await asyncio.sleep(self._report_seconds)

    async def send(self) -> None:
        """Report everything that waits, and learn the period; what was not taken waits on."""
        while True:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                answer = await self._call(ReportMonitoring(samples=batch), 10.0, 0.0)
            except RubackupError:
                self._waiting = [*batch, *self._waiting][-WAITING_SAMPLES:]
                raise
            if not isinstance(answer, MonitoringLimits):
                raise WireFault("The server answered a report of the monitoring with something else.")
            self._period = float(max(answer.period_seconds, 1))
            if not self._waiting:
                return
