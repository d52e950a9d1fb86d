"""The server with many clients and a long queue: connections, memory, dispatch, ticks.

    .venv/bin/python -m bench.server [--clients 10000] [--tasks 1000000] [--rules 10000] [--seconds 60] [--json FILE]

The system runs as `rubackup up` starts it: PostgreSQL, server, API. Clients and media servers are light agents in a few
processes (`bench/server/agents.py`): real certificates, handshakes, heartbeats, orders and reports; they copy nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from bench.engine.__main__ import machine
from bench.server import catalogue, phases
from bench.server.fleet import Fleet, memory_mib
from bench.server.hosts import enter

from rubackup.roles.up.state import State, holder
from support.system import System, down, running

SPARE = 500
"""Descriptors beside those of connections."""
LONGEST_ROUND_MS = 2000
SLOW_MS = 200


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=10_000, help="all due in one minute; 0: none")
    parser.add_argument("--seconds", type=int, default=60, help="how long the queue is worked on")
    parser.add_argument(
        "--hog", type=float, default=0.1, help="share of the tasks that one client has, at the head of the queue"
    )
    parser.add_argument("--hold", type=float, default=1.0, help="seconds that an agent works on a task, on average")
    parser.add_argument("--processes", type=int, default=4, help="of light agents")
    parser.add_argument("--media", type=int, default=5, help="media servers a process")
    parser.add_argument(
        "--state", type=Path, help="a system that runs already (ROUNDS_SECONDS=5), instead of a new one"
    )
    parser.add_argument("--dir", type=Path, default=Path(os.environ.get("BENCH_DIR", "/var/tmp")))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def raise_descriptors(clients: int) -> None:
    """The server, which inherits it, needs one for each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + SPARE
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        sys.exit(
            f"bench.server: {clients} clients need {wanted} open files in one process; the limit is {hard} here. "
            f"Raise it (ulimit -Hn {wanted}, as root) or ask for fewer --clients."
        )


def run(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All phases; the figures."""
    environment = {"ROUNDS_SECONDS": str(phases.ROUNDS_SECONDS), "RETENTION_SECONDS": "60", "TIMEZONE": "UTC"}
    system_of = found(asked.state) if asked.state else running(folder / "state", environment=environment, seconds=600)
    with system_of as system:
        return measure(asked, system, folder)


def found(state: Path) -> AbstractContextManager[System]:
    """A system that runs already; it is left running."""
    return nullcontext(System(state, json.loads((state / "ready.json").read_text())))


def measure(asked: argparse.Namespace, system: System, folder: Path) -> dict[str, Any]:
    """All phases on a running system."""
    first = catalogue.number(system, "SELECT count(*) FROM clients WHERE hostname LIKE 'bench-%'")
    with Fleet(system, folder, asked.clients, asked.processes, asked.media, asked.hold, first) as fleet:
        bench = phases.Bench(system, fleet)
        bench.note("machine", what=machine(), clients=asked.clients, tasks=asked.tasks, hold=asked.hold)
        catalogue.note_slow(system, SLOW_MS)
        phases.set_service_mode(system, on=True)
        began = time.monotonic()
        rows = fleet.rows()
        catalogue.connected(system, lambda db: enter(db, rows))
        catalogue.place(system, fleet.pairs)
        bench.note("preparing", certificates=len(rows), seconds=time.monotonic() - began)
        seconds = catalogue.fill(system, asked.tasks, asked.clients, int(asked.tasks * asked.hog))
        bench.note("preparing", tasks=asked.tasks, fill_seconds=seconds)
        phases.connect(bench)
        phases.rest(bench, 20)
        bench.note("claim", plan=catalogue.plans(system)["claim: candidates"])
        phases.dispatch(bench, asked.seconds)
        if asked.rules:
            phases.schedule(bench, asked.rules)
        bench.note("end", server_peak_mib=memory_mib(bench.pids["server"][0], "VmHWM"))
        bench.figures["scans"] = catalogue.scans(system)
        bench.figures["slow"] = phases.slow_statements(system)
        if os.environ.get("BENCH_KEEP_LOGS"):
            shutil.copytree(system.state / "log", os.environ["BENCH_KEEP_LOGS"], dirs_exist_ok=True)
        return bench.figures


def late(figures: dict[str, Any]) -> list[str]:
    """Rounds that took longer than the two seconds that are wanted at most."""
    found = []
    for phase, told in figures.items():
        for name, text in told.items() if isinstance(told, dict) else ():
            if name.startswith("round_") and int(str(text).rpartition("longest ")[2].split()[0]) > LONGEST_ROUND_MS:
                found.append(f"{phase}: {name.removeprefix('round_')} {text}")
    return found


def main() -> int:
    """Print the figures; 1 when a round was too long."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running or lying about
    raise_descriptors(asked.clients)
    folder = Path(tempfile.mkdtemp(prefix="bench-server-", dir=asked.dir))
    try:
        figures = run(asked, folder)
    finally:
        if holder(State(folder / "state")) is not None:  # it did not come up in time
            down(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("scans", "slow"):
        print(f"{name}:")
        for row in figures[name]:
            print("  ", json.dumps(row, default=str))
    too_long = late(figures)
    print("\n".join(f"TOO LONG: {line}" for line in too_long) or f"no round took longer than {LONGEST_ROUND_MS} ms")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1, default=str) + "\n")
    return int(bool(too_long))


if __name__ == "__main__":
    sys.exit(main())
