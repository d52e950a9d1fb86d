"""`scripts/robustness`: rounds of everything against the model, for some minutes; 1 at the first difference."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from robustness.files import Files
from robustness.killed import kill_one
from robustness.world import World

STEPS: Final = 300
FILE_STEPS: Final = 15
SHOWN: Final = 12


def model_round(folder: Path, seed: int, done: Counter[str]) -> None:
    """Operations of two pools in memory."""
    world, toss, names = World(folder), Random(seed), []
    try:
        for _ in range(STEPS):
            names.append(world.step(toss))
            for side in world.sides:
                world.lists(side)
        world.close()
    except BaseException:
        print(f"the last operations of {len(names) + 1}: {', '.join(names[-SHOWN:])}, and the one that failed")
        raise
    done.update(world.done)


def files_round(folder: Path, seed: int, done: Counter[str]) -> None:
    """A real tree through the client's module."""
    files, toss = Files(folder), Random(seed)
    for _ in range(FILE_STEPS):
        files.step(toss)
    files.close()
    done["tree copied and compared"] += files.done


def killed_round(folder: Path, seed: int, done: Counter[str]) -> None:
    """A process that is killed."""
    catalogue = kill_one(folder, Random(seed))
    done["process killed"] += 1
    done["records that a killed process had promised"] += len(catalogue.done)


ROUNDS: Final = {"model": model_round, "files": files_round, "killed": killed_round}


def main(arguments: Sequence[str] | None = None) -> int:
    """Rounds until the time is up."""
    parser = argparse.ArgumentParser(prog="scripts/robustness", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long (60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round; each has the next")
    parser.add_argument("--only", choices=ROUNDS, help="only this kind of round")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # each damage is logged, and it is made on purpose
    began, seed, done = time.monotonic(), given.seed, Counter[str]()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    while time.monotonic() - began < given.minutes * 60:
        for kind in [given.only] if given.only else ROUNDS:
            with tempfile.TemporaryDirectory(prefix="rb-robustness-", dir=memory) as name:
                try:
                    ROUNDS[kind](Path(name) / "round", seed, done)
                except Exception:
                    traceback.print_exc()
                    print(f"A DIFFERENCE; again: scripts/robustness --only {kind} --minutes 0.01 --seed {seed}")
                    return 1
        seed += 1
    for what, count in sorted(done.items()):
        print(f"{count:8} {what}")
    minutes = (time.monotonic() - began) / 60
    print(f"{sum(done.values())} operations in {minutes:.1f} minutes, seeds {given.seed} to {seed - 1}: no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
