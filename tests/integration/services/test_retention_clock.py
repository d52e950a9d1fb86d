"""Retention rests while the clock is in doubt."""

from __future__ import annotations

import datetime as dt

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced
from rubackup.services import retention_clock
from rubackup.services.retention_clock import Watch
from support.retention import DAY, NOW, Archive

pytestmark = pytest.mark.postgres
HOUR = dt.timedelta(hours=1)


async def state(world: Archive) -> tuple[bool, bool]:
    """Whether retention is suspended, and whether it goes on by itself."""
    row = await world.row("SELECT suspended_at, resumes_at FROM retention_state")
    return row["suspended_at"] is not None, row["resumes_at"] is not None


def test_a_clock_that_leaps_ahead_suspends_retention_until_somebody_says_that_it_is_right(run):
    """Nothing goes meanwhile, by no server; time that passes does not end it; an event tells of it."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule()
        old, newest = await world.copy(9, rule_id=rule), await world.newest(rule_id=rule)
        watch = Watch()
        assert await watch.look(database, 0, 1000.0, NOW) == ""
        assert await watch.look(database, 0, 1060.0, NOW + dt.timedelta(seconds=60)) == ""
        leapt = await watch.look(database, 0, 1120.0, NOW + 30 * DAY)
        assert "leapt 720" in leapt
        assert await state(world) == (True, False)
        await world.retain(NOW + 30 * DAY)
        assert await watch.look(database, 0, 1180.0, NOW + 30 * DAY + dt.timedelta(seconds=60)) == ""
        assert await Watch().look(database, 0, 5.0, NOW + 60 * DAY) == ""
        await world.retain(NOW + 60 * DAY)
        assert await world.left() == [old, newest]
        assert await world.column("SELECT data ->> 'suspended' FROM events WHERE family = 'retention'") == ["true"]
        async with database.transaction() as db:
            await retention_clock.resume(db)
        await world.retain(NOW + 30 * DAY)

        assert await world.left() == [newest]

    run(scenario)


def test_after_a_long_silence_retention_waits_an_hour(run):
    """A new leader cannot tell a leap from a night without servers; what passes within an hour is no silence."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule()
        old, newest = await world.copy(10, rule_id=rule), await world.newest(rule_id=rule)
        assert await Watch().look(database, 0, 5.0, NOW) == ""
        assert await Watch().look(database, 0, 7.0, NOW + 0.9 * HOUR) == ""
        watch = Watch()
        assert "waits an hour" in await watch.look(database, 0, 9.0, NOW + 3 * HOUR)
        assert await state(world) == (True, True)
        await world.retain(NOW + 3.5 * HOUR)
        assert await world.left() == [old, newest]
        await watch.look(database, 0, 9.0 + 3601, NOW + 4 * HOUR + dt.timedelta(seconds=1))
        assert await state(world) == (False, False)
        await world.retain(NOW + 4 * HOUR)

        assert await world.left() == [newest]

    run(scenario)


def test_a_leap_while_it_rests_needs_somebody(run):
    """The hour that a new leader waits is not cut short by a clock that runs away, nor is the clock's going back a leap."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        await Watch().look(database, 0, 5.0, NOW)
        watch = Watch()
        await watch.look(database, 0, 9.0, NOW + 3 * HOUR)
        assert "leapt" in await watch.look(database, 0, 10.0, NOW + DAY)
        assert await state(world) == (True, False)
        assert await watch.look(database, 0, 11.0, NOW) == ""
        assert await state(world) == (True, False)
        with pytest.raises(Fenced):
            await Watch().look(database, 9, 12.0, NOW)

    run(scenario)
