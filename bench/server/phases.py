"""What is measured, phase by phase, while the server works."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any, Self

from bench.server import catalogue
from bench.server.fleet import Fleet, children, cpu_seconds, memory_mib

from support.system import System

ROUNDS_SECONDS = 5
_ROUNDS = re.compile(r"rounds of \d+ s: (.*)")
_ONE = re.compile(r"(\w[\w ]*) (\d+)x ([\d.]+)/(\d+) ms")
_SLOW = re.compile(r"duration: ([\d.]+) ms\s+(?:statement|execute [^:]*): (.*)")
CONNECT_SECONDS = 900.0
URGENT_SECONDS = 60.0


@dataclass
class Bench:
    """One run."""

    system: System
    fleet: Fleet
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pids = self.system.processes()
        self.pids = {"server": [pids["server"]], "postgres": children(pids["postgres"]), "agents": self.fleet.pids()}

    def measured(self, name: str) -> Phase:
        """A phase that begins now."""
        return Phase(self, name)

    def note(self, name: str, **figures: Any) -> None:
        """Figures of a phase: kept, and printed at once."""
        self.figures.setdefault(name, {}).update(figures)
        shown = ", ".join(f"{key} {round(one, 3) if isinstance(one, float) else one}" for key, one in figures.items())
        print(f"{name}: {shown}", flush=True)

    def log_size(self) -> int:
        """How much the server has logged."""
        return (self.system.state / "log/server.log").stat().st_size


class Phase:
    """What the kernel and the server's log tell of a stretch of time."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.name = bench, name

    def __enter__(self) -> Self:
        self.began, self.log_from, self.cpu = time.monotonic(), self.bench.log_size(), self._cpu()
        return self

    def _cpu(self) -> dict[str, float]:
        self.bench.pids["postgres"] = children(self.bench.system.processes()["postgres"])
        return {name: cpu_seconds(pids) for name, pids in self.bench.pids.items()}

    def __exit__(self, kind: object, *_error: object) -> None:
        if kind is not None:
            return
        seconds = time.monotonic() - self.began
        cores = {name: (after - self.cpu[name]) / seconds for name, after in self._cpu().items()}
        self.bench.note(
            self.name, seconds=seconds, load=os.getloadavg()[0], **{f"cores_{name}": one for name, one in cores.items()},
            server_mib=memory_mib(self.bench.pids["server"][0]),
        )  # fmt: skip
        for name, (rounds, mean, longest) in sorted(self.rounds().items()):
            self.bench.note(self.name, **{f"round_{name}": f"{rounds}x {mean:.1f} ms, longest {longest} ms"})

    def rounds(self) -> dict[str, tuple[int, float, int]]:
        """Of each kind of round its number, mean and longest, ms."""
        time.sleep(ROUNDS_SECONDS + 0.5)  # the line about the end of the phase
        found: dict[str, tuple[int, float, int]] = {}
        with (self.bench.system.state / "log/server.log").open() as log:
            log.seek(self.log_from)
            for match in filter(None, map(_ROUNDS.search, log)):
                for name, rounds, mean, longest in _ONE.findall(match[1]):
                    before = found.get(name, (0, 0.0, 0))
                    total = before[0] + int(rounds)
                    average = (before[0] * before[1] + int(rounds) * float(mean)) / total
                    found[name] = total, average, max(before[2], int(longest))
        return found


def set_service_mode(system: System, *, on: bool) -> None:
    """Nothing is handed out while it is on."""
    system.call("PATCH", "/global_configuration/service_mode", {"service_mode": on})


def connect(bench: Bench) -> None:
    """All agents come, as fast as the server lets them in."""
    wanted = bench.fleet.clients + sum(len(range(*w.spec["media"])) for w in bench.fleet.workers)
    before = memory_mib(bench.pids["server"][0])
    with bench.measured("connecting"):
        began = time.monotonic()
        bench.fleet.go()
        while (have := bench.fleet.counts()["connected"]) < wanted:
            if time.monotonic() - began > CONNECT_SECONDS:
                raise SystemExit(f"bench.server: only {have} of {wanted} came: {bench.fleet.errors()}")
            time.sleep(0.25)
        took = time.monotonic() - began - bench.fleet.enrol_seconds
        online = "SELECT count(*) FROM client_presence p JOIN clients c ON c.id = p.client_id WHERE p.online AND c.hostname LIKE 'bench-%'"
        while (
            catalogue.number(bench.system, online) < bench.fleet.clients and time.monotonic() - began < CONNECT_SECONDS
        ):
            time.sleep(0.5)
        bench.note("connecting", hosts=wanted, per_second=wanted / took, online_after=time.monotonic() - began)
    after = memory_mib(bench.pids["server"][0])
    bench.note("connecting", server_mib_before=before, kib_each=(after - before) * 1024 / wanted)
    enrolled = sum(w.spec["enrol"] for w in bench.fleet.workers)
    bench.note("connecting", enrolled=enrolled, enrolments_per_second=enrolled / max(bench.fleet.enrol_seconds, 0.001))
    troubles(bench, "connecting")


def rest(bench: Bench, seconds: float) -> None:
    """Nothing but heartbeats."""
    with bench.measured("resting"):
        time.sleep(seconds)
    troubles(bench, "resting")


def dispatch(bench: Bench, seconds: float) -> None:
    """The queue is worked on; from time to time a task of higher priority comes."""
    bench.system.login()
    set_service_mode(bench.system, on=False)
    before, waits = bench.fleet.counts(), list[float]()
    with bench.measured("dispatching"):
        began = time.monotonic()
        first = None
        while time.monotonic() - began < seconds:
            counts = bench.fleet.counts()
            if first is None and counts["orders"] > before["orders"]:
                first = time.monotonic() - began
            waits.append(urgent(bench, len(waits)))
            time.sleep(min(seconds / 12, 5))
        took = time.monotonic() - began
    counts = bench.fleet.counts() - before
    bench.note(
        "dispatching", orders_per_second=counts["orders"] / took, done_per_second=counts["done"] / took,
        reports_per_second=counts["reports"] / took, first_order_after=first,
        urgent_median=sorted(waits)[len(waits) // 2], urgent_longest=max(waits), urgent=len(waits),
        states=catalogue.statuses(bench.system),
    )  # fmt: skip
    troubles(bench, "dispatching")


def urgent(bench: Bench, number: int) -> float:
    """Seconds from the call that queues a task of the highest priority until its client has the order."""
    bench.system.login()
    client = (number * 7919 + 17) % bench.fleet.clients
    hwid, media = bench.fleet.pairs[client]
    pool = f"pool of bench-media-{int(media.removeprefix('be'), 16)}"
    task = {
        "resource_type": "File system", "resource": f"/urgent/{number}",
        "client": f"bench-client-{bench.fleet.first + client} ({hwid})", "backup_type": "full", "pool": pool, "crypto": "nocrypt",
        "priority": 1000, "storage_duration": "1 Years", "archiving": False,
    }  # fmt: skip
    began = time.time()
    answer = bench.system.call("POST", "/task_queue/", {"data": {"task": task}}, status=201)
    queued = int(answer["message"].rpartition(":")[2])
    while time.time() - began < URGENT_SECONDS:
        if (at := bench.fleet.order_of(queued)) is not None:
            return at - began
        time.sleep(0.1)
    return URGENT_SECONDS


def schedule(bench: Bench, rules: int) -> None:
    """Rules that are all due in one minute."""
    now = dt.datetime.now(dt.UTC)
    lead = 20 + rules / 400  # time to write them and to find out when each is due
    at = (now + dt.timedelta(seconds=lead + 59)).replace(second=0, microsecond=0)
    catalogue.rule(bench.system, rules, bench.fleet.clients, at)
    with bench.measured("finding out when rules launch"):
        unknown = "SELECT count(*) FROM schedule_launches WHERE due_at = '-infinity'"
        while catalogue.number(bench.system, unknown) and dt.datetime.now(dt.UTC) < at:
            time.sleep(0.5)
    time.sleep(max((at - dt.datetime.now(dt.UTC)).total_seconds(), 0))
    with bench.measured("launching"):
        found = catalogue.launched(bench.system, at)
        while found["launches"] < rules and (dt.datetime.now(dt.UTC) - at).total_seconds() < 300:
            time.sleep(0.5)
            found = catalogue.launched(bench.system, at)
    bench.note("launching", rules=found["launches"], latest_seconds=found["latest"], mean_seconds=found["mean"])
    troubles(bench, "launching")


def troubles(bench: Bench, name: str) -> None:
    """What the agents met."""
    counts = bench.fleet.counts()
    bad = {key: counts[key] for key in ("lost", "fenced", "calls without answer") if counts[key]}
    errors = dict(bench.fleet.errors().most_common(3))
    if bad or errors:
        bench.note(name, troubles=bad, errors=errors)


def slow_statements(system: System, most: int = 12) -> list[dict[str, Any]]:
    """The statements that PostgreSQL found slow, by their sum: first words, number, longest ms."""
    found: dict[str, list[float]] = {}
    for path in (system.state / "log").glob("postgres.log*"):
        text = path.read_text(errors="replace")
        for match in _SLOW.finditer(text):
            words = " ".join(text[match.start(2) : match.start(2) + 200].split())[:110]
            found.setdefault(words, []).append(float(match[1]))
    ordered = sorted(found.items(), key=lambda item: -sum(item[1]))[:most]
    return [{"statement": name, "times": len(ms), "longest_ms": max(ms)} for name, ms in ordered]
