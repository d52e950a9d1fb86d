"""Calls a second with 1, 2 and more workers of the API, over TLS at 16 connections; a PostgreSQL of its own.

    .venv/bin/python bench/workers.py [--workers N ...] [--seconds S] [--connections C] [--json FILE]

`wrk` (Debian), which makes the load, and PostgreSQL run on the same processors: with two of them a second worker has
what these two leave. So it is shown what all of them took of the processors, and of the workers how long they ran, waited for a
processor, and slept. Workers that sleep under such a load wait for each other or for PostgreSQL; those that do not want more processors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from api import Case, measure
from rubackup.catalog.database import DatabaseAddress
from support.api import PASSWORD, password_hash
from support.api_process import Authority, process
from support.databases import execute, fresh_database, running_postgres

CASES = (
    Case("a lookup: one query, for the session", "/crypto"),
    Case("a list of 50 of 500 rows", "/client_groups"),
    Case("the state: nine queries", "/server_state"),
)
ROWS = "INSERT INTO client_groups (name) SELECT 'group ' || n FROM generate_series(1, 500) n"
USER = "INSERT INTO users (username, password_hash, group_id, is_superuser) VALUES ('rubackup', '{}', 1, true)"


@dataclass
class Figures:
    """What was measured of one case."""

    workers: int
    case: str
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    api_cores: float
    our_cores: float
    """API, PostgreSQL and `wrk` together."""
    all_cores: float
    """With what others had."""
    queued: float
    """Share of its time that a worker was ready to run and had no processor; a mean over all workers."""
    asleep: float

    @property
    def call_ms(self) -> float:
        """Processor time that a call takes of all three."""
        return 1000 * self.our_cores / self.per_second


def ticks(pids: list[int]) -> float:
    """Processor time of these processes so far, in seconds."""
    found = 0.0
    for pid in pids:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found += (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
    return found


def scheduled(pids: list[int]) -> tuple[float, float]:
    """Seconds that these processes ran, and that they were ready and waited for a processor, until now."""
    parts = [Path(f"/proc/{pid}/schedstat").read_text().split() for pid in pids]
    return sum(int(part[0]) for part in parts) / 1e9, sum(int(part[1]) for part in parts) / 1e9


def tree() -> float:
    """Processor time of this program, all that it has started and all that these have, ended ones included, in seconds."""
    children: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parts = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended since
            continue
        pid = int(stat.parent.name)
        children.setdefault(int(parts[1]), []).append(pid)
        spent[pid] = sum(map(int, parts[11:15])) / os.sysconf("SC_CLK_TCK")
    found, todo = 0.0, [os.getpid()]
    while todo:
        pid = todo.pop()
        found += spent.get(pid, 0.0)
        todo += children.get(pid, [])
    return found


def busy() -> float:
    """Processor time that was not idle so far, of the whole machine, in seconds."""
    numbers = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and its workers."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def proportional_mib(pids: list[int]) -> float:
    """Memory of the processes together, what they share counted once."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def run(database: DatabaseAddress, count: int, arguments: argparse.Namespace) -> tuple[list[Figures], float]:
    """Every case with so many workers, and their memory afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-workers-"))
    found = []
    try:
        Authority(folder)
        with process(folder, database, WORKERS=str(count)) as (keeper, port):
            url = f"https://localhost:{port}/api/v1"
            body = {"rubackup_database": database.database, "rubackup_user": "rubackup", "password": PASSWORD}
            data = httpx.post(f"{url}/auth/login", json=body, verify=False).json()["data"]
            headers = {"Authorization": f"Bearer {data['access_token']}", "X-CSRF-TOKEN": data["csrf_token"]}
            for case in CASES:
                pids = family(keeper.pid)
                workers = pids[1:] or pids
                before, began = (ticks(pids), tree(), busy(), *scheduled(workers)), time.monotonic()
                figures = measure(url, case, headers, arguments)
                now, seconds = (ticks(pids), tree(), busy(), *scheduled(workers)), time.monotonic() - began
                api, ours, everything, ran, queued = ((b - a) / seconds for a, b in zip(before, now, strict=True))
                one = Figures(
                    count, case.name, api_cores=api, our_cores=ours, all_cores=everything, queued=queued / count,
                    asleep=max(1 - (ran + queued) / count, 0), **figures,  # type: ignore[arg-type]
                )  # fmt: skip
                print(
                    f"{count} workers  {case.name:38} {one.per_second:8.1f}/s  p50 {one.p50_ms:6.1f} ms  p99 {one.p99_ms:6.1f} ms"
                    f"  API {one.api_cores:4.2f}, with its caller and PostgreSQL {one.our_cores:4.2f} of {one.all_cores:4.2f}"
                    f" busy processors, {one.call_ms:.2f} ms a call; a worker waited {one.queued:.0%} for a processor,"
                    f" slept {one.asleep:.0%}  {one.errors} errors",
                    flush=True,
                )
                found.append(one)
            return found, proportional_mib(family(keeper.pid))
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("bench/workers.py needs wrk: apt-get install wrk")
    figures: list[Figures] = []
    memory: dict[int, float] = {}
    with running_postgres() as administrator, fresh_database(administrator) as database:
        execute(database, USER.format(password_hash()), ROWS)
        for count in arguments.workers:
            found, memory[count] = run(database, count, arguments)
            figures += found
    first = {one.case: one for one in figures if one.workers == arguments.workers[0]}
    for one in figures:
        print(f"ratio: {one.workers} workers, {one.case}: {one.per_second / first[one.case].per_second:.2f}")
    for count, mib in memory.items():
        print(f"memory: {count} workers: {mib:.0f} MiB, what they share counted once")
    if arguments.json:
        told = {"cores": os.cpu_count(), "figures": [asdict(one) for one in figures], "memory_mib": memory}
        arguments.json.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(any(one.errors for one in figures))


if __name__ == "__main__":
    main()
