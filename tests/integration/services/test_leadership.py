"""One server leads at a time, and only its epoch counts."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.catalog.database import Database
from rubackup.catalog.faults import DRIVER_ERRORS
from rubackup.domain.errors import Fenced
from rubackup.services.leadership import Leadership, check_epoch

pytestmark = pytest.mark.postgres


def test_a_second_server_waits_until_the_first_lets_go(run):
    """While one leads nobody else does; each take-over has a higher epoch."""

    async def scenario(database: Database):
        first, second = Leadership(database), Leadership(database)
        epoch = await first.take("a")
        assert await second.take("b") is None
        assert await first.held()
        assert not await second.held()
        await first.release()

        assert await second.take("b") == epoch + 1
        assert not await first.held()
        await second.release()

    run(scenario)


def test_the_lead_is_lost_with_its_connection(run):
    """When PostgreSQL ends the leader's connection another server can lead and the first one sees it."""

    async def scenario(database: Database):
        first, second = Leadership(database), Leadership(database)
        await first.take("a")
        async with database.connection() as db:
            await db.execute(
                """SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
                   WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
            )

        assert not await first.held()
        assert await second.take("b") is not None
        await first.release()
        await second.release()

    run(scenario)


def test_an_old_epoch_is_fenced(run):
    """A transaction of a leader that was replaced fails before it writes anything."""

    async def scenario(database: Database):
        leader = Leadership(database)
        old = await leader.take("a")
        new = await leader.take("a")
        async with database.transaction() as db:
            await check_epoch(db, new)
            with pytest.raises(Fenced):
                await check_epoch(db, old)
        await leader.release()

    run(scenario)


def test_a_leader_that_hangs_is_made_to_give_up(run):
    """Its connections stay, one in the middle of a transaction that holds the epoch; one that asks in time keeps the lead."""

    async def scenario(database: Database):
        first, second = Leadership(database, 4), Leadership(database, 4)
        epoch = await first.take("a")
        for _ in range(5):  # longer in all than it may be silent
            assert await first.held()
            assert await second.take("b") is None
            await asyncio.sleep(0.9)
        second = Leadership(database, 0.3)
        stuck = await database.direct()
        await stuck.execute("BEGIN")
        await check_epoch(stuck, epoch)
        await asyncio.sleep(0.4)
        assert await second.take("b") is None  # it has ended the connection that holds the lead
        async with asyncio.timeout(60):
            while (taken := await second.take("b")) is None:  # noqa: ASYNC110 - PostgreSQL tells nobody
                await asyncio.sleep(0.1)

        assert taken == epoch + 1
        assert not await first.held()
        with pytest.raises(DRIVER_ERRORS):
            await stuck.execute("SELECT 1")
        stuck.terminate()
        await first.release()
        await second.release()

    run(scenario)
