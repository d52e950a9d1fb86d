"""The chunk store against restic and borg, alternately on the same trees in the same run.

    .venv/bin/python -m bench.engine [--rounds N] [--trees small large random] [--encrypted yes|no|both] [--json FILE]

RESTIC and BORG name the programs, else the newest of the registries are fetched (kept in ~/.cache/rubackup-bench).
Everything else lies below one fresh folder on a disk (--dir), on a file system of its own where that of the disk is ext4 without
journal (--image); both are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
from bench.engine.disk import Workplace
from bench.engine.product import Product
from bench.engine.rounds import RECLAIM, ROWS, SNAPSHOTS, Entrant, Results, Scenario

CIPHER = "aes-256-gcm"
KINDS = {"yes": (True,), "no": (False,), "both": (False, True)}
SETTLE_SECONDS = 45
SECONDS = (
    {"restic": 16.0, "borg": 25.0, "product": 12.0, "bare": 0.0},
    {"restic": 67.0, "borg": 98.0, "product": 33.0, "bare": 31.0},
)
"""Of one round, by contestant: with large or random files, and with small ones."""
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
    parser.add_argument("--snapshots", type=int, default=SNAPSHOTS, help="the oldest copies, forgotten to reclaim")
    parser.add_argument("--quick", action="store_true", help="one round on small trees: does it run at all")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where the folder of this run is made")
    parser.add_argument(
        "--image", choices=("auto", "yes", "no"), default="auto",
        help="a journaled ext4 in a file, for root; auto: where the disk's is ext4 without journal",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, default=tools.default_cache(), help="where fetched tools are kept")
    parser.add_argument("--cipher", default=CIPHER, help="the task's `crypto` where it is encrypted")
    parser.add_argument("--profile", type=Path, help="folder for profiles of the product's processes; slows them down")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--docs", type=Path, help="docs/performance.md, to put the tables into; the plot lies beside it"
    )
    options = parser.parse_args()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)  # now, not when everything was measured
    if options.quick:
        options.rounds, options.scale, options.snapshots = 1, min(options.scale, 0.01), 2
    return options


def entrants(options: argparse.Namespace, folder: Path, programs: dict[str, Path], tree: str) -> list[Entrant]:
    """The systems of one round, all together, so that restic, which always encrypts, is measured once for both tables.

    The bare chunk store does not encrypt, as the key is the client's affair; its figures are wanted for the small files.
    """
    made: list[Entrant] = []
    kinds = KINDS[options.encrypted]
    for name in options.only:
        if name == "restic":
            made.append(Entrant(Restic(programs[name], folder / name), kinds))
        elif name == "bare":
            if False in kinds and tree == "small":
                made.append(Entrant(Bare(folder / name), (False,)))
        else:
            for encrypted in kinds:
                inner = folder / (f"{name}-encrypted" if encrypted else name)
                if name == "borg":
                    made.append(Entrant(Borg(programs[name], inner, encrypted=encrypted), (encrypted,)))
                else:
                    made.append(Entrant(Product(inner, options.cipher if encrypted else "nocrypt"), (encrypted,)))
    return made


def measure(
    options: argparse.Namespace, place: Workplace, programs: dict[str, Path], found: list[Results]
) -> list[float]:
    """Every tree; what was measured is added to `found`. The speeds of the disk on the way."""
    speeds: list[float] = []
    for name in options.trees:
        print(f"{name}: the tree is made", flush=True)
        tree = trees.make(name, place.folder / "trees" / name, options.scale)
        if not options.quick:  # files that were young when they were copied are read again by the next incremental
            time.sleep(SETTLE_SECONDS)
        scenario = Scenario(
            tree,
            partial(entrants, options, place.folder, programs, name),
            place,
            lambda text: print(text, flush=True),
            kinds=KINDS[options.encrypted],
            snapshots=options.snapshots,
            around=partial(beside, options, name),
        )
        found += scenario.results.values()

        def before(number: int, tree: trees.Tree = tree) -> None:
            if number and not options.quick:
                time.sleep(SETTLE_SECONDS)
            speeds.append(meter.disk_speed(place.folder, max(int(1024 * min(options.scale, 1)), 16)))
            at = time.strftime("%H:%M:%S", time.gmtime())
            print(f"{tree.name}, round {number + 1}, {at}, disk {speeds[-1]:.0f} MB/s", flush=True)

        scenario.run(options.rounds, options.rows, before)
        place.remove(tree.root)
    return speeds


def beside(options: argparse.Namespace, tree: str, row: str, one: Contestant) -> AbstractContextManager[None]:
    """A profile of the product's processes, where one is wanted."""
    if not options.profile or not isinstance(one, Product):
        return nullcontext()
    wanted = {name: pid for name, pid in one.system.processes().items() if "postgres" not in name}
    return profile.profiled(profile.py_spy(options.cache), wanted, options.profile / f"{tree}-{one.folder.name}", row)


def expected_minutes(options: argparse.Namespace) -> float:
    """How long it will take on two idle cores: added up from what rows took there; ten copies and their reclaiming are 1.4 rounds."""
    kinds = len(KINDS[options.encrypted])
    seconds = 0.0
    for tree in options.trees:
        of_round = sum(
            SECONDS[tree == "small"][name] * (kinds if name in {"borg", "product"} else 1) for name in options.only
        )
        seconds += of_round * (options.rounds + (1.4 if RECLAIM in options.rows else 0))
    ups = 10.0 * kinds * options.rounds * 2 * len(options.trees) if "product" in options.only else 0
    return (seconds * options.scale + ups) / 60


def needed_bytes(options: argparse.Namespace) -> int:
    """For the repositories of a tree and what is kept of them, the tree, what is restored of it; and what a pool keeps in reserve."""
    largest = trees.MOST_BYTES * options.scale
    return int((trees.ROOM * largest + (4 << 30)) // trees.MIB) * trees.MIB


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load, begin = os.getloadavg()[0], time.monotonic()
    programs, facts = {}, {"restic": "-", "borg": "-"}
    try:
        for name, get in (("restic", tools.restic), ("borg", tools.borg)):
            if name in options.only:
                programs[name], facts[name] = get(options.cache)
                print(f"{name} {facts[name]}: {programs[name]}", flush=True)
        print(f"Expected: about {expected_minutes(options):.0f} minutes on two idle cores", flush=True)
        place = Workplace(options.dir, options.image, needed_bytes(options))
    except tools.Unusable as error:
        sys.exit(f"engine: {error}")
    print(f"Everything lies on {place.told}", flush=True)
    found: list[Results] = []
    try:
        speeds = measure(options, place, programs, found)
    finally:
        place.close()
    everything = {
        **facts,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "rounds": options.rounds,
        "scale": options.scale,
        "load": load,
        "place": place.told,
        "minutes": round((time.monotonic() - begin) / 60, 1),
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
