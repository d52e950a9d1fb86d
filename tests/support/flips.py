"""Flips bits all over a pool's index, opens the pool as after a crash, and restores: no process but the check may die.

`scripts/flip-index` runs it. Each trial is a process of its own: an index that kills it is what is looked for.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.domain.errors import RubackupError
from support.chunkstore import Client, Place, begin, noise, record_id, restore

PAGE = 4096
TREE = {f"/file{number}": noise(20_000, number) for number in range(30)}


def flip(data: bytearray, dice: random.Random) -> None:
    """Some bits, most of them where a page says what is in it and where."""
    for _ in range(dice.choice((1, 1, 2, 10))):
        page = dice.randrange(len(data) // PAGE)
        kind = dice.random()
        within = dice.randrange(24) if kind < 0.3 else dice.randrange(16, 200) if kind < 0.7 else dice.randrange(PAGE)
        data[page * PAGE + within] ^= 1 << dice.randrange(8)


def trial(place: Place) -> str:
    """What becomes of a pool whose index has flipped bits: kept, rebuilt; `lost` when something does not restore."""
    for attempt in ("kept", "rebuilt"):
        try:
            pool = place.reopen()
            pool.verify(record_id(1), lambda *_: None, lambda: None)
            if pool.index_damaged:
                continue
            if record_id(2) not in {
                sealed.record for sealed in pool.records()
            }:  # written through the index that was bad
                Client().backup(begin(pool, 2, fence=2 if attempt == "rebuilt" else 1), TREE)
            if restore(pool, record_id(2)) == TREE == restore(pool, record_id(1)):
                return "rebuilt" if list(place.metadata.glob("index.damaged-*")) else attempt
        except RubackupError as error:
            print(error, file=sys.stderr)
    return "lost"


def one(folder: Path, files: MemoryBackend, seed: int) -> str:
    """A trial in a process of its own; what it died of, if it died."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            place = Place(folder, {"one": files})
            file = place.metadata / "index" / "data.mdb"
            data = bytearray(file.read_bytes())
            flip(data, random.Random(seed))
            file.write_bytes(data)
            (place.metadata / "index.open").touch()
            code = ("kept", "rebuilt", "lost").index(trial(place))
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return f"died of signal {os.WTERMSIG(status)}"
    return ("kept", "rebuilt", "lost", "failed")[os.WEXITSTATUS(status)]


def run(seconds: float, seed: int) -> Counter[str]:
    """As many trials as there is time for; their outcomes."""
    found: Counter[str] = Counter()
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rb-flips-", dir=parent) as name:
        folder = Path(name)
        place = Place(folder / "whole")
        Client(group_bytes=1).backup(begin(place.open(), 1), TREE)
        place.close()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            shutil.copytree(folder / "whole", folder / "trial")
            outcome = one(folder / "trial", place.memory(), seed)
            if outcome not in {"kept", "rebuilt"}:
                print(f"seed {seed}: {outcome}", file=sys.stderr)
            found[outcome] += 1
            shutil.rmtree(folder / "trial")
            seed += 1
    return found


def main() -> int:
    """Exit status 1 when a process died or a file was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = run(asked.seconds, asked.seed)
    print(", ".join(f"{count} {outcome}" for outcome, count in found.most_common()))
    return 0 if set(found) <= {"kept", "rebuilt"} else 1


if __name__ == "__main__":
    sys.exit(main())
