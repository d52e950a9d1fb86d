"""A task that ends tells whom its strategy says: once, in the transaction of its last move."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.tasks import Verb
from rubackup.queue.ports import NewTask
from rubackup.queue.postgres import PooledQueue, PostgresQueue
from rubackup.services import dispatch, records
from rubackup.services.records import Sealed
from support.catalogue import CLIENT, MEDIA, SERVER, World, insert

pytestmark = pytest.mark.postgres

GROUPS = (
    "inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify", "notify_strategy_validity",
    "notify_end_storage_capacity",
)  # fmt: skip


async def strategy(world: World, **fields: Any) -> int:
    """A strategy that tells the group operators of everything, with other values as given."""
    async with world.database.transaction() as db:
        told = await db.fetchval(
            "INSERT INTO user_groups (name) VALUES ('operators') ON CONFLICT (name) DO UPDATE SET name = 'operators' "
            "RETURNING id"
        )
        columns = {"name": "nightly", "pool_id": world.pool} | {f"{one}_group_id": told for one in GROUPS}
        return await insert(db, "backup_strategies", **(columns | fields))


async def nobody(world: World) -> int:
    """The group that stands for no one."""
    return await world.value("SELECT id FROM user_groups WHERE name = 'Nobody'")


async def told(world: World) -> list[tuple[str, str, str | None]]:
    """Kind, status and group of each notification, oldest first."""
    async with world.database.connection() as db:
        rows = await db.fetch(
            "SELECT n.kind, n.status, g.name FROM notifications n LEFT JOIN user_groups g ON g.id = n.user_group_id "
            "ORDER BY n.id"
        )
    return [tuple(row) for row in rows]


async def held(world: World) -> dispatch.Job:
    """The next task, claimed and accepted."""
    epoch = await world.value("SELECT epoch FROM leadership")
    (job,) = await dispatch.claim(world.database, epoch, SERVER, 60, 1)
    return job


async def seal(world: World, job: dispatch.Job) -> None:
    """The copy of a backup becomes durable."""
    assert await records.seal(
        world.database,
        Sealed(
            task_id=job.task_id, fence=job.fence, pool_id=world.pool, media_hwid=MEDIA, record=job.record_uuid,
            parent="", client_hwid=CLIENT, resource_type="File system", resource="/home", backup_type="full", files=3,
            files_failed=0, size_bytes=100, stored_bytes=40, sealed_at=dt.datetime.now(dt.UTC),
        ),
    )  # fmt: skip


def test_a_good_copy_is_told_with_what_there_is_to_say(run):
    """The text names task, strategy, client, resource, pool and message; the row is visible to the client's group."""

    async def scenario(database: Database):
        world = await World.build(database)
        number = await strategy(world, notify_normal_cc="boss@example.org")
        task = await world.backup(strategy_id=number)
        job = await held(world)
        await seal(world, job)
        await dispatch.finished(database, task, job.fence, source="client", outcome="done")  # a repeat

        row = await world.row("SELECT * FROM notifications")
        assert await told(world) == [("normal", "New", "operators")]
        assert (row["task_id"], row["strategy_id"], row["client_id"], row["client_group_id"]) == (
            task, number, world.client, world.group,
        )  # fmt: skip
        assert (row["media_server_id"], row["cc"]) == (world.media, "boss@example.org")
        assert row["subject"] == f"Backup Done: /home of workstation ({CLIENT})"
        assert row["text"].splitlines()[:5] == [
            f"Task: {task} (Backup, full), Done", "Strategy: nightly", f"Client: workstation ({CLIENT})",
            "Resource: File system: /home", "Pool: Default",
        ]  # fmt: skip
        assert "3 files, 100 bytes" in row["text"]
        event = await world.row("SELECT * FROM events WHERE family = 'notifications'")
        assert (event["kind"], event["row_id"], event["client_group_id"]) == ("created", row["id"], world.group)

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.FAIL, Verb.BREAK])
def test_a_failure_is_told_as_exception(run, verb):
    """Error and Broken alike."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup(strategy_id=await strategy(world))
        job = await held(world)
        await PooledQueue(database).step(task, job.fence, verb, "The disk is on fire.")

        assert await told(world) == [("exception", "New", "operators")]
        assert "Message: The disk is on fire." in await world.value("SELECT text FROM notifications")

    run(scenario)


def test_a_worker_that_is_lost_is_told_when_its_task_is_given_up(run):
    """Handing a task on tells nobody; the last attempt tells once."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup(strategy_id=await strategy(world))
        for _ in range(dispatch.ATTEMPTS):
            assert await told(world) == []
            await held(world)
            async with database.transaction() as db:
                await db.execute("UPDATE task_progress SET lease_until = now() - interval '1 s'")
            await dispatch.reap(database)

        assert await told(world) == [("exception", "New", "operators")]

    run(scenario)


@pytest.mark.parametrize("damaged", [(), ("/home/a",)])
def test_a_verification_is_told_either_way(run, damaged):
    """Whatever it found, notify_verify is told and nobody else."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup()
        await seal(world, await held(world))
        record = await world.value("SELECT id FROM repository")
        async with database.transaction() as db:
            task = await PostgresQueue(db).add(
                NewTask(
                    task_type="Verify", executor="media", client_id=world.client, media_server_id=world.media,
                    pool_id=world.pool, record_id=record, strategy_id=None,
                )
            )  # fmt: skip
        number = await strategy(world)
        async with database.transaction() as db:
            await db.execute("UPDATE task_queue SET strategy_id = $2 WHERE id = $1", task, number)
        job = await held(world)
        await records.finished_verification(database, task, job.fence, damaged)

        assert await told(world) == [("verify", "New", "operators")]

    run(scenario)


def test_nobody_without_addresses_is_not_told(run):
    """The group Nobody alone makes no row; with an address in cc it makes one."""

    async def scenario(database: Database):
        world = await World.build(database)
        none = await nobody(world)
        number = await strategy(
            world, notify_normal_group_id=none, notify_exception_group_id=none, notify_exception_cc="a@example.org"
        )
        for verb in (Verb.FINISH, Verb.FAIL):
            task = await world.backup(strategy_id=number, reservations=())
            job = await held(world)
            await PooledQueue(database).step(task, job.fence, verb)

        assert await told(world) == [("exception", "New", "Nobody")]

    run(scenario)


def test_a_killed_task_and_one_of_no_strategy_tell_nobody(run):
    """An operator knows what he did; an urgent backup has nobody to tell."""

    async def scenario(database: Database):
        world = await World.build(database)
        killed = await world.backup(strategy_id=await strategy(world), reservations=())
        await PooledQueue(database).operate(killed, Verb.KILL)
        urgent = await world.backup(reservations=())
        job = await held(world)
        await PooledQueue(database).step(urgent, job.fence, Verb.FAIL)

        assert await told(world) == []

    run(scenario)


async def fail_and_fall_over(database: Database, task: int, fence: int) -> None:
    """A transaction that moves the task, and is lost."""
    async with database.transaction() as db:
        await PostgresQueue(db).step(task, fence, Verb.FAIL)
        raise RuntimeError


def test_what_is_rolled_back_is_not_told(run):
    """The notification lives and dies with the move."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup(strategy_id=await strategy(world))
        job = await held(world)
        with pytest.raises(RuntimeError):
            await fail_and_fall_over(database, task, job.fence)
        assert await told(world) == []

        await PooledQueue(database).step(task, job.fence, Verb.FAIL)
        assert await told(world) == [("exception", "New", "operators")]

    run(scenario)
