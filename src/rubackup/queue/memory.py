"""The queue's in-memory twin: the same rules without a database, for tests of what stands on the queue.

`tests/contract/queue` holds it to what `queue.postgres` does.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rubackup.domain.errors import Conflict, Fenced, Invalid, NotFound
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import FINAL, HELD, Verb, move
from rubackup.queue.ports import Beat, Held, NewTask, Reaped, Reservation

OPERATIONS = frozenset({Verb.PAUSE, Verb.CONTINUE, Verb.KILL, Verb.RESUME})
NEVER = float("inf")


@dataclass
class _Task:
    id: int
    new: NewTask
    status: TaskStatus = TaskStatus.NEW
    fence: int = 0
    attempt: int = 0
    blocked_on: str | None = None
    lease_until: float = NEVER
    message: str = ""
    wants: dict[str, bool] = field(default_factory=dict)
    """What it reserves: `kind:key`, and whether exclusively."""

    @property
    def order(self) -> tuple[int, int]:
        return (-self.new.priority, self.id)


def _name(reservation: Reservation) -> str:
    return f"{reservation.kind}:{reservation.key}"


class MemoryQueue:
    """A queue that lives as long as the object; every method happens at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tasks: dict[int, _Task] = {}
        self._ids = itertools.count(1)
        self._fences = itertools.count(1)

    async def add(self, task: NewTask) -> int:
        """Queue a task; its id."""
        wants: dict[str, bool] = {}
        for one in task.reservations:
            wants[_name(one)] = wants.get(_name(one), False) or one.exclusive
        task_id = next(self._ids)
        self._tasks[task_id] = _Task(task_id, task, wants=wants)
        return task_id

    async def add_many(self, tasks: Sequence[NewTask]) -> list[int]:
        """Queue several tasks; their ids, in order."""
        return [await self.add(task) for task in tasks]

    async def claim(self, worker: str, lease_seconds: float, limit: int = 1) -> list[Held]:  # noqa: ARG002 - the port's
        """Claim what can run, highest priority first, then oldest."""
        held: list[Held] = []
        seen: set[int] = set()
        while len(held) < limit and (task := self._head(seen)):
            seen.add(task.id)
            clash = next((name for name in sorted(task.wants) if self._clashes(name, exclusive=task.wants[name])), None)
            if clash is not None:
                task.blocked_on = clash
                self._wake(set(task.wants) - {clash})
                continue
            task.status = move(Verb.CLAIM, task.status)
            task.fence, task.attempt = next(self._fences), task.attempt + 1
            task.lease_until = self._clock() + lease_seconds
            held.append(Held(task.id, task.fence, task.attempt))
        return held

    async def step(self, task_id: int, fence: int, verb: Verb, message: str = "") -> TaskStatus:
        """A worker moves its own task."""
        return self._move(self._owned(task_id, fence), verb, message)

    async def operate(self, task_id: int, verb: Verb, message: str = "") -> TaskStatus:
        """An operator moves a task; the fence rises."""
        if verb not in OPERATIONS:
            raise Invalid(f"'{verb.value}' is not for operators.")
        task = self._read(task_id)
        status = self._move(task, verb, message)
        task.fence = next(self._fences)
        return status

    async def block(self, task_id: int, fence: int, on: str, message: str) -> None:
        """The task cannot run until `on` comes: back to New and blocked. The attempt does not count."""
        task = self._owned(task_id, fence)
        self._move(task, Verb.HAND_ON, message, blocked_on=on)
        task.attempt -= 1

    async def unblock(self, on: str, limit: int = 100) -> int:
        """`on` is there: make its tasks claimable again; how many."""
        waiters = self._waiters(on)[:limit]
        for task in waiters:
            task.blocked_on = None
        return len(waiters)

    async def heartbeat(self, beats: Sequence[Beat], lease_seconds: float) -> list[int]:
        """Prolong leases; the ids that this worker no longer holds."""
        lost = []
        for beat in beats:
            task = self._tasks.get(beat.task_id)
            if task is None or task.fence != beat.fence or task.status not in HELD:
                lost.append(beat.task_id)
            else:
                task.lease_until = self._clock() + lease_seconds
        return lost

    async def reap(self, attempts: int, limit: int = 100) -> list[Reaped]:
        """Take tasks whose lease is over from their workers: New again, Broken after `attempts` hand-offs."""
        now = self._clock()
        silent = [task for task in self._tasks.values() if task.lease_until < now]
        reaped = []
        for task in sorted(silent, key=lambda t: t.lease_until)[:limit]:
            verb = Verb.BREAK if task.attempt >= attempts else Verb.HAND_ON
            message = f"The worker fell silent in attempt {task.attempt} of {attempts}."
            reaped.append(Reaped(task.id, self._move(task, verb, message)))
        return reaped

    async def status(self, task_id: int) -> TaskStatus:
        """The state of a task; NotFound."""
        return self._read(task_id).status

    async def remove(self, task_ids: Sequence[int]) -> None:
        """Remove tasks that no worker holds: all or none."""
        wanted = sorted(set(task_ids))
        missing = [i for i in wanted if i not in self._tasks]
        if missing:
            raise _missing(missing)
        busy = [i for i in wanted if self._tasks[i].status in HELD]
        if busy:
            raise Conflict(f"Tasks at work cannot be removed: {', '.join(map(str, busy))}.", ids=busy)
        gone = [self._tasks.pop(i) for i in wanted]
        self._wake({name for task in gone for name in task.wants})

    def _head(self, seen: set[int]) -> _Task | None:
        ready = (
            task
            for task in self._tasks.values()
            if task.status is TaskStatus.NEW and task.blocked_on is None and task.id not in seen
        )
        return min(ready, key=lambda task: task.order, default=None)

    def _read(self, task_id: int) -> _Task:
        if task_id not in self._tasks:
            raise _missing([task_id])
        return self._tasks[task_id]

    def _owned(self, task_id: int, fence: int) -> _Task:
        task = self._read(task_id)
        if task.fence != fence:
            raise Fenced(task_id=task_id)
        return task

    def _move(self, task: _Task, verb: Verb, message: str, *, blocked_on: str | None = None) -> TaskStatus:
        before, after = task.status, move(verb, task.status)
        left = before in HELD and after not in HELD
        task.status, task.blocked_on, task.message = after, blocked_on, message or task.message
        if left:
            task.lease_until = NEVER
            if after not in FINAL:
                task.fence = next(self._fences)
        if left or before is TaskStatus.NEW:
            self._wake(task.wants)
        if after in FINAL:
            task.wants = {}
        return after

    def _holders(self, name: str) -> list[bool]:
        return [task.wants[name] for task in self._tasks.values() if task.status in HELD and name in task.wants]

    def _clashes(self, name: str, *, exclusive: bool) -> bool:
        return any(held or exclusive for held in self._holders(name))

    def _waiters(self, name: str) -> list[_Task]:
        return sorted((t for t in self._tasks.values() if t.blocked_on == name), key=lambda t: t.order)

    def _wake(self, names: Iterable[str]) -> None:
        """Whose turn it is at each key: the first that waits exclusively, or the first shared ones."""
        for name in sorted(names):
            holders = self._holders(name)
            if any(holders):
                continue
            for position, task in enumerate(self._waiters(name)):
                exclusive = task.wants.get(name, False)
                if exclusive and (holders or position):
                    break
                task.blocked_on = None
                if exclusive:
                    break


def _missing(ids: list[int]) -> NotFound:
    return NotFound(f"No such task in the queue: {', '.join(map(str, ids))}.", ids=ids)
