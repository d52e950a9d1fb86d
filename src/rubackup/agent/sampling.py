"""How busy this host and this process are, out of /proc: counters read twice, and the difference per second.

Disks and network cards are counted once: partitions, loop devices and device mapper stand on
disks, bridges on cards. A host whose cards are all virtual (a container) counts every interface but `lo`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rubackup.wire.messages import MonitoringSample

log = logging.getLogger(__name__)

SECTOR_BYTES = 512
"""Unit of /proc/diskstats, whatever the device's sector size."""
MEGABYTE = 1 << 20
LOOK_SECONDS = 1.0
"""How often a long period is looked at again: it may have become shorter."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Counters:
    """What has been counted since the start of the host, or of the process."""

    at_ns: int
    monotonic: float
    busy_ticks: int
    all_ticks: int
    own_ticks: int
    read: int
    written: int
    own_read: int
    own_written: int
    received: int
    sent: int


class Sampler:
    """Measures from call to call. OSError, ValueError or LookupError where /proc is not as proc(5) says."""

    def __init__(self, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._proc = proc
        self._sys = sys
        self._last: Counters | None = None

    def sample(self) -> MonitoringSample | None:
        """What happened since the last call; None at the first one."""
        before, after = self._last, self._counters()
        self._last = after
        if before is None:
            return None
        seconds = max(after.monotonic - before.monotonic, 1e-3)
        ticks = max(after.all_ticks - before.all_ticks, 1)
        total, available = self._memory()
        own = self._own_memory()

        def rate(first: int, second: int) -> float:
            return round(max(second - first, 0) / seconds, 1)

        return MonitoringSample(
            before_ns=before.at_ns,
            after_ns=after.at_ns,
            general_cpu_percent=_percent(after.busy_ticks - before.busy_ticks, ticks),
            own_cpu_percent=_percent(after.own_ticks - before.own_ticks, ticks),
            general_ram_percent=_percent(total - available, total),
            own_ram_percent=_percent(own, total),
            general_ram_megabytes=round((total - available) / MEGABYTE, 1),
            own_ram_megabytes=round(own / MEGABYTE, 1),
            general_read_per_second=rate(before.read, after.read),
            general_written_per_second=rate(before.written, after.written),
            own_read_per_second=rate(before.own_read, after.own_read),
            own_written_per_second=rate(before.own_written, after.own_written),
            general_received_per_second=rate(before.received, after.received),
            general_sent_per_second=rate(before.sent, after.sent),
            load=float((self._proc / "loadavg").read_text().split()[0]),
        )

    def _counters(self) -> Counters:
        busy, total = self._processors()
        read, written = self._disks()
        received, sent = self._network()
        own_io = _table((self._proc / "self/io").read_text())
        return Counters(
            at_ns=time.time_ns(),
            monotonic=time.monotonic(),
            busy_ticks=busy,
            all_ticks=total,
            own_ticks=self._own_ticks(),
            read=read,
            written=written,
            own_read=own_io["read_bytes"],
            own_written=own_io["write_bytes"],
            received=received,
            sent=sent,
        )

    def _processors(self) -> tuple[int, int]:
        # cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are counted in user and nice
        ticks = [int(word) for word in (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _own_ticks(self) -> int:
        # the name in parentheses may hold blanks; utime and stime are fields 14 and 15
        words = (self._proc / "self/stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    def _memory(self) -> tuple[int, int]:
        table = _table((self._proc / "meminfo").read_text())
        return table["MemTotal"] * 1024, table["MemAvailable"] * 1024

    def _own_memory(self) -> int:
        return int((self._proc / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _disks(self) -> tuple[int, int]:
        read = written = 0
        for line in (self._proc / "diskstats").read_text().splitlines():
            words = line.split()
            if (self._sys / "block" / words[2].replace("/", "!") / "device").exists():
                read += int(words[5]) * SECTOR_BYTES
                written += int(words[9]) * SECTOR_BYTES
        return read, written

    def _network(self) -> tuple[int, int]:
        counts = {}
        for line in (self._proc / "net/dev").read_text().splitlines()[2:]:
            name, _, numbers = line.partition(":")
            words = numbers.split()
            counts[name.strip()] = int(words[0]), int(words[8])
        counts.pop("lo", None)
        cards = [both for name, both in counts.items() if (self._sys / "class/net" / name / "device").exists()]
        counted = cards or list(counts.values())
        return sum(one for one, _ in counted), sum(two for _, two in counted)


async def measure(sampler: Sampler, period: Callable[[], float], take: Callable[[MonitoringSample], None]) -> None:
    """Give `take` a sample each `period()` seconds until cancelled; a shorter period acts at once."""
    due, said = time.monotonic(), ""
    while True:
        if time.monotonic() >= due:
            try:
                sample = sampler.sample()
            except (OSError, ValueError, LookupError) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("this host cannot be measured: %s", error)
            else:
                if sample is not None:
                    take(sample)
            due = time.monotonic() + period()
        due = min(due, time.monotonic() + period())
        await asyncio.sleep(min(max(due - time.monotonic(), 0.0), LOOK_SECONDS))


def _table(text: str) -> dict[str, int]:
    """`Name: 123 kB` lines."""
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in text.splitlines()) if rest}


def _percent(part: int, whole: int) -> float:
    return round(min(max(100 * part / whole, 0.0), 100.0), 2)
