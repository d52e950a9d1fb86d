"""The processes of light agents, and what the kernel counts of any process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

from bench.server import hosts

from rubackup.roles.settings import Settings
from support.system import System

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
DIALLING = 90
"""Connections that are being made at a time in all: the server lets 128 of one address arrive at once."""
MAKE_SECONDS = 900.0


class Worker:
    """One process of light agents."""

    def __init__(self, spec: dict[str, Any], path: Path) -> None:
        self.spec = spec
        path.write_text(json.dumps(spec))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.server.agents", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=ROOT,
        )  # fmt: skip
        self.made = threading.Event()
        self.last: dict[str, Any] = {}
        self.said: dict[int, float] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "made" in told:
                self.made.set()
            else:
                self.last = told
                self.said |= {one["task"]: one["at"] for one in told["said"]}

    def tell(self, word: str) -> None:
        """A line of the parent's."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()


class Fleet:
    """All light agents; their numbers begin at `first`."""

    def __init__(
        self, system: System, folder: Path, clients: int, processes: int, media: int, hold: float, first: int
    ) -> None:
        settings = Settings.load(system.state / "etc/server.env", {})
        self.clients, self.pairs = clients, list[tuple[str, str]]()
        self.workers: list[Worker] = []
        self.first = first
        for number in range(processes):
            own = folder / f"agents-{number}"
            own.mkdir(mode=0o700)
            some = range(first + clients * number // processes, first + clients * (number + 1) // processes)
            keepers = range(first + media * number, first + media * (number + 1))
            self.pairs += [(hosts.client_hwid(c), hosts.media_hwid(keepers[c % media])) for c in some]
            spec = {
                "host": settings.text("CONTROL_HOST"), "port": settings.port("CONTROL_PORT"), "folder": str(own),
                "issuing_key": settings.text("ISSUING_KEY_FILE"), "issuing_cert": settings.text("ISSUING_CERT_FILE"),
                "root": settings.text("ROOT_CA_FILE"), "client": [some.start, some.stop],
                "media": [keepers.start, keepers.stop], "hold": hold, "dialling": DIALLING // processes,
                "enrol": min(80 // processes, len(some)), "made": str(own / "made.json"),
            }  # fmt: skip
            self.workers.append(Worker(spec, own / "spec.json"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.terminate()
        for worker in self.workers:
            try:
                worker.process.wait(20)
            except subprocess.TimeoutExpired:
                worker.process.kill()

    def rows(self) -> list[dict[str, Any]]:
        """What the catalogue needs of all hosts, once they are made."""
        deadline = time.monotonic() + MAKE_SECONDS
        for worker in self.workers:
            while not worker.made.wait(0.5):
                if worker.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("bench.server: a process of agents could not make its certificates.")
        return [row for worker in self.workers for row in json.loads(Path(worker.spec["made"]).read_text())]

    def go(self) -> None:
        """Let them dial."""
        for worker in self.workers:
            worker.tell("go")

    def counts(self) -> Counter[str]:
        """Sums over the processes, a second old at most."""
        total: Counter[str] = Counter()
        for worker in self.workers:
            total.update(worker.last.get("counts", {}))
        return total

    def errors(self) -> Counter[str]:
        """What failed, and how often."""
        total: Counter[str] = Counter()
        for worker in self.workers:
            total.update(worker.last.get("errors", {}))
        return total

    def order_of(self, task: int) -> float | None:
        """When an agent got the order for this task (unix time)."""
        return next((worker.said[task] for worker in self.workers if task in worker.said), None)

    @property
    def enrol_seconds(self) -> float:
        """The longest that a process took to enrol its share."""
        return max(float(worker.last.get("enrol_seconds", 0)) for worker in self.workers)

    def pids(self) -> list[int]:
        """Process ids."""
        return [worker.process.pid for worker in self.workers]


def cpu_seconds(pids: list[int]) -> float:
    """Processor time of these processes until now, and of children of theirs that have ended."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += sum(int(one) for one in fields[11:15])
    return total / TICKS


def children(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in path.read_text().split()]
    return found


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process now, or its peak (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0
