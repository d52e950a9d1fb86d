"""How busy a host is: figures out of two readings of /proc, and how they are reported."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rubackup.agent import sampling
from rubackup.agent.monitoring import WAITING_SAMPLES, Reporter
from rubackup.agent.sampling import Sampler, measure
from rubackup.domain.errors import Unavailable
from rubackup.wire.messages import Ack, Message, MonitoringLimits, MonitoringSample, ReportMonitoring


class Host:
    """A made-up /proc and /sys, as proc(5) describes them."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys = folder / "proc", folder / "sys"
        for name in ("self", "net"):
            (self.proc / name).mkdir(parents=True)
        for name in ("block/vda/device", "class/net/eth0/device"):
            (self.sys / name).mkdir(parents=True)
        self.write("loadavg", "0.75 0.50 0.25 1/100 1234")
        self.write("meminfo", "MemTotal: 4096 kB\nMemFree: 512 kB\nMemAvailable: 1024 kB\nHugePages_Total: 0")
        self.write("self/statm", f"9999 {(1 << 20) // os.sysconf('SC_PAGE_SIZE')} 0 0 0 0 0")
        self.count(0)

    def write(self, name: str, text: str) -> None:
        """A file of /proc."""
        (self.proc / name).write_text(text + "\n")

    def count(self, n: int) -> None:
        """All counters after `n` steps."""
        self.write("stat", f"cpu {100 * n} {50 * n} {50 * n} {700 * n} {80 * n} {10 * n} 5 {10 * n} 9 9\ncpu0 1 2 3 4")
        self.write("self/stat", f"42 (a (strange) name) S {' '.join(['0'] * 10)} {15 * n} {5 * n} 0 0")
        self.write("self/io", f"rchar: 1\nread_bytes: {3000 * n}\nwrite_bytes: {4000 * n}\ncancelled_write_bytes: 0")
        disks = [f"254 0 vda 1 0 {20 * n} 0 1 0 {40 * n} 0", f"254 1 vda1 1 0 {20 * n} 0 1 0 {40 * n} 0"]
        self.write("diskstats", "\n".join([*disks, f"7 0 loop0 1 0 {999 * n} 0 1 0 {999 * n} 0"]))
        cards = [
            f"    lo: {n} 0 0 0 0 0 0 0 {n}",
            f"  eth0: {5000 * n} 1 0 0 0 0 0 0 {6000 * n} 1",
            f"br0:{n} 1 0 0 0 0 0 0 {n}",
        ]
        self.write("net/dev", "\n".join(["Inter-|", " face |", *cards]))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host."""
    return Host(tmp_path)


def sampled(host: Host, monkeypatch: pytest.MonkeyPatch, seconds: float) -> MonitoringSample:
    """One step of the counters within so many seconds."""
    now = iter([100.0, 100.0 + seconds])
    clock = SimpleNamespace(time_ns=time.time_ns, monotonic=lambda: next(now))  # of this module, and of no other thread
    monkeypatch.setattr(sampling, "time", clock)
    sampler = Sampler(host.proc, host.sys)
    assert sampler.sample() is None
    host.count(1)
    found = sampler.sample()
    monkeypatch.undo()
    assert found is not None
    return found


def test_figures_are_differences_per_second(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processors, memory, disks, network and our own process; partitions, loop devices and bridges count once."""
    one = sampled(host, monkeypatch, 2.0)

    assert (one.general_cpu_percent, one.own_cpu_percent) == (22.0, 2.0)  # 220 and 20 of 1000 ticks
    assert (one.general_ram_percent, one.general_ram_megabytes) == (75.0, 3.0)
    assert (one.own_ram_percent, one.own_ram_megabytes) == (25.0, 1.0)
    assert (one.general_read_per_second, one.general_written_per_second) == (20 * 512 / 2, 40 * 512 / 2)
    assert (one.own_read_per_second, one.own_written_per_second) == (1500.0, 2000.0)
    assert (one.general_received_per_second, one.general_sent_per_second) == (2500.0, 3000.0)
    assert one.load == 0.75
    assert one.before_ns <= one.after_ns


def test_without_real_cards_every_interface_counts(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has virtual ones only; `lo` never counts."""
    (host.sys / "class/net/eth0/device").rmdir()

    assert sampled(host, monkeypatch, 1.0).general_received_per_second == 5001.0


def test_this_host_can_be_measured() -> None:
    """The real /proc is understood, and figures are within their bounds."""
    sampler = Sampler()
    sampler.sample()
    one = sampler.sample()

    assert one is not None
    assert 0 < one.own_ram_megabytes < one.general_ram_megabytes
    assert 0 <= one.general_cpu_percent <= 100


def test_a_host_that_cannot_be_measured_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or strange table costs the sample, said once, not the process."""

    async def scenario() -> list[MonitoringSample]:
        taken: list[MonitoringSample] = []
        enough = asyncio.Event()

        def take(sample: MonitoringSample) -> None:
            taken.append(sample)
            enough.set()

        (host.proc / "stat").write_text("nonsense")
        loop = asyncio.create_task(measure(Sampler(host.proc, host.sys), lambda: 0.01, take))
        await asyncio.sleep(0)
        host.count(1)
        async with asyncio.timeout(60):
            await enough.wait()
        loop.cancel()
        return taken

    assert asyncio.run(scenario())


class Server:
    """Answers reports, or not."""

    def __init__(self) -> None:
        self.reports: list[list[MonitoringSample]] = []
        self.answers: list[Message | Exception] = []
        self.asked_thrice = asyncio.Event()

    async def call(self, message: Message, _timeout: float, _patience: float) -> Message:
        """`agent.tasks.CallServer`."""
        assert isinstance(message, ReportMonitoring)
        self.reports.append(message.samples)
        if len(self.reports) == 3:
            self.asked_thrice.set()
        answer = self.answers.pop(0) if self.answers else MonitoringLimits(period_seconds=7)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_reports_are_repeated_until_a_server_takes_them(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost while no server answers, and the period is the server's to say."""
    one = sampled(host, monkeypatch, 1.0)
    server = Server()
    reporter = Reporter(server.call, Sampler(host.proc, host.sys))
    reporter._take(one)

    async def scenario() -> None:
        server.answers = [Unavailable("No server is connected.")]
        with pytest.raises(Unavailable):
            await reporter.send()
        await reporter.send()
        await reporter.send()

    asyncio.run(scenario())

    assert server.reports == [[one], [one], []]
    assert reporter._period == 7.0


def test_what_waits_is_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest samples go, and a long queue is sent in parts."""
    one = sampled(host, monkeypatch, 1.0)
    server = Server()
    reporter = Reporter(server.call, Sampler(host.proc, host.sys))
    for _ in range(WAITING_SAMPLES + 10):
        reporter._take(one)

    asyncio.run(reporter.send())

    assert sum(map(len, server.reports)) == WAITING_SAMPLES
    assert max(map(len, server.reports)) == 1000


def test_a_wrong_answer_is_a_fault(host: Host) -> None:
    """It is said in the log and tried again: nothing ends."""
    server = Server()
    server.answers = [Ack()]
    reporter = Reporter(server.call, Sampler(host.proc, host.sys), report_seconds=0.01)

    async def scenario() -> None:
        loop = asyncio.create_task(reporter.run())
        async with asyncio.timeout(60):
            await server.asked_thrice.wait()
        loop.cancel()

    asyncio.run(scenario())
