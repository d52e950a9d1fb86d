"""Kills processes of one system by SIGKILL, one or two at once, at random moments."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from random import Random

from chaos.book import Book
from rubackup.roles.up.state import State, holder
from support.system import System

VICTIMS = ("api", "server", "media", "client", "postgres", "backend")
"""`backend` is a process of PostgreSQL below its postmaster: all of its connections end with it."""
TWO = 0.25
"""How often two are killed at once."""
SHORTEST_SECONDS, LONGEST_FACTOR = 0.2, 4


def parent_of(pid: int) -> int:
    """The parent of a process; 0 when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Monkey:
    """Begins with each victim once; then whom the toss names, every `mean_seconds` on average."""

    def __init__(self, system: System, book: Book, toss: Random, mean_seconds: float) -> None:
        self._system, self._book, self._toss, self._mean = system, book, toss, mean_seconds
        self._first = toss.sample(VICTIMS, len(VICTIMS))

    def run(self) -> None:
        """Until the time is over."""
        while not self._book.over.wait(self._gap()):
            self.strike()

    def _gap(self) -> float:
        longest = LONGEST_FACTOR * self._mean
        return min(max(self._toss.expovariate(1 / self._mean), SHORTEST_SECONDS), longest)

    def strike(self) -> None:
        """Kill one, or two."""
        names = [self._first.pop()] if self._first else [self._toss.choice(VICTIMS)]
        if self._toss.random() < TWO:
            names.append(self._toss.choice([name for name in VICTIMS if name not in names]))
        for name in names:
            if self._kill(name):
                self._book.counts[f"{name} killed"] += 1
                self._book.happens(f"killed {name}")
            else:
                self._book.counts["found dead already"] += 1

    def _kill(self, name: str) -> bool:
        """Kill it if it lives, and is of this system: its number may be somebody else's by now."""
        parent = holder(State(self._system.state))
        with contextlib.suppress(FileNotFoundError):  # ready.json: the system is being stopped
            pid = self._system.processes().get("postgres" if name == "backend" else name, 0)
            if name == "backend" and pid and parent_of(pid) == parent:
                parent, pid = pid, self._child(pid)
            try:
                handle = os.pidfd_open(pid) if pid else -1
            except ProcessLookupError:
                handle = -1
            if handle >= 0:
                try:
                    if parent_of(pid) == parent:
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        return True
                except ProcessLookupError:
                    return False
                finally:
                    os.close(handle)
        return False

    def _child(self, pid: int) -> int:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int(self._toss.choice(children)) if children else 0
        return 0


def all_run(system: System, seconds: float) -> bool:
    """Whether every process is there again within the time, and stays for two seconds."""
    until, since = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < until:
        supervisor = holder(State(system.state))
        with contextlib.suppress(FileNotFoundError):
            found = system.processes()
            if set(VICTIMS) - {"backend"} != found.keys() or any(
                parent_of(one) != supervisor for one in found.values()
            ):
                since = time.monotonic()
            elif time.monotonic() - since > 2:
                return True
        time.sleep(0.1)
    return False
