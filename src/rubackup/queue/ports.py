"""The queue as its callers see it; held by `queue.postgres` and its twin `queue.memory`.

A worker's move carries the fence that its claim gave it; an older fence is refused with
Fenced and changes nothing. Which verb is allowed in which state is `domain.tasks`.
Design section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import Verb


class Reservation(msgspec.Struct, frozen=True):
    """What a task touches while it is held: `kind` is resource, record, pool, cleaning or drive."""

    kind: str
    key: str
    exclusive: bool


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be queued. `executor`: client or media, who does the work. Rules and strategies: where it comes from."""

    task_type: str
    executor: str
    priority: int = 100
    client_id: int | None = None
    media_server_id: int | None = None
    pool_id: int | None = None
    pool_group_id: int | None = None
    """The dynamic pool group that chooses the pool; `pool_id` is one of its members then."""
    record_id: int | None = None
    record_uuid: str | None = None
    resource_type: str = ""
    resource: str = ""
    backup_type: str = ""
    crypto: str = "nocrypt"
    storage_duration: str | None = None
    archiving: bool = False
    parameters: dict[str, Any] = {}
    created_by: str = ""
    restarted_from: int | None = None
    rule_id: int | None = None
    strategy_id: int | None = None
    strategy_rule_id: int | None = None
    reservations: tuple[Reservation, ...] = ()


class Held(msgspec.Struct, frozen=True):
    """A claimed task: it is Assigned and leased to the worker under this fence."""

    task_id: int
    fence: int
    attempt: int


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A heartbeat with progress; totals are 0 while unknown."""

    task_id: int
    fence: int
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0


class Reaped(msgspec.Struct, frozen=True):
    """A task whose worker fell silent, and what became of it: New again, or Broken."""

    task_id: int
    status: TaskStatus


class TaskQueue(Protocol):
    """Every method is one transaction, or takes part in the caller's."""

    async def add(self, task: NewTask) -> int:
        """Queue a task; its id."""
        ...

    async def add_many(self, tasks: Sequence[NewTask]) -> list[int]:
        """Queue several tasks; their ids, in order."""
        ...

    async def claim(self, worker: str, lease_seconds: float, limit: int = 1) -> list[Held]:
        """Claim what can run, highest priority first, then oldest.

        A task whose reservations clash with a held task's is marked blocked instead
        (`blocked_on` = `kind:key`) and becomes claimable when that task lets go.
        """
        ...

    async def step(self, task_id: int, fence: int, verb: Verb, message: str = "") -> TaskStatus:
        """A worker moves its own task; leaving the held states frees lease and reservations."""
        ...

    async def operate(self, task_id: int, verb: Verb, message: str = "") -> TaskStatus:
        """An operator moves a task (PAUSE, CONTINUE, KILL, RESUME); WrongState, NotFound. The fence rises."""
        ...

    async def block(self, task_id: int, fence: int, on: str, message: str) -> None:
        """The task cannot run until `on` (`client:<hwid>`, `media:<hwid>`) comes: back to New and blocked."""
        ...

    async def unblock(self, on: str, limit: int = 100) -> int:
        """`on` is there: make its tasks claimable again; how many."""
        ...

    async def heartbeat(self, beats: Sequence[Beat], lease_seconds: float) -> list[int]:
        """Prolong leases and store progress; the ids that this worker no longer holds."""
        ...

    async def reap(self, attempts: int, limit: int = 100) -> list[Reaped]:
        """Take tasks whose lease is over from their workers: New again, Broken after `attempts` hand-offs."""
        ...

    async def status(self, task_id: int) -> TaskStatus:
        """The state of a task; NotFound."""
        ...

    async def remove(self, task_ids: Sequence[int]) -> None:
        """Remove tasks that no worker holds: all or none; NotFound names missing ids, Conflict held ones."""
        ...
