"""The scheduler's ticks on the catalogue, with a clock of the test's."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Fenced
from rubackup.services import housekeeping, ticks
from rubackup.services.leadership import Leadership
from rubackup.services.ticks import Tick
from support.catalogue import World, insert

pytestmark = pytest.mark.postgres

BERLIN = ZoneInfo("Europe/Berlin")
START = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
"""A Monday, 11:00 in Berlin."""
HOUR, MINUTE, SECOND = dt.timedelta(hours=1), dt.timedelta(minutes=1), dt.timedelta(seconds=1)


class Clocked:
    """A World whose scheduler lives by a clock that the test sets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.database = world.database
        self.now = START

    @classmethod
    async def build(cls, database: Database) -> Clocked:
        return cls(await World.build(database))

    async def rule(self, **fields: Any) -> int:
        """A rule that runs since START; every hour unless it says otherwise."""
        row = {
            "name": "hourly", "client_id": self.world.client, "pool_id": self.world.pool, "resource_type": "File system",
            "resource": "/home", "backup_type": "full", "storage_duration": "1 day", "min": "0", "status": "run",
            "created_at": START, "schedule_since": self.now,
        }  # fmt: skip
        async with self.database.transaction() as db:
            return await insert(db, "global_schedule", **(row | fields))

    async def strategy(self, **fields: Any) -> int:
        """A strategy that runs since START, with no leg unless it says so."""
        async with self.database.transaction() as db:
            nobody = await db.fetchval("SELECT id FROM user_groups WHERE name = 'Nobody'")
            told = ("inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify",
                    "notify_strategy_validity", "notify_end_storage_capacity")  # fmt: skip
            row = {"name": "strategy", "pool_id": self.world.pool, "status": "run", "created_at": START,
                   "schedule_since": self.now, **{f"{one}_group_id": nobody for one in told}}  # fmt: skip
            return await insert(db, "backup_strategies", **(row | fields))

    async def member(self, strategy: int, **fields: Any) -> int:
        """A rule of a strategy."""
        row = {"strategy_id": strategy, "client_id": self.world.client, "resource_type": "File system", "resource": "/home"}
        async with self.database.transaction() as db:
            return await insert(db, "strategy_rules", **(row | fields))

    async def client(self, hwid: str, group: int | None = None, *, online: bool = False) -> int:
        """A client more."""
        async with self.database.transaction() as db:
            client = await insert(
                db, "clients", hwid=hwid, hostname=f"host{hwid[-1]}", group_id=group or self.world.group, csr_pem=b"csr",
                fingerprint="f0",
            )  # fmt: skip
            await db.execute("INSERT INTO client_presence (client_id, online) VALUES ($1, $2)", client, online)
            return client

    async def tick(self, after: dt.timedelta = dt.timedelta(), **arguments: Any) -> Tick:
        """Let the clock go on, and tick until nothing is due."""
        self.now += after
        epoch = arguments.pop("epoch", None) or await self.world.value("SELECT epoch FROM leadership")
        total = Tick()
        while True:
            done = await ticks.tick(self.database, epoch, BERLIN, now=self.now, **arguments)
            total = Tick(
                launches=total.launches + done.launches, tasks=total.tasks + done.tasks, wait_seconds=done.wait_seconds
            )
            if done.wait_seconds > 0:
                return total

    async def tasks(self) -> list[tuple[Any, ...]]:
        """Rule or strategy, type and resource of every task, in order."""
        async with self.database.connection() as db:
            rows = await db.fetch(
                "SELECT coalesce(rule_id, strategy_id), backup_type, resource, client_id FROM task_queue ORDER BY id"
            )
            return [tuple(row) for row in rows]

    async def lines(self) -> list[tuple[str, str]]:
        """Action and text of the log."""
        async with self.database.connection() as db:
            return [tuple(r) for r in await db.fetch("SELECT action, text FROM global_schedule_log ORDER BY id")]


def test_a_rule_whose_minute_has_come_makes_its_task(run):
    """The task is the rule's, names it, and comes once; the log says when it was due."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        rule = await here.rule(priority=7, module_parameters={"file_list": True}, notify_normal_script="/opt/ok.sh")
        assert (await here.tick()).tasks == 0
        done = await here.tick(HOUR)
        assert (await here.tick(30 * MINUTE)).tasks == 0

        assert (done.launches, done.tasks) == (1, 1)
        assert await here.tasks() == [(rule, "full", "/home", here.world.client)]
        task = await here.world.row("SELECT * FROM task_queue")
        assert (task["status"], task["priority"], task["created_by"], task["rule_id"]) == ("New", 7, "", rule)
        assert task["storage_duration"] == dt.timedelta(days=1)
        assert task["parameters"] == {"module": {"file_list": True}, "common": {}, "scripts": {"normal": "/opt/ok.sh"}}
        kinds = await here.world.column("SELECT kind FROM task_reservations ORDER BY kind")
        assert kinds == ["pool", "resource"]
        assert await here.lines() == [("executed", "Due at 2026-03-02T11:00:00Z.")]

    run(scenario)


def test_a_tick_says_when_the_next_is_due(run):
    """The wait ends with the next launch of all schedules, and is never longer than half a minute."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        here.now += HOUR - 10 * SECOND

        assert (await here.tick()).wait_seconds == pytest.approx(10)
        assert (await here.tick(10 * SECOND)).wait_seconds == ticks.LOOK_SECONDS

    run(scenario)
