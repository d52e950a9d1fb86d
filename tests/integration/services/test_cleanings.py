"""When a pool is cleaned, what the task is told, and when the next is due."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict
from rubackup.services import cleanings, dispatch, housekeeping
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, MEDIA, SERVER, World, change, insert

pytestmark = pytest.mark.postgres
AGED = "UPDATE pools SET created_at = now() - make_interval(days => $1)"


async def world_with_storage(database: Database, age_days: int = 31) -> World:
    """A pool of this age with a folder."""
    world = await World.build(database)
    async with database.connection() as db:
        await insert(db, "storage_local_catalogs", path="/data", pool_id=world.pool, media_server_id=world.media)
        await db.execute(AGED, age_days)
    return world


async def due(world: World) -> list[dict[str, bool]]:
    """What housekeeping queues now."""
    before = await world.value("SELECT coalesce(max(id), 0) FROM task_queue")
    await housekeeping.run(world.database)
    return await world.column("SELECT parameters FROM task_queue WHERE id > $1 AND task_type = 'Clean'", before)


async def claim(world: World) -> list[Job]:
    epoch = await world.value("SELECT epoch FROM leadership")
    return await dispatch.claim(world.database, epoch, SERVER, 60, 5)


async def finish(world: World, outcome: str = "done", damaged: tuple[str, ...] = ()) -> None:
    """The cleaning that is queued runs and ends."""
    (job,) = await claim(world)
    await dispatch.finished(
        world.database, job.task_id, job.fence, source="media", outcome=outcome, message="so", damaged=damaged
    )


@pytest.mark.parametrize(
    ("age", "keys", "expected"),
    [
        (29, {}, []),
        (30, {}, [{"blocks": True, "storages": True}]),
        (8, {"dedup_clean_period": 7}, [{"blocks": True, "storages": False}]),
        (8, {"filesystems_clean_period": 7}, [{"blocks": False, "storages": True}]),
        (30, {"dedup_clean_unused_blocks": "no"}, [{"blocks": False, "storages": True}]),
        (30, {"service_mode": True}, []),
    ],
)
def test_a_pool_is_cleaned_when_its_time_has_come(run, age, keys, expected):
    """Each kind has its period in days; blocks can be switched off, and the service mode stops both."""

    async def scenario(database: Database):
        world = await world_with_storage(database, age)
        await world.configure(**keys)

        assert await due(world) == expected
        assert await due(world) == []

    run(scenario)


def test_the_next_is_due_a_period_after_the_last(run):
    """When it was last done is durable; one that failed is queued again after a day."""

    async def scenario(database: Database):
        world = await world_with_storage(database)
        await due(world)
        await finish(world, "error")
        assert await due(world) == []
        await world.row("UPDATE pool_cleanings SET queued_at = now() - interval '1 day'")
        assert len(await due(world)) == 1
        await finish(world)
        await world.row("UPDATE pool_cleanings SET queued_at = now() - interval '2 days'")
        assert await due(world) == []
        await world.row("UPDATE pool_cleanings SET done_at = now() - interval '30 days'")
        assert len(await due(world)) == 1

    run(scenario)


def test_copies_that_lack_chunks_are_not_trusted(run):
    """The cleaning names them; those of other pools, unknown ones and nonsense change nothing, and it counts as done."""

    async def scenario(database: Database):
        world = await world_with_storage(database)
        copies = []
        for number in range(2):
            row = {
                "uuid": uuid.UUID(int=number + 1), "task_id": 1, "client_id": world.client, "client_hostname": "host",
                "client_hwid": CLIENT, "client_group_id": world.group, "pool_id": world.pool, "resource_type": "File system",
                "resource": "/home", "backup_type": "full", "crypto": "nocrypt", "size_bytes": 1, "stored_bytes": 1,
                "files": 1, "files_failed": 0, "created_at": dt.datetime.now(dt.UTC),
            }  # fmt: skip
            async with database.connection() as db:
                copies.append(await insert(db, "repository", **row))
        await due(world)
        await finish(world, damaged=(uuid.UUID(int=1).hex, uuid.UUID(int=9).hex, "no uuid"))
        status = "SELECT verification_status FROM repository WHERE id = $1"

        assert [await world.value(status, one) for one in copies] == ["Not Trusted", "Not Verified"]
        log = await world.column("SELECT text FROM repository_log WHERE record_id = $1", copies[0])
        assert "no pack of the pool has" in log[-1]
        assert await due(world) == []

    run(scenario)


def test_pools_that_cannot_be_cleaned_are_left_alone(run):
    """Without a folder, of a type that is not written to, or with their media server in local service mode."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.connection() as db:
            await insert(db, "pools", pool_name="Tape", pool_type="Tape library", media_server_id=world.media)
            await db.execute(AGED, 31)
        assert await due(world) == []
        async with database.connection() as db:
            await insert(db, "storage_local_catalogs", path="/data", pool_id=world.pool, media_server_id=world.media)
            await db.execute("UPDATE media_servers SET local_service_mode = true")
        assert await due(world) == []

    run(scenario)


def test_an_attempt_is_told_which_tasks_keep_what_they_sent(run):
    """Those that were handed out and are not over; what goes is overwritten where it is configured so."""

    async def scenario(database: Database):
        world = await world_with_storage(database)
        await world.configure(delete_archives_with_zeroing=False)
        running, over = await world.backup(), await world.backup(resource="/over", reservations=())
        jobs = {job.task_id: job for job in await claim(world)}
        await dispatch.fail(database, over, jobs[over].fence, "no")
        await world.backup(resource="/new", reservations=(), client_id=None)
        async with database.transaction() as db:
            (task,) = await cleanings.clean(change(db), world.pool)
        job = next(job for job in await claim(world) if job.task_id == task)

        assert (job.task_type, job.executor, job.media_hwid, job.record_uuid) == ("Clean", "media", MEDIA, "")
        assert job.parameters == {"blocks": True, "storages": True, "zeroing": False, "unfinished": [running]}

    run(scenario)


def test_one_cleaning_of_a_pool_at_a_time(run):
    """A second one is refused and names the first; it waits for the service window like a verification."""

    async def scenario(database: Database):
        world = await world_with_storage(database)
        await world.configure(service_window_start="00:00:00", service_window_end="00:00:00")
        async with database.transaction() as db:
            (task,) = await cleanings.clean(change(db), world.pool)
        with pytest.raises(Conflict, match=f"task {task}"):
            async with database.transaction() as db:
                await cleanings.clean(change(db), world.pool)

        assert await claim(world) == []
        assert "service window" in await world.value("SELECT message FROM task_queue")

    run(scenario)
