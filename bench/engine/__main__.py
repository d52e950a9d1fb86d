"""The chunk store against restic and borg, alternately on the same trees in the same run.

    .venv/bin/python -m bench.engine [--rounds N] [--trees small large random] [--encrypted yes|no|both] [--json FILE]

RESTIC and BORG name the programs, else the newest of the registries are fetched (kept in ~/.cache/rubackup-bench).
Everything else lies below one fresh folder on a disk (--dir, /var/tmp unless given), which is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from bench.engine import meter, profile, report, tools, trees
from bench.engine.bare import Bare
from bench.engine.contestants import Borg, Contestant, Restic
from bench.engine.product import Product
from bench.engine.rounds import ROWS, SNAPSHOTS, Results, Scenario

CIPHER = "aes-256-gcm"
NAMES = ("restic", "borg", "product", "bare")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--trees", nargs="+", choices=("small", "large", "random"), default=["small", "large", "random"]
    )
    parser.add_argument("--encrypted", choices=("yes", "no", "both"), default="both")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="systems to measure")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the trees")
    parser.add_argument(
        "--snapshots", type=int, default=SNAPSHOTS, help="copies that are made and forgotten to reclaim"
    )
    parser.add_argument("--quick", action="store_true", help="one round on small trees: does it run at all")
    parser.add_argument("--dir", type=Path, default=None, help="where the folder of this run is made")
    parser.add_argument("--cache", type=Path, default=tools.default_cache(), help="where fetched tools are kept")
    parser.add_argument("--cipher", default=CIPHER, help="the task's `crypto` where it is encrypted")
    parser.add_argument("--profile", type=Path, help="folder for profiles of the product's processes; slows them down")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--docs", type=Path, help="docs/performance.md, to put the tables into; the plot lies beside it"
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.scale, options.snapshots = 1, min(options.scale, 0.01), 2
    return options


def contestants(
    options: argparse.Namespace, folder: Path, programs: dict[str, Path], *, encrypted: bool
) -> list[Contestant]:
    """The systems of one round; the bare chunk store does not encrypt, as the key is the client's affair."""
    made: dict[str, Contestant] = {}
    for name in options.only:
        if name == "restic":
            made[name] = Restic(programs[name], folder / name)
        elif name == "borg":
            made[name] = Borg(programs[name], folder / name, encrypted=encrypted)
        elif name == "product":
            made[name] = Product(folder / name, options.cipher if encrypted else "nocrypt")
        elif not encrypted:
            made[name] = Bare(folder / name)
    return list(made.values())


def measure(options: argparse.Namespace, folder: Path, programs: dict[str, Path], found: list[Results]) -> list[float]:
    """Every tree; what was measured is added to `found`. The speeds of the disk on the way."""
    speeds: list[float] = []
    kinds = {"yes": [True], "no": [False], "both": [False, True]}[options.encrypted]
    for name in options.trees:
        print(f"{name}: the tree is made", flush=True)
        tree = trees.make(name, folder / "trees" / name, options.scale)
        for encrypted in kinds:
            scenario = Scenario(
                tree,
                lambda encrypted=encrypted: contestants(options, folder, programs, encrypted=encrypted),
                folder,
                lambda text: print(text, flush=True),
                encrypted=encrypted,
                snapshots=options.snapshots,
                around=partial(beside, options, "encrypted" if encrypted else "clear", name),
            )
            found.append(scenario.results)
            for number in range(options.rounds):
                meter.warm(tree.root)
                speeds.append(meter.disk_speed(folder, max(int(1024 * min(options.scale, 1)), 16)))
                print(f"{report.title(scenario.results)}, round {number + 1}, disk {speeds[-1]:.0f} MB/s", flush=True)
                scenario.round(number, options.rows)
        shutil.rmtree(tree.root)
    return speeds


def beside(
    options: argparse.Namespace, kind: str, tree: str, row: str, one: Contestant
) -> AbstractContextManager[None]:
    """A profile of the product's processes, where one is wanted."""
    if not options.profile or not isinstance(one, Product):
        return nullcontext()
    wanted = {name: pid for name, pid in one.system.processes().items() if "postgres" not in name}
    return profile.profiled(profile.py_spy(options.cache), wanted, options.profile / f"{tree}-{kind}", row)


def machine() -> str:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def tell(found: Sequence[Results], facts: dict[str, Any]) -> int:
    """Print tables and verdicts; the number of targets that were missed."""
    print("\n" + report.markdown(found, facts))
    missed = 0
    for results in found:
        print(f"\n{report.title(results)}")
        for one in report.verdicts(results, facts["disk_mb_s"]):
            missed += not one.held
            print(f"  {one.what:60} {one.text}")
        for row, reasons in results.failures.items():
            for name, reason in reasons.items():
                print(f"  {name} failed at {row}: {reason[:300]}")
    print(f"\n{missed} targets missed")
    return missed


def main() -> int:
    """Measure and tell; 1 when something failed, not when a target was missed."""
    options = arguments()
    programs, facts = {}, {"restic": "-", "borg": "-"}
    try:
        for name, get in (("restic", tools.restic), ("borg", tools.borg)):
            if name in options.only:
                programs[name], facts[name] = get(options.cache)
                print(f"{name} {facts[name]}: {programs[name]}", flush=True)
        folder = tools.private_folder(options.dir)
    except tools.Unusable as error:
        sys.exit(f"engine: {error}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()[0]
    found: list[Results] = []
    try:
        speeds = measure(options, folder, programs, found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    everything = {
        **facts,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "rounds": options.rounds,
        "scale": options.scale,
        "load": load,
        "disk_mb_s": sorted(speeds)[len(speeds) // 2],
    }
    tell(found, everything)
    if options.json:
        options.json.write_text(json.dumps({**everything, "results": [one.plain() for one in found]}, indent=1) + "\n")
    if options.docs:
        report.put_into(options.docs, report.markdown(found, everything))
        options.docs.with_name("performance-engine.svg").write_text(report.plot(found))
    return int(any(results.failures for results in found))


if __name__ == "__main__":
    sys.exit(main())
