"""The scheduler's loop, by the catalogue's own clock."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced
from rubackup.server import scheduler as scheduler_module
from rubackup.server.scheduler import Scheduler
from rubackup.services import ticks
from support.catalogue import World, insert

pytestmark = pytest.mark.postgres


async def rule(world: World, **fields: str) -> int:
    """A rule that runs."""
    row = {
        "name": "often", "client_id": world.client, "pool_id": world.pool, "resource_type": "File system",
        "resource": "/home", "backup_type": "full", "storage_duration": "1 day", "status": "run",
    }  # fmt: skip
    async with world.database.transaction() as db:
        return await insert(db, "global_schedule", **(row | fields))


async def launched(world: World, least: int) -> None:
    """Return once there are so many launches."""
    async with asyncio.timeout(60):
        while True:
            if await world.value("SELECT count(*) FROM schedule_ticks") >= least:
                return
            await asyncio.sleep(0.05)


def test_a_change_wakes_the_scheduler_and_the_next_launch_does(run, monkeypatch):
    """A rule that is made while the scheduler rests is launched, again and again, each in the catalogue once."""
    monkeypatch.setattr(ticks, "LOOK_SECONDS", 3600.0)

    async def scenario(database: Database):
        world = await World.build(database)
        scheduler = Scheduler(database, ZoneInfo("Europe/Berlin"))

        async def heard(_channel: str, _payload: str) -> None:
            scheduler.wake()

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(database.listen(("schedule",), heard))
            running = group.create_task(scheduler.run(await world.value("SELECT epoch FROM leadership")))
            await asyncio.sleep(0.3)  # it rests: nothing is due for an hour
            await rule(world, periodic_launch="1 second")
            await launched(world, 2)
            listening.cancel()
            running.cancel()

        tasks, launches = await world.row("SELECT (SELECT count(*) FROM task_queue), count(*) FROM schedule_ticks")
        assert tasks == launches

    run(scenario)


def test_a_scheduler_whose_lead_is_over_ends(run):
    """Another server leads: the loop ends with the reason, and launches nothing."""

    async def scenario(database: Database):
        world = await World.build(database)
        await rule(world, periodic_launch="1 second")
        with pytest.raises(Fenced):
            await Scheduler(database, ZoneInfo("UTC")).run(await world.value("SELECT epoch + 1 FROM leadership"))

        assert await world.value("SELECT count(*) FROM task_queue") == 0

    run(scenario)


def test_a_tick_that_fails_for_an_unknown_reason_is_made_again(run, monkeypatch):
    """The leader's other work goes on meanwhile."""
    monkeypatch.setattr(scheduler_module, "BROKEN_SECONDS", 0.1)

    async def scenario(database: Database):
        world = await World.build(database)
        tick, failed = ticks.tick, []

        async def broken_once(*arguments, **fields):
            if not failed:
                failed.append(True)
                raise TypeError("can't compare")
            return await tick(*arguments, **fields)

        monkeypatch.setattr(ticks, "tick", broken_once)
        await rule(world, periodic_launch="1 second")
        running = asyncio.create_task(
            Scheduler(database, ZoneInfo("UTC")).run(await world.value("SELECT epoch FROM leadership"))
        )
        await launched(world, 1)
        running.cancel()

        assert failed

    run(scenario)
