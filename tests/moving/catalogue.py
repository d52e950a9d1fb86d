"""The catalogue of the trial: a file to which each transaction is one line, durable when `commit` returns.

As in the product, the line that lists what a task sealed buries the source of a move, too.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """A copy: where it is, and what it holds."""

    pool: int
    content: int


@dataclass(frozen=True)
class Task:
    """A task that is not over."""

    number: int
    fence: int
    kind: str
    """make, copy or move."""
    source: str
    """Record that is copied or moved; '' of a backup."""
    record: str
    """Record that this attempt writes."""
    to: Row


@dataclass
class Catalogue:
    """What the lines say; safe for threads."""

    path: Path
    listed: dict[str, Row] = field(default_factory=dict)
    buried: dict[str, Row] = field(default_factory=dict)
    """Not listed any more, and not known to be gone from their pool."""
    gone: set[str] = field(default_factory=set)
    tasks: dict[int, Task] = field(default_factory=dict)
    last_task: int = 0
    unmoved: dict[int, None] = field(default_factory=dict)
    """Contents that were never moved or copied."""
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        os.ftruncate(self._handle, whole)  # the rest was never promised
        for line in data[:whole].splitlines():
            self._take(json.loads(line))

    def commit(self, what: str, *facts: Any) -> None:
        """One transaction."""
        with self.lock:
            line = json.dumps([what, *facts]).encode() + b"\n"
            if os.write(self._handle, line) != len(line):
                raise OSError("the catalogue takes no more")
            os.fsync(self._handle)
            self._take([what, *facts])

    def close(self) -> None:
        """No more lines."""
        os.close(self._handle)

    def _take(self, fact: list[Any]) -> None:
        what, *facts = fact
        self.counts[what] += 1
        getattr(self, f"_{what}")(*facts)

    # --- the transactions ---

    def _begin(self, number: int, kind: str, source: str, record: str, pool: int, content: int) -> None:
        self.tasks[number] = Task(number, 1, kind, source, record, Row(pool, content))
        self.last_task = max(self.last_task, number)

    def _again(self, number: int, record: str) -> None:
        """Another attempt: a higher fence, a new record."""
        task = self.tasks[number]
        self.tasks[number] = replace(task, fence=task.fence + 1, record=record)

    def _list(self, number: int, skipped: int = 0, read: int = 0) -> None:
        """The task is done: what it wrote is listed, and the source of a move is buried."""
        task = self.tasks.pop(number)
        self.listed[task.record] = task.to
        self.counts[task.kind] += 1
        if task.kind == "make":
            self.unmoved[task.to.content] = None
        else:
            self.unmoved.pop(task.to.content, None)
            self.counts["chunks that the target had, not read"] += skipped
            self.counts["groups read"] += read
        if task.kind == "move":
            self._bury(task.source)

    def _adopt(self, number: int) -> None:
        """As `list`; it was sealed before a kill."""
        self._list(number)

    def _cancel(self, number: int) -> None:
        """The task is over; what it may have sealed is refused."""
        del self.tasks[number]

    def _bury(self, record: str) -> None:
        self.buried[record] = self.listed.pop(record)

    def _dropped(self, record: str) -> None:
        """Its pool has forgotten it."""
        self.buried.pop(record, None)
        self.gone.add(record)

    def _refuse(self, record: str) -> None:
        """It was sealed, and its task was over or in another attempt; its pool has forgotten it."""
        self.gone.add(record)

    def _life(self, number: int) -> None:
        """A process began."""
