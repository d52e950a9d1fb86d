"""The queue in PostgreSQL. Design section 7; the rules of claiming are in `queue.claims`.

`PostgresQueue` works on a connection whose transaction belongs to the caller; `PooledQueue`
gives every method a transaction of its own. NOTIFY on the channel `tasks` is a hint: an empty
payload says that there is something to claim, `kill <id>` and `pause <id>` that a worker must stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from rubackup.domain.errors import Conflict, Fenced, Invalid, NotFound
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import FINAL, HELD, Verb, move
from rubackup.queue import claims, notices
from rubackup.queue import statements as sql
from rubackup.queue.ports import Beat, Held, NewTask, Reaped, TaskQueue

OPERATIONS = frozenset({Verb.PAUSE, Verb.CONTINUE, Verb.KILL, Verb.RESUME})
SPEED_SECONDS = 10.0
"""Time constant of the exponential average of a task's speed."""

Connection = Any
_ADDED = (
    "task_type", "executor", "priority", "client_id", "media_server_id", "pool_id", "record_id", "record_uuid",
    "resource_type", "resource", "backup_type", "crypto", "storage_duration", "archiving", "parameters", "created_by",
    "restarted_from", "rule_id", "strategy_id", "strategy_rule_id", "pool_group_id",
)  # fmt: skip


class PostgresQueue:
    """The queue inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    async def add(self, task: NewTask) -> int:
        """Queue a task; its id."""
        task_id: int = await self._db.fetchval(
            sql.ADD, task.task_type, task.executor, task.priority, task.client_id, task.media_server_id, task.pool_id,
            task.record_id, task.record_uuid, task.resource_type, task.resource, task.backup_type, task.crypto,
            task.storage_duration, task.archiving, task.parameters, task.created_by, task.restarted_from,
            task.rule_id, task.strategy_id, task.strategy_rule_id, task.pool_group_id,
        )  # fmt: skip
        wanted = task.reservations
        if wanted:
            await self._db.execute(
                sql.RESERVE, task_id, [r.kind for r in wanted], [r.key for r in wanted], [r.exclusive for r in wanted]
            )
        await self._changed([task_id], TaskStatus.NEW)
        return task_id

    async def add_many(self, tasks: Sequence[NewTask]) -> list[int]:
        """Queue several tasks; their ids, in order."""
        if not tasks:
            return []
        ids: list[int] = [row[0] for row in await self._db.fetch(sql.NUMBERS, len(tasks))]
        columns = [[getattr(task, name) for task in tasks] for name in _ADDED]
        columns[_ADDED.index("parameters")] = [msgspec.json.encode(task.parameters).decode() for task in tasks]
        await self._db.execute(sql.ADD_MANY, ids, *columns)
        wanted = [(number, one) for number, task in zip(ids, tasks, strict=True) for one in task.reservations]
        if wanted:
            await self._db.execute(
                sql.RESERVE_MANY, [number for number, _one in wanted], [one.kind for _number, one in wanted],
                [one.key for _number, one in wanted], [one.exclusive for _number, one in wanted],
            )  # fmt: skip
        await self._changed(ids, TaskStatus.NEW)
        return ids

    async def claim(self, worker: str, lease_seconds: float, limit: int = 1) -> list[Held]:
        """Claim what can run, highest priority first, then oldest."""
        return await claims.claim(self._db, worker, lease_seconds, limit)

    async def step(self, task_id: int, fence: int, verb: Verb, message: str = "") -> TaskStatus:
        """A worker moves its own task."""
        row = await self._owned(task_id, fence)
        return await self._move(task_id, row, verb, message)

    async def operate(self, task_id: int, verb: Verb, message: str = "") -> TaskStatus:
        """An operator moves a task; the fence rises."""
        if verb not in OPERATIONS:
            raise Invalid(f"'{verb.value}' is not for operators.")
        row = await self._read(task_id)
        status = await self._move(task_id, row, verb, message, raise_fence=True)
        if _status(row) in HELD:
            await self._db.execute(sql.NOTIFY, f"{verb.value} {task_id}")
        return status

    async def block(self, task_id: int, fence: int, on: str, message: str) -> None:
        """The task cannot run until `on` comes: back to New and blocked. The attempt does not count."""
        row = await self._owned(task_id, fence)
        await self._move(task_id, row, Verb.HAND_ON, message, blocked_on=on, attempts_back=1)

    async def unblock(self, on: str, limit: int = 100) -> int:
        """`on` is there: make its tasks claimable again; how many."""
        tasks = [row["id"] for row in await self._db.fetch(sql.BLOCKED, on, limit)]
        await claims.free(self._db, tasks)
        return len(tasks)

    async def heartbeat(self, beats: Sequence[Beat], lease_seconds: float) -> list[int]:
        """Prolong leases and store progress; the ids that this worker no longer holds."""
        if not beats:
            return []
        rows = await self._db.fetch(
            sql.HEARTBEAT, [b.task_id for b in beats], [b.fence for b in beats], [b.files_done for b in beats],
            [b.files_total for b in beats], [b.bytes_done for b in beats], [b.bytes_total for b in beats],
            [b.bytes_sent for b in beats], lease_seconds, SPEED_SECONDS,
        )  # fmt: skip
        kept = {row["task_id"] for row in rows}
        return [b.task_id for b in beats if b.task_id not in kept]

    async def reap(self, attempts: int, limit: int = 100) -> list[Reaped]:
        """Take tasks whose lease is over from their workers: New again, Broken after `attempts` hand-offs."""
        reaped = []
        for silent in await self._db.fetch(sql.SILENT, limit):
            verb = Verb.BREAK if silent["attempt"] >= attempts else Verb.HAND_ON
            row = await self._read(silent["id"])
            message = f"The worker fell silent in attempt {silent['attempt']} of {attempts}."
            reaped.append(Reaped(silent["id"], await self._move(silent["id"], row, verb, message)))
        await claims.wake_orphans(self._db, limit)
        return reaped

    async def status(self, task_id: int) -> TaskStatus:
        """The state of a task; NotFound."""
        row = await self._db.fetchrow(sql.STATUS, task_id)
        if row is None:
            raise _missing([task_id])
        return _status(row)

    async def remove(self, task_ids: Sequence[int]) -> None:
        """Remove tasks that no worker holds: all or none."""
        wanted = sorted(set(task_ids))
        rows = {row["id"]: _status(row) for row in await self._db.fetch(sql.LOCK_ALL, wanted)}
        missing = [task for task in wanted if task not in rows]
        if missing:
            raise _missing(missing)
        busy = [task for task in wanted if rows[task] in HELD]
        if busy:
            raise Conflict(f"Tasks at work cannot be removed: {', '.join(map(str, busy))}.", ids=busy)
        keys = {row[0] for row in await self._db.fetch(sql.RESERVED, wanted)}
        await self._db.execute(sql.EVENTS, wanted, "Removed")
        await self._db.execute(sql.REMOVE, wanted)
        await claims.wake(self._db, keys)

    async def _read(self, task_id: int) -> Any:
        row = await self._db.fetchrow(sql.READ, task_id)
        if row is None:
            raise _missing([task_id])
        return row

    async def _owned(self, task_id: int, fence: int) -> Any:
        row = await self._read(task_id)
        if row["fence"] != fence:
            raise Fenced(task_id=task_id)
        return row

    async def _move(
        self,
        task_id: int,
        row: Any,
        verb: Verb,
        message: str,
        *,
        blocked_on: str | None = None,
        attempts_back: int = 0,
        raise_fence: bool = False,
    ) -> TaskStatus:
        """Move a task whose row is locked, with all that follows from it."""
        before = _status(row)
        after = move(verb, before)
        left = before in HELD and after not in HELD
        new_fence = raise_fence or (left and after not in FINAL)
        await self._db.execute(
            sql.MOVE, task_id, after.label, message, blocked_on, new_fence, attempts_back, after in FINAL
        )
        if left:
            await self._db.execute(sql.END_LEASE, task_id)
        await self._changed([task_id], after)
        if left or before is TaskStatus.NEW:
            keys = [r["name"] for r in await self._db.fetch(sql.LET_GO, task_id)]
            await claims.wake(self._db, keys)
        if after in FINAL:
            await self._db.execute(sql.FORGET, task_id)
            if row["has_origin"]:
                await notices.ended(self._db, task_id, after)
        return after

    async def _changed(self, tasks: list[int], status: TaskStatus) -> None:
        await self._db.execute(sql.EVENTS, tasks, status.label)
        if status is TaskStatus.NEW:
            await self._db.execute(sql.NOTIFY, "")
        elif status in FINAL:  # who waits for the end hears of it at once and not with the next poll
            await self._db.execute(sql.NOTIFY_EVENTS)


def _status(row: Any) -> TaskStatus:
    found = TaskStatus.by_label(row["status"])
    assert isinstance(found, TaskStatus)
    return found


def _missing(ids: list[int]) -> NotFound:
    return NotFound(f"No such task in the queue: {', '.join(map(str, ids))}.", ids=ids)


class Transactions(Protocol):
    """What the pooled queue needs of the catalogue's Database."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction that is committed when the block ends well."""
        ...


class PooledQueue:
    """The queue with a transaction for each method."""

    def __init__(self, database: Transactions, queue: Callable[[Connection], TaskQueue] = PostgresQueue) -> None:
        self._database = database
        self._queue = queue

    async def add(self, task: NewTask) -> int:
        """Queue a task; its id."""
        async with self._database.transaction() as db:
            return await self._queue(db).add(task)

    async def add_many(self, tasks: Sequence[NewTask]) -> list[int]:
        """Queue several tasks; their ids, in order."""
        async with self._database.transaction() as db:
            return await self._queue(db).add_many(tasks)

    async def claim(self, worker: str, lease_seconds: float, limit: int = 1) -> list[Held]:
        """Claim what can run, highest priority first, then oldest."""
        async with self._database.transaction() as db:
            return await self._queue(db).claim(worker, lease_seconds, limit)

    async def step(self, task_id: int, fence: int, verb: Verb, message: str = "") -> TaskStatus:
        """A worker moves its own task."""
        async with self._database.transaction() as db:
            return await self._queue(db).step(task_id, fence, verb, message)

    async def operate(self, task_id: int, verb: Verb, message: str = "") -> TaskStatus:
        """An operator moves a task; the fence rises."""
        async with self._database.transaction() as db:
            return await self._queue(db).operate(task_id, verb, message)

    async def block(self, task_id: int, fence: int, on: str, message: str) -> None:
        """The task cannot run until `on` comes."""
        async with self._database.transaction() as db:
            await self._queue(db).block(task_id, fence, on, message)

    async def unblock(self, on: str, limit: int = 100) -> int:
        """`on` is there: make its tasks claimable again; how many."""
        async with self._database.transaction() as db:
            return await self._queue(db).unblock(on, limit)

    async def heartbeat(self, beats: Sequence[Beat], lease_seconds: float) -> list[int]:
        """Prolong leases and store progress; the ids that this worker no longer holds."""
        async with self._database.transaction() as db:
            return await self._queue(db).heartbeat(beats, lease_seconds)

    async def reap(self, attempts: int, limit: int = 100) -> list[Reaped]:
        """Take tasks whose lease is over from their workers."""
        async with self._database.transaction() as db:
            return await self._queue(db).reap(attempts, limit)

    async def status(self, task_id: int) -> TaskStatus:
        """The state of a task; NotFound."""
        async with self._database.transaction() as db:
            return await self._queue(db).status(task_id)

    async def remove(self, task_ids: Sequence[int]) -> None:
        """Remove tasks that no worker holds: all or none."""
        async with self._database.transaction() as db:
            await self._queue(db).remove(task_ids)
