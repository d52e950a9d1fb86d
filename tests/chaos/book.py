"""What the trial wrote down: which tasks were accepted, how they ended, what was deleted; and every difference."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chaos.folders import Folder


@dataclass
class Asked:
    """A task that was accepted."""

    number: int
    kind: str
    folder: Folder | None = None
    record: int = 0
    target: Path | None = None
    """Where a restore puts the copy."""
    ended: str = ""


@dataclass
class Book:
    """Of all threads. `may_die` are tasks that were killed by an operator, or might have been."""

    began: float = field(default_factory=time.monotonic)
    tasks: dict[int, Asked] = field(default_factory=dict)
    deleted: dict[int, Folder] = field(default_factory=dict)
    may_die: set[int] = field(default_factory=set)
    paused: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    """The time is over, or there is a difference: no more load."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accepted(self, task: Asked) -> Asked:
        """A task was answered with its number, which no other may have."""
        with self._lock:
            if task.number in self.tasks:
                self.differs(f"task {task.number} was given out twice")
            self.tasks[task.number] = task
            self.counts[f"{task.kind} tasks"] += 1
        return task

    def differs(self, what: str) -> None:
        """The system did what it must not."""
        self.differences.append(what)
        self.happens(f"DIFFERENCE: {what}")
        self.over.set()

    def happens(self, what: str) -> None:
        """Something to look at when there is a difference."""
        self.happened.append(f"{time.monotonic() - self.began:7.2f} {what}")
