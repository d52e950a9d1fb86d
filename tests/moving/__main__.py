"""`scripts/move-copies`: copies move between pools of every kind, by processes that are killed again and again."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from moving.broken import BROKEN
from moving.catalogue import Catalogue
from moving.life import Life, Orders
from moving.places import KINDS, Death, Places
from rubackup.chunkstore.backends.s3 import backend as s3

FAILED: Final = 3
CALLS: Final = 500
"""Of storages and catalogue: an opening takes 100 and more, a task 60. So many a life has on average, and one more for each record."""
TOLD: Final = {
    "make": "copies made", "move": "moved", "copy": "copied", "processes killed": "", "again": "attempts after a kill",
    "adopt": "sealed before a kill, adopted", "refuse": "sealed before a kill, refused",
    "groups read": "groups read of sources", "chunks that the target had, not read": "",
    "copies restored": "copies restored at the end", **{f"copies in {kind}": "" for kind in KINDS},
    "packs": "packs at the end, none without a copy", "groups": "groups in them", "chunks": "chunks in them",
    "chunks stored twice": "of these twice in a pool",
}  # fmt: skip


@contextmanager
def bucket_server(seed: int) -> Iterator[str]:
    """The S3 server, a process of its own; its address."""
    command = [sys.executable, "-m", "moving.bucket", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def fork(work: Callable[[], None]) -> int:
    """Do it in a process of its own, which has loaded everything already."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        work()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(FAILED)


@dataclass
class Worker:
    """Lives of one process, one after another."""

    orders: Orders
    seconds: float
    """How long a life lasts at most when it is ended by the clock; with 0 none is."""
    lives: int = 0
    killed: int = 0
    child: int = 0
    over: bool = False
    dies: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.toss = Random(f"{self.orders.seed}/{self.orders.folder.name}/kills")

    @property
    def found(self) -> Path:
        """What the end counted."""
        return self.orders.folder / "found"

    def begin(self) -> None:
        """The next life: it kills itself at some call, or is killed at some moment."""
        self.lives += 1
        by_clock = self.toss.random() < 0.4
        death = Death(self.toss.randint(1, 2 * (CALLS + self.orders.records)), of_catalogue=self.toss.random() < 0.5)
        at = time.monotonic() + self.toss.uniform(0.02, max(self.seconds, 0.02))
        by_clock = by_clock and self.seconds > 0
        self.dies = at if by_clock else float("inf")
        self.child = fork(Life(self.orders, self.lives, Death() if by_clock else death).run)

    def look(self) -> bool:
        """Whether all went well so far."""
        if time.monotonic() >= self.dies:
            os.kill(self.child, signal.SIGKILL)
            self.dies = float("inf")
        done, status = os.waitpid(self.child, os.WNOHANG)
        if not done:
            return True
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.killed += 1
            self.begin()
            return True
        self.over, self.child = True, 0
        return os.waitstatus_to_exitcode(status) == 0

    def end(self) -> bool:
        """Look at everything; whether it is as it must be."""
        self.lives += 1

        def work() -> None:
            counts = Life(self.orders, self.lives).finish()
            self.found.write_text(json.dumps(counts))

        _, status = os.waitpid(fork(work), 0)
        return os.waitstatus_to_exitcode(status) == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """1 at the first difference, or when the time was over before every copy had moved."""
    parser = argparse.ArgumentParser(prog="scripts/move-copies", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000, help="copies that are made, and moved (10,000)")
    parser.add_argument("--minutes", type=float, default=60, help="how long at most (60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is tossed")
    parser.add_argument("--processes", type=int, default=2, help="each with four pools of its own (2)")
    parser.add_argument("--threads", type=int, default=2, help="tasks that a process works on at once (2)")
    parser.add_argument(
        "--life",
        type=float,
        default=12,
        help="seconds that a process lives at most that the clock ends; 0: each ends at a call of its own",
    )
    parser.add_argument("--dir", type=Path, help="where the pools are made; in memory when that is not given")
    parser.add_argument("--broken", choices=BROKEN, help="break a rule, to see that it is noticed")
    given = parser.parse_args(arguments)
    if given.broken:
        BROKEN[given.broken]()
    if given.threads == 1:
        s3.READS_AT_ONCE = 1  # each call depends on the seed alone
    logging.disable(logging.CRITICAL)  # lost requests and what recovery mends are logged
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="rb-moving-", dir=given.dir or memory) as name,
        bucket_server(given.seed) as endpoint,
    ):
        each = -(-given.records // given.processes)
        workers = [
            Worker(
                Orders(
                    Path(name) / f"process{one}", endpoint, given.seed, each, given.threads, began + 60 * given.minutes
                ),
                given.life,
            )
            for one in range(given.processes)
        ]
        try:
            good = run(workers)
        finally:
            for worker in workers:
                if worker.child:
                    os.kill(worker.child, signal.SIGKILL)
                    os.waitpid(worker.child, 0)
        left = tell(workers)
    minutes = (time.monotonic() - began) / 60
    again = f"scripts/move-copies --records {given.records} --processes {given.processes} --threads {given.threads} --seed {given.seed}"
    if not good:
        print(f"A DIFFERENCE; again: {again}")
        return 1
    print(f"{minutes:.1f} minutes, seed {given.seed}: no difference")
    if left:
        print(f"The time was over before {left} copies had moved.")
    return int(bool(left))


def run(workers: list[Worker]) -> bool:
    """Lives until all is done, then the look at everything; whether there was no difference."""
    for worker in workers:
        Places(worker.orders.folder, "").prepare(worker.orders.records)
        worker.begin()
    while not all(worker.over for worker in workers):
        for worker in workers:
            if not worker.over and not worker.look():
                return False
        time.sleep(0.005)
    ends = [worker.end() for worker in workers]
    return all(ends)


def tell(workers: list[Worker]) -> int:
    """Print what happened; how many copies never moved."""
    counts: Counter[str] = Counter()
    left = 0
    for worker in workers:
        catalogue = Catalogue(worker.orders.folder / "catalogue")
        counts += catalogue.counts
        left += len(catalogue.unmoved) + worker.orders.records - catalogue.counts["make"]
        catalogue.close()
        counts["processes killed"] += worker.killed
        if worker.found.exists():
            counts += Counter(json.loads(worker.found.read_text()))
    for what, text in TOLD.items():
        print(f"{counts[what]:8} {text or what}")
    return left


if __name__ == "__main__":
    sys.exit(main())
