"""Calls a second with 1, 2 and more workers of the API, over TLS at 16 connections; a PostgreSQL of its own.

    .venv/bin/python bench/workers.py [--workers N ...] [--seconds S] [--connections C] [--json FILE]

`wrk` (Debian), which makes the load, and PostgreSQL run on the same processors: with two of them a second worker has
what these two leave. What all of them took of the processors is shown beside the calls, so that it can be seen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
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
    all_cores: float


def ticks(pids: list[int]) -> float:
    """Processor time of these processes so far, in seconds."""
    found = 0.0
    for pid in pids:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found += (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
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
                before = ticks(pids), busy()
                figures = measure(url, case, headers, arguments)
                api, everything = ticks(pids) - before[0], busy() - before[1]
                seconds = arguments.seconds
                one = Figures(count, case.name, api_cores=api / seconds, all_cores=everything / seconds, **figures)  # type: ignore[arg-type]
                print(
                    f"{count} workers  {case.name:38} {one.per_second:8.1f}/s  p50 {one.p50_ms:6.1f} ms  p99 {one.p99_ms:6.1f} ms"
                    f"  API {one.api_cores:4.2f} of {one.all_cores:4.2f} busy processors  {one.errors} errors",
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
    first = {one.case: one.per_second for one in figures if one.workers == arguments.workers[0]}
    for one in figures:
        print(f"ratio: {one.workers} workers, {one.case}: {one.per_second / first[one.case]:.2f}")
    for count, mib in memory.items():
        print(f"memory: {count} workers: {mib:.0f} MiB, what they share counted once")
    if arguments.json:
        told = {"cores": os.cpu_count(), "figures": [asdict(one) for one in figures], "memory_mib": memory}
        arguments.json.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(any(one.errors for one in figures))


if __name__ == "__main__":
    main()
