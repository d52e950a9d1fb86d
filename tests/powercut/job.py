"""What is recorded: a pool at work, driven by a catalogue that is a stream of marks in the same log.

    PYTHONPATH=tests python -m powercut.job FOLDER SIZE SEED

A mark is durable at once, as a commit of the catalogue: `done N` after record N was sealed, `drop N` before it is
dropped, `dropped N` after. What a record holds follows from seed and number alone.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool
from support.chunkstore import POOL, Client, begin, noise, record_id

HOUR_NS: Final = 3_600_000_000_000
BEGIN_NS: Final = 1_700_000_000_000_000_000
MARKS: Final = "POWERCUT_MARKS"
PACK_BYTES: Final = 40_000
LARGE_STEPS: Final = 80
LARGE_KEPT: Final = 4
"""Records that the large job keeps: each is restored in each state."""


@contextmanager
def small_packs():
    """Packs of a few groups, so that a small job closes many."""
    before, pack.TARGET_BYTES = pack.TARGET_BYTES, PACK_BYTES
    try:
        yield
    finally:
        pack.TARGET_BYTES = before


def tree(seed: int, number: int) -> dict[str, bytes]:
    """The files of a record: each changes every few records."""
    found = {}
    for file in range(10):
        toss = random.Random(f"{seed}/{file}")
        every, size = toss.randint(1, 5), toss.choice((0, 200, 3_000, 9_000, 20_000))
        version = number // every
        data = b"text " * (size // 5) if file % 4 == 0 else noise(size, version * 100 + file)
        found[f"/folder{file % 3}/file{file}"] = data + f"{file} {version}".encode() * bool(size)
    return found


def client() -> Client:
    """A client that sends small groups."""
    return Client(group_bytes=6_000)


def open_pool(folder: Path, now_ns: Callable[[], int] = lambda: BEGIN_NS) -> Pool:
    """The pool in a folder."""
    return Pool.open(
        uuid=POOL,
        metadata=folder / "metadata",
        storages=folders([folder / "storage"]),
        reserve_bytes=0,
        level=1,
        now_ns=now_ns,
        steady_ns=now_ns,
        map_bytes=1 << 20,
    )


def mark(text: str) -> None:
    """Commit a line to the catalogue: the recorder's log, or the file that the environment names; else nowhere."""
    if path := os.environ.get(MARKS):
        with Path(path).open("a") as file:
            file.write(f"{text}\n")
    if (marked := getattr(ctypes.CDLL(None), "powercut_mark", None)) is not None:
        marked.argtypes = [ctypes.c_char_p]
        marked(text.encode())


@dataclass
class Catalogue:
    """What the marks say at some point."""

    done: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    begun: bool = False

    def take(self, text: str) -> None:
        """One more mark."""
        word, _, number = text.partition(" ")
        if word == "begin":
            self.begun = True
        elif word == "done":
            self.done.add(int(number))
        elif word == "drop":
            self.done.discard(int(number))
        elif word == "dropped":
            self.dropped.add(int(number))


def collect(pool: Pool) -> None:
    """One collection of a pool all of whose tasks are over."""
    pool.collect(lambda *_: None, lambda: None, unfinished=())


class Job:
    """The steps, each of which the recorder sees."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.now_ns = BEGIN_NS
        self.next = 1
        self.kept: list[int] = []
        self.pool = self._open()

    def _open(self) -> Pool:
        return open_pool(self.folder, lambda: self.now_ns)

    def backup(self) -> None:
        """A record on top of the last one."""
        number, self.next = self.next, self.next + 1
        parent = record_id(self.kept[-1]) if self.kept else None
        client().backup(begin(self.pool, number, parent=parent), tree(self.seed, number))
        mark(f"done {number}")
        self.kept.append(number)

    def two_backups(self) -> None:
        """Two sessions that take turns."""
        numbers = (self.next, self.next + 1)
        self.next += 2
        sessions = [begin(self.pool, number) for number in numbers]
        for path in tree(self.seed, numbers[0]):
            for number, session in zip(numbers, sessions, strict=True):
                one = client()
                one.send(session, one.chunks(tree(self.seed, number)[path]))
        for number, session in zip(numbers, sessions, strict=True):
            client().backup(session, tree(self.seed, number))
            mark(f"done {number}")
            self.kept.append(number)

    def abandoned(self) -> None:
        """A session that ends in the middle, behind a checkpoint."""
        number, self.next = self.next, self.next + 1
        session = begin(self.pool, number)
        one = client()
        for i, data in enumerate(tree(self.seed, number).values()):
            one.send(session, one.chunks(data))
            if i == 4:
                session.checkpoint()
        session.put_manifest(b"the beginning of a manifest")
        session.abort()

    def drop(self) -> None:
        """The oldest record goes."""
        if len(self.kept) > 1:
            number = self.kept.pop(0)
            mark(f"drop {number}")
            self.pool.drop(record_id(number))
            mark(f"dropped {number}")

    def collect(self) -> None:
        """What nobody needs goes: condemned and emptied by the first collection, removed by the second."""
        for _ in range(2):
            collect(self.pool)
            self.now_ns += 48 * HOUR_NS

    def reopen(self) -> None:
        """The process ends in order and comes back."""
        self.pool.close()
        self.pool = self._open()

    def rebuild(self) -> None:
        """The index is lost and made again over the chunk store."""
        self.pool.close()
        shutil.rmtree(self.folder / "metadata" / "index")
        self.pool = self._open()

    def run(self, steps: Iterable[Callable[[Job], None]]) -> None:
        """All steps; the last mark ends what the last step did."""
        for step in steps:
            step(self)
            while len(self.kept) > LARGE_KEPT:
                self.drop()
            self.now_ns += 48 * HOUR_NS
        self.pool.close()
        mark("end")


TINY: Final = (Job.backup, Job.backup, Job.drop, Job.collect, Job.rebuild, Job.backup)
REBUILT: Final = (Job.backup, Job.backup, Job.drop, Job.rebuild, Job.collect)
SMALL: Final = (
    Job.backup, Job.backup, Job.abandoned, Job.backup, Job.drop, Job.collect, Job.two_backups, Job.rebuild,
    Job.drop, Job.backup, Job.collect, Job.reopen, Job.drop,
)  # fmt: skip


def large(seed: int) -> list[Callable[[Job], None]]:
    """Many steps in a random order."""
    toss = random.Random(seed)
    weights = {
        Job.backup: 8,
        Job.two_backups: 2,
        Job.abandoned: 3,
        Job.drop: 7,
        Job.collect: 3,
        Job.reopen: 1,
        Job.rebuild: 1,
    }
    return [Job.backup, *toss.choices(list(weights), list(weights.values()), k=LARGE_STEPS)]


def steps_of(size: str, seed: int) -> Iterable[Callable[[Job], None]]:
    """The steps of a job: `tiny`, `rebuilt`, `small` or `large`."""
    return {"tiny": TINY, "rebuilt": REBUILT, "small": SMALL}.get(size) or large(seed)


def main(folder: Path, size: str, seed: int) -> None:
    """The whole job in a new folder."""
    (folder / "storage").mkdir()
    (folder / "metadata").mkdir()
    mark("begin")
    with small_packs():
        Job(folder, seed).run(steps_of(size, seed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
