"""`scripts/power-cut`: records the jobs, cuts the power, prints a table; 1 when something broke."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from powercut import log
from powercut.disk import UNRECORDED, Disk, everything, write
from powercut.log import Event
from powercut.trial import VARIANTS, Outcome, check, explore, keep_of, points, replay, small_packs

LARGE_CUTS: Final = 1_000
PROCESSES: Final = 2
SHOWN: Final = 20


def recorded(folder: Path, size: str, seed: int, module: str = "powercut.job", *more: str) -> list[Event]:
    """The events of a job that was run in this folder."""
    watch = folder / f"watched-{size}"
    watch.mkdir()
    command = [sys.executable, "-m", module, *more, str(watch), size, str(seed)]
    library = folder / "recorder.so"
    if not library.exists():
        log.build(folder)
    tests = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    log.record(command, library=library, watch=watch, log=folder / f"{size}.log", environment={"PYTHONPATH": tests})
    events = log.read(folder / f"{size}.log", watch)
    unseen = differences(events, watch)
    if unseen:
        raise SystemExit(f"power-cut: the recorder did not see all that was done to {', '.join(unseen)}")
    return events


def differences(events: Sequence[Event], watch: Path) -> list[str]:
    """Files that a replay of the whole log does not give as they are on the real disk."""
    disk = Disk()
    for event in events:
        disk.apply(event)
    image = {name: content for name, content in disk.image(everything).items() if content is not None}
    real = _tree(watch)
    return sorted(name for name in {*image, *real} if image.get(name) != real.get(name))


def _tree(folder: Path) -> dict[str, bytes | str]:
    """Content of files and targets of links."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in found
        if path.name not in UNRECORDED
    }


def _work(events: list[Event], seed: int, cuts: list[int], scratch: str, number: int, queue, last) -> None:
    def announce(cut: int, variant: str) -> None:
        last.value = f"{cut}:{variant}".encode()

    share = (number, PROCESSES)
    queue.put(explore(events, seed, cuts, scratch=Path(scratch), share=share, announce=announce))


def in_processes(events: list[Event], seed: int, cuts: list[int], scratch: Path) -> Outcome:
    """As `explore`, by several processes; one that dies is a failure of the state it was at."""
    context = multiprocessing.get_context("fork")
    work = []
    for number in range(PROCESSES):
        queue, last = context.SimpleQueue(), context.Array("c", 64)
        process = context.Process(target=_work, args=(events, seed, cuts, str(scratch), number, queue, last))
        process.start()
        work.append((process, queue, last))
    total = Outcome()
    for process, queue, last in work:
        process.join()
        if process.exitcode == 0:
            found = queue.get()
            for variant, count in found.states.items():
                total.states[variant] += count
            total.failures += found.failures
            total.different += found.different
        else:
            cut, _, variant = last.value.decode().partition(":")
            total.failures.append((int(cut or 0), variant, f"the process died with {process.exitcode}"))
    total.failures.sort()
    return total


def table(size: str, events: list[Event], cuts: list[int], outcome: Outcome, seconds: float) -> str:
    """What was tried, and what failed."""
    failed = {variant: sum(1 for _, one, _ in outcome.failures if one == variant) for variant in VARIANTS}
    lines = [f"job {size}: {len(events)} events, {len(cuts)} cut points, {seconds:.0f} s"]
    lines += [f"  {variant:12} {outcome.states[variant]:7} states {failed[variant]:6} failures" for variant in VARIANTS]
    total = sum(outcome.states.values())
    lines.append(
        f"  {'together':12} {total:7} states {len(outcome.failures):6} failures; {outcome.different} different states"
    )
    for cut, variant, wrong in outcome.failures[:SHOWN]:
        lines.append(f"  {size}:{cut}:{variant} behind {events[cut - 1]}: {wrong}")
    return "\n".join(lines)


def one_state(folder: Path, wanted: str, seed: int) -> int:
    """Leave one state in a folder, and try it there."""
    size, cut, variant = wanted.split(":")
    events = recorded(folder, size, seed)
    for number, disk, catalogue in replay(events, [int(cut)]):
        print("\n".join(f"{i:6} {one}" for i, one in enumerate(events[max(0, number - 20) : number], number - 19)))
        keep = keep_of(disk, variant, seed, number)
        if keep is None:
            raise SystemExit("power-cut: the event before this point was no write")
        image = disk.image(keep)
        for name in ("state", "tried"):
            (folder / name).mkdir()
            write(image, folder / name)
        print(f"the state: {folder / 'state'}; the catalogue: done {catalogue.done}, dropped {catalogue.dropped}")
        with small_packs():
            check(folder / "tried", catalogue, seed)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix."""
    parser = argparse.ArgumentParser(prog="scripts/power-cut", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides about trees, subsets and cut points (1)")
    parser.add_argument("--jobs", default="small,large", help="small, rebuilt (all cut points), large (some by chance)")
    parser.add_argument("--cuts", type=int, default=LARGE_CUTS, help="cut points of the large job (1000)")
    parser.add_argument("--state", help="make one state again, as JOB:CUT:VARIANT, and leave it in --folder")
    parser.add_argument("--folder", type=Path, help="an empty folder to work in; best in memory")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # each repair is logged, thousands of times
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rb-power-cut-", dir=memory) as name:
        folder = given.folder or Path(name)
        try:
            log.build(folder)
        except log.NoCompiler as error:
            print(f"power-cut: {error}", file=sys.stderr)
            return 2
        if given.state:
            return one_state(folder, given.state, given.seed)
        failures = 0
        for size in given.jobs.split(","):
            began = time.monotonic()
            events = recorded(folder, size, given.seed)
            cuts = points(events, given.seed, None if size in {"small", "rebuilt"} else given.cuts)
            outcome = in_processes(events, given.seed, cuts, folder)
            print(table(size, events, cuts, outcome, time.monotonic() - began), flush=True)
            failures += len(outcome.failures)
        print(
            f"seed {given.seed}; one state again: scripts/power-cut --seed {given.seed} --state JOB:CUT:VARIANT --folder F"
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
