"""Backs up and restores 100,000 files and one file of 5 GiB; prints times and the memory of each process.

Run by `scripts/nightly`, or alone: `.venv/bin/python bench/spine.py [--files N] [--gib N] [--json FILE]`.
Memory is the peak that the kernel counts for a process (VmHWM of /proc/PID/status).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from rubackup.client.compare import compare_trees
from support.system import System, running

LIMIT_MIB = 300


def many_files(folder: Path, count: int) -> Path:
    """A tree of small files: 1,000 a folder, 200 to 8,000 bytes each, from a fixed seed."""
    dice = random.Random(42)
    for number in range(count):
        if number % 1000 == 0:
            inner = folder / f"d{number // 10_000}" / f"e{number // 1000}"
            inner.mkdir(parents=True)
        (inner / f"file{number:06}").write_bytes(dice.randbytes(100) * dice.randint(2, 80))
    return folder


def large_file(folder: Path, gib: float) -> Path:
    """One file, half of it incompressible."""
    folder.mkdir()
    dice = random.Random(43)
    with (folder / "image").open("wb") as file:
        for _ in range(int(gib * 1024)):
            file.write(dice.randbytes(1 << 19) + bytes(dice.randbytes(64)) * (1 << 13))
    return folder


def peak_mib(system: System) -> dict[str, int]:
    """Peak resident memory of each process of the system."""
    found = {}
    for name, pid in system.processes().items():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found[name] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
    return found


def timed(system: System, number: int, shown: list[dict[str, Any]]) -> float:
    """Seconds until a task is done; its progress on the way is collected."""
    begin = time.monotonic()

    def reached(task: dict[str, Any]) -> bool:
        shown.append({key: task[key] for key in ("status", "percent", "speed_bytes_per_second", "eta_seconds")})
        return task["status"] in {"Done", "Error", "Broken", "Killed"}

    task = system.until(number, reached, 1800)
    assert task["status"] == "Done", (task, system.log(number))
    return round(time.monotonic() - begin, 1)


def run(system: System, source: Path, target: Path) -> dict[str, Any]:
    """Backup, incremental backup, verification, restore and comparison of one tree."""
    shown: list[dict[str, Any]] = []
    result: dict[str, Any] = {"backup_s": timed(system, system.backup(source), shown)}
    result["incremental_s"] = timed(system, system.backup(source, backup_type="incremental"), [])
    record = system.records(source)[-1]
    answer = system.call("POST", f"/repository/{record['id']}/verification", status=201)
    result["verify_s"] = timed(system, int(answer["message"].rpartition(":")[2]), [])
    result["restore_s"] = timed(system, system.restore(record["id"], target), [])
    outcome = compare_trees(source, target / str(source).lstrip("/"))
    result["differences"] = len(outcome.differences)
    result["progress_seen"] = [step for step in shown if 0 < (step["percent"] or 0) < 100][:: max(1, len(shown) // 5)]
    result["peak_mib"] = peak_mib(system)
    result["size_bytes"] = record["size_bytes"]
    return result


def main() -> int:
    """Print the results; 1 when a copy differs or a process used too much memory."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--files", type=int, default=100_000)
    arguments.add_argument("--gib", type=float, default=5)
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rubackup-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    results: dict[str, Any] = {}
    try:
        for name, make in (
            ("files", lambda: many_files(folder / "files", options.files)),
            ("large", lambda: large_file(folder / "large", options.gib)),
        ):
            source = make()
            with running(folder / f"state-{name}") as system:
                results[name] = run(system, source, folder / f"target-{name}")
            shutil.rmtree(folder / f"target-{name}")
            shutil.rmtree(folder / f"state-{name}")
            shutil.rmtree(source)
            print(name, json.dumps(results[name], indent=2), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    worst = max(result["peak_mib"][process] for result in results.values() for process in ("client", "media"))
    differences = sum(result["differences"] for result in results.values())
    print(f"differences {differences}; peak of client and media server {worst} MiB, limit {LIMIT_MIB} MiB")
    return int(bool(differences) or worst > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
