"""The PostgreSQL queue and its twin, driven by the same random steps, answer alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import RubackupError
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import HELD, Verb
from rubackup.queue.memory import MemoryQueue
from rubackup.queue.ports import Held, NewTask, Reservation
from rubackup.queue.postgres import PooledQueue

EMPTY = "TRUNCATE task_queue, events RESTART IDENTITY CASCADE"
PLACES = 2
"""Of the one pool that has so few."""
SMALL_POOL = f"""
WITH server AS (
    INSERT INTO media_servers (hwid, hostname, data_endpoint, csr_pem, fingerprint)
    VALUES ('a', 'm', 'h:1', '', '') ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO pools (pool_name, pool_type, media_server_id, max_tasks)
SELECT 'small', 'File system', id, {PLACES} FROM server RETURNING id"""
WORK = [Verb.ACCEPT, Verb.EXECUTE, Verb.TRANSMIT, Verb.FINISH, Verb.FAIL, Verb.BREAK, Verb.HAND_ON, Verb.SUSPEND]
HOSTS = ["client:a", "client:b"]
OPERATE = [Verb.PAUSE, Verb.CONTINUE, Verb.KILL, Verb.RESUME]
reservations = st.lists(
    st.builds(Reservation, st.sampled_from(["pool", "record"]), st.sampled_from("ab"), st.booleans()), max_size=3
)


class Twins(RuleBasedStateMachine):
    """Every rule asks both queues; `holds` are claims as (twin's, PostgreSQL's)."""

    runner: asyncio.Runner
    database: Database
    pool: int

    tasks = Bundle("tasks")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryQueue(places={f"places:pool:{self.pool}": PLACES})
        self.postgres = PooledQueue(self.database)
        self.known: list[int] = []
        self.runner.run(self._empty())

    async def _empty(self) -> None:
        async with self.database.connection() as db:
            await db.execute(EMPTY)

    def both(self, name: str, ours: tuple[Any, ...], theirs: tuple[Any, ...] | None = None) -> tuple[Any, Any]:
        """The results of the call on both, or the classes of what it raised."""
        answers = []
        for queue, arguments in ((self.memory, ours), (self.postgres, ours if theirs is None else theirs)):
            try:
                answers.append(self.runner.run(getattr(queue, name)(*arguments)))
            except RubackupError as error:
                answers.append(type(error))
        return answers[0], answers[1]

    @rule(target=tasks, wanted=reservations, priority=st.sampled_from([1, 100]), small=st.booleans())
    def add(self, wanted: list[Reservation], priority: int, small: bool) -> int:
        task = NewTask(
            task_type="Backup", executor="client", priority=priority, reservations=tuple(wanted),
            pool_id=self.pool if small else None,
        )  # fmt: skip
        ours, theirs = self.both("add", (task,))
        assert ours == theirs
        self.known.append(ours)
        return ours

    @rule(target=holds, lease=st.sampled_from([0.0, 3600.0]), limit=st.sampled_from([1, 1, 4]))
    def claim(self, lease: float, limit: int) -> Any:
        ours, theirs = self.both("claim", ("server", lease, limit))
        assert [(h.task_id, h.attempt) for h in ours] == [(h.task_id, h.attempt) for h in theirs]
        return multiple(*zip(ours, theirs, strict=True))

    @rule(held=holds, verb=st.sampled_from(WORK))
    def step(self, held: tuple[Held, Held], verb: Verb) -> None:
        ours, theirs = self.both("step", *((h.task_id, h.fence, verb) for h in held))
        assert ours == theirs

    @rule(held=holds, on=st.sampled_from(HOSTS))
    def block(self, held: tuple[Held, Held], on: str) -> None:
        ours, theirs = self.both("block", *((h.task_id, h.fence, on, "offline") for h in held))
        assert ours == theirs

    @rule(on=st.sampled_from(HOSTS))
    def unblock(self, on: str) -> None:
        ours, theirs = self.both("unblock", (on,))
        assert ours == theirs

    @rule(task=tasks, verb=st.sampled_from(OPERATE))
    def operate(self, task: int, verb: Verb) -> None:
        ours, theirs = self.both("operate", (task, verb))
        assert ours == theirs

    @rule(attempts=st.sampled_from([1, 3]))
    def reap(self, attempts: int) -> None:
        ours, theirs = self.both("reap", (attempts,))
        assert sorted(r.task_id for r in ours) == sorted(r.task_id for r in theirs)

    @rule(task=consumes(tasks))
    def remove(self, task: int) -> None:
        ours, theirs = self.both("remove", ([task],))
        assert ours == theirs

    @invariant()
    def same_states(self) -> None:
        for task in self.known:
            ours, theirs = self.both("status", (task,))
            assert ours == theirs

    def teardown(self) -> None:
        """Nobody waits for ever: once every worker is gone and every host is there, all waiting tasks get their turn."""
        for task in self.known:
            status, _ = self.both("status", (task,))
            if status in HELD:
                self.both("operate", (task, Verb.KILL))
            elif status in {TaskStatus.PAUSED, TaskStatus.SUSPENDED}:
                self.both("operate", (task, Verb.CONTINUE if status is TaskStatus.PAUSED else Verb.RESUME))
        for host in HOSTS:
            self.both("unblock", (host,))
        while True:
            ours, theirs = self.both("claim", ("server", 3600.0))
            assert [h.task_id for h in ours] == [h.task_id for h in theirs]
            if not ours:
                break
            self.both("step", *((h.task_id, h.fence, Verb.FINISH) for h in (ours[0], theirs[0])))
        assert all(TaskStatus.NEW not in self.both("status", (task,)) for task in self.known)


async def small_pool(database: Database) -> int:
    """A pool on which few tasks are at work at a time."""
    async with database.connection() as db:
        found: int = await db.fetchval(SMALL_POOL)
        return found


@pytest.mark.postgres
def test_both_queues_answer_alike(database: DatabaseAddress):
    """Whatever happens in whatever order, the twin and PostgreSQL agree on every answer and every state."""
    with asyncio.Runner() as runner:
        pool = Database(database, size=2)
        runner.run(pool.open())
        Twins.runner, Twins.database = runner, pool
        Twins.pool = runner.run(small_pool(pool))
        try:
            run_state_machine_as_test(
                Twins,
                settings=settings(
                    max_examples=25, stateful_step_count=25, deadline=None, database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )  # fmt: skip
        finally:
            runner.run(pool.close())
