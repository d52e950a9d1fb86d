"""`scripts/chaos`: a whole system at work, whose processes are killed at random; nothing may be lost or done twice."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos.book import Book
from chaos.broken import BROKEN, path_that_breaks
from chaos.calls import Caller, GaveUpError
from chaos.checks import Checks
from chaos.folders import Folder
from chaos.load import Operator
from chaos.monkey import VICTIMS, Monkey, all_run
from support.system import System, down, logs, running

RUN_SECONDS: Final = 600.0
"""How long all processes may take to be there after the last kill: 10 s between two starts at most, and a machine that is busy."""
UP_SECONDS: Final = 1200.0
"""For a machine that is busy with much else."""
LOOK_SECONDS: Final = 10.0
HAPPENED: Final = 80
"""Last lines of what happened that are printed with a difference."""
FOLDERS: Final = ((12, 50_000), (25, 500_000), (6, 20_000_000), (15, 100_000), (15, 300_000))
"""Files, and the largest of them. The first is backed up by rules, the others by operators."""

KINDS: Final = ("Backup", "Restore", "Verify", "Copy", "Move", "Clean")
NEEDED: Final = (*(f"{one} killed" for one in VICTIMS), *(f"{one} tasks that ended as Done" for one in KINDS))
"""What must have been counted."""


class Trial:
    """One system, its load, its monkey, and what they leave behind."""

    def __init__(self, system: System, root: Path, seed: int, kill_seconds: float) -> None:
        self.system, self.root, self.seed, self.kill_seconds = system, root, seed, kill_seconds
        self.book = Book()
        (root / "folders").mkdir()
        self.folders = [
            Folder(root / "folders" / f"folder{number}", Random(f"{seed}/folder{number}"), *shape)
            for number, shape in enumerate(FOLDERS)
        ]
        self.pools = {"Default": system.state / "pools/Default"}
        for place in ("second", "third"):
            self.pools[system.add_pool(root / place)] = root / place
        system.call("PATCH", "/global_configuration", {"data": {"repository_remove_chain": "no"}})
        self.rules = [self._rule("full", "25 sec"), self._rule("incremental", "7 sec")]
        self.checks = Checks(system, self.book, self.folders, self.pools)
        mine: list[list[Folder]] = [self.folders[1:3], self.folders[3:], self.folders[:1]]
        self.operators = [
            Operator(Caller(system, self.book), self.book, Random(f"{seed}/operator{number}"), system.facts["client"],
                     folders, list(self.pools), root / "restored")
            for number, folders in enumerate(mine)
        ]  # fmt: skip

    def _rule(self, kind: str, period: str) -> int:
        wanted: dict[str, Any] = {
            "name": kind, "client_id": self.system.facts["client"], "resource_type": "File system",
            "resource": str(self.folders[0].path), "backup_type": kind, "pool_id": "Default",
            "storage_duration": "1 day", "periodic_launch": period, "status": "run",
        }  # fmt: skip
        self.system.call("POST", "/global_schedule", {"data": {"global_schedule": wanted}}, status=201)
        return max(row["id"] for row in self.system.call("GET", "/global_schedule")["data"]["items"])

    def run(self, minutes: float) -> None:
        """The load and the kills, then everything comes to rest and is looked at."""
        monkey = Monkey(self.system, self.book, Random(f"{self.seed}/kills"), self.kill_seconds)
        threads = [threading.Thread(target=one.run) for one in (*self.operators, monkey)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60 * minutes
        while not self.book.over.wait(min(LOOK_SECONDS, max(until - time.monotonic(), 0))) and time.monotonic() < until:
            self.checks.while_it_lasts()
        self.book.over.set()
        for thread in threads:
            thread.join()
        if not self.book.differences:
            self.book.happens("the last kill was")
            self.rest()

    def rest(self) -> None:
        """Nothing is killed any more; as soon as there is a difference the rest is left out, as it only follows from it."""
        if not all_run(self.system, RUN_SECONDS):
            self.book.differs(f"not all processes run {RUN_SECONDS:g} s after the last kill: {self.system.processes()}")
        caller = Caller(self.system, self.book)
        try:
            for rule in self.rules:
                caller.ask("PATCH", "/global_schedule", {"data": [{"id": rule, "status": "wait"}]})
        except GaveUpError:
            return
        finally:
            caller.close()
        self.system.login()
        looks = (
            self.checks.settle, self.checks.tasks, self.checks.always, self.checks.deletions, self.checks.pools,
            lambda: self.checks.restores(self.root / "restored"),
            self.checks.at_the_end,
        )  # fmt: skip
        for look in looks:
            if not self.book.differences:
                look()


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when there was a difference, 2 when there was none but not everything was tried."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=15, help="of load and kills (15); the looks at the end take some more"
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of all that is tossed: contents, load and kills"
    )
    parser.add_argument("--kill-seconds", type=float, default=6, help="between two kills, on average (6)")
    parser.add_argument(
        "--dir", type=Path, help="where the system is made; the folder for temporary files unless given"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder of the system, and all that happened")
    parser.add_argument("--broken", choices=BROKEN, help="break a rule, to see that it is noticed")
    given = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="rb-chaos-", dir=given.dir))
    environment = {"PYTHONPATH": path_that_breaks(given.broken, root / "broken")} if given.broken else {}
    began = time.monotonic()
    book, told = None, ""
    try:
        with running(root / "state", environment=environment, seconds=UP_SECONDS) as system:
            trial = Trial(system, root, given.seed, given.kill_seconds)
            book = trial.book
            try:
                trial.run(given.minutes)
            except AssertionError as error:  # of a call at the end
                book.differs(str(error))
            told = logs(system.state) if book.differences else ""
    finally:
        down(root / "state")  # one that did not come up in time
        if not given.keep:
            shutil.rmtree(root)
    for what, number in sorted(book.counts.items()):
        print(f"{number:8,} {what}")
    if given.keep:
        (root / "happened").write_text("\n".join(book.happened) + "\n")
        print(f"kept in {root}")
    if book.differences:
        print(told, *book.happened[-HAPPENED:], sep="\n")
        print("A DIFFERENCE", *book.differences, sep="\n  ")
        broken = f" --broken {given.broken}" if given.broken else ""
        print(
            f"again: scripts/chaos --minutes {given.minutes:g} --seed {given.seed} --kill-seconds {given.kill_seconds:g}{broken}"
        )
        return 1
    print(f"{(time.monotonic() - began) / 60:.1f} minutes, seed {given.seed}: no difference")
    if missing := [what for what in NEEDED if not book.counts[what]]:
        print(f"but the time was too short to see: {', '.join(missing)}")
    return 2 if missing else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
