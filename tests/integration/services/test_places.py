"""Places: no more tasks are at work than a client, a media server or a pool takes, whoever claims at the same time."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.catalog.database import Database
from rubackup.queue import claims
from rubackup.queue.ports import Reservation
from rubackup.queue.postgres import PooledQueue, PostgresQueue
from rubackup.services import dispatch, presence
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, MEDIA, SERVER, World, insert

pytestmark = pytest.mark.postgres
FULL = {
    "client": "UPDATE clients SET max_tasks = 2 RETURNING 'places:client:' || id",
    "agent": "UPDATE client_presence SET tasks_taken = 2 RETURNING 'places:client:' || client_id",
    "server": "UPDATE media_servers SET max_tasks = 2 RETURNING 'places:server:' || id",
    "sessions": "UPDATE media_presence SET sessions_taken = 2 RETURNING 'places:sessions:' || media_server_id",
    "pool": "UPDATE pools SET max_tasks = 2 RETURNING 'places:pool:' || id",
}


async def claim(world: World, limit: int = 10) -> list[Job]:
    """What can run now."""
    return await dispatch.claim(world.database, 0, SERVER, 60, limit)


async def backups(world: World, number: int, **fields: object) -> list[int]:
    """Backups that only places keep apart."""
    return [await world.backup(reservations=(), **fields) for _ in range(number)]


async def end(world: World, job: Job) -> None:
    """The task is through."""
    await dispatch.finished(world.database, job.task_id, job.fence, source="client", outcome="error", message="x")


@pytest.mark.parametrize("what", list(FULL))
def test_no_more_tasks_are_handed_out_than_there_are_places(run, what):
    """The rest waits, says for what, and comes one by one, higher priorities first, as places are free."""

    async def scenario(database: Database):
        world = await World.build(database)
        place = await world.value(FULL[what])
        tasks = await backups(world, 4)
        first = await claim(world)
        assert [job.task_id for job in first] == tasks[:2]
        row = await world.row("SELECT blocked_on, message FROM task_queue WHERE id = $1", tasks[2])
        assert row["blocked_on"] == place
        assert "at a time (2)" in row["message"]
        urgent = await world.backup(reservations=(), priority=200)
        assert await claim(world) == []

        await end(world, first[0])
        assert [job.task_id for job in await claim(world)] == [urgent]
        await end(world, first[1])
        assert [job.task_id for job in await claim(world)] == [tasks[2]]

    run(scenario)


def test_tasks_of_a_media_server_have_places_of_their_own(run):
    """Verifications do not take the sessions of clients, nor the places of clients."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row("UPDATE media_presence SET sessions_taken = 1, tasks_taken = 1 RETURNING 1")
        await world.row("UPDATE client_presence SET tasks_taken = 1 RETURNING 1")
        (backup,) = await backups(world, 1)
        record = await world.value(
            """INSERT INTO repository (uuid, task_id, client_id, client_hostname, client_hwid, pool_id, resource_type,
                   resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at)
               VALUES (gen_random_uuid(), 1, $1, 'w', $2, $3, 'File system', '/home', 'full', 'nocrypt', 1, 1, 1, 0,
                   now()) RETURNING id""",
            world.client, CLIENT, world.pool,
        )  # fmt: skip
        verifications = [await world.on_record(record) for _ in range(2)]

        assert [job.task_id for job in await claim(world)] == [backup, verifications[0]]

    run(scenario)


def test_two_claims_at_once_never_take_more_than_there_are_places(run):
    """Eight claimers, three places, over and over: the places are taken, never exceeded, and every task gets its turn."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row("UPDATE clients SET max_tasks = 3 RETURNING 1")
        await world.row("UPDATE pools SET max_tasks = 5 RETURNING 1")
        tasks = await backups(world, 24)
        done: list[int] = []
        held: list[Job] = []
        while len(done) < len(tasks):
            claims = [claim(world, 4) for _ in range(8)]
            ends = [end(world, job) for job in held[:2]]
            done += [job.task_id for job in held[:2]]
            del held[:2]
            found, _ = await asyncio.gather(asyncio.gather(*claims), asyncio.gather(*ends))
            held += [job for jobs in found for job in jobs]
            assert len(held) <= 3
            await dispatch.reap(database)
        assert sorted(done) == tasks

    run(scenario)


def test_two_claims_at_once_never_share_what_is_reserved(run):
    """Eight claimers, four tasks for each of three resources: of each resource one is at work, and all get their turn."""

    async def scenario(database: Database):
        world = await World.build(database)
        of = {}
        for number in range(12):
            name = f"r{number % 3}"
            of[await world.backup(reservations=(Reservation("resource", name, exclusive=True),))] = name
        done: list[int] = []
        held: list[Job] = []
        while len(done) < len(of):
            found = await asyncio.gather(*(claim(world, 2) for _ in range(8)), *(end(world, job) for job in held[:1]))
            done += [job.task_id for job in held[:1]]
            held = held[1:] + [job for jobs in found[:8] for job in jobs]
            names = [of[job.task_id] for job in held]
            assert len(names) == len(set(names))
        assert sorted(done) == sorted(of)

    run(scenario)


def test_a_raised_limit_wakes_who_waits(run):
    """At the next reaping, with nobody letting go."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row("UPDATE clients SET max_tasks = 1 RETURNING 1")
        tasks = await backups(world, 5)
        await claim(world)
        await world.row("UPDATE clients SET max_tasks = 3 RETURNING 1")
        await dispatch.reap(database)
        assert [job.task_id for job in await claim(world)] == tasks[1:3]
        await world.row("UPDATE clients SET max_tasks = 0 RETURNING 1")
        await dispatch.reap(database)

        assert [job.task_id for job in await claim(world)] == tasks[3:]

    run(scenario)


def test_a_claim_passes_over_those_without_a_place(run):
    """However many stand before a task of another client."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row("UPDATE clients SET max_tasks = 1 RETURNING 1")
        async with database.transaction() as db:
            other = await insert(
                db, "clients", hwid="f" * 16, hostname="other", group_id=world.group, csr_pem=b"", fingerprint="f"
            )
        await presence.client_online(database, "f" * 16, SERVER, hostname="other", package_version="1")
        tasks = await backups(world, 40)
        (last,) = await backups(world, 1, client_id=other)

        assert [job.task_id for job in await claim(world, 4)] == [tasks[0], last]

    run(scenario)


def test_a_client_with_a_long_queue_is_not_looked_at_task_by_task(run, monkeypatch):
    """Who finds no place on a client many times has all its tasks near the head wait; they come in their order as places are free."""
    monkeypatch.setattr(claims, "LOTS", 2)
    monkeypatch.setattr(claims, "LOT", 32)

    async def scenario(database: Database):
        world = await World.build(database)
        place = await world.value(FULL["client"])
        key = Reservation("record", "7", exclusive=True)
        tasks = await backups(world, 100)
        last = await world.backup(reservations=(key,))
        other = await world.backup(executor="media", task_type="Clean", reservations=(key,))
        await world.row("UPDATE task_queue SET blocked_on = 'record:7' WHERE id = $1 RETURNING 1", other)
        first = await claim(world)
        waiting = await world.column(
            "SELECT DISTINCT blocked_on FROM task_queue WHERE id = ANY ($1)", [*tasks[2:], last]
        )

        assert [job.task_id for job in [*first, *await claim(world)]] == [*tasks[:2], other]
        assert waiting == [place]
        await end(world, first[0])
        assert [job.task_id for job in await claim(world)] == tasks[2:3]

    run(scenario)


def test_hosts_say_how_many_tasks_they_take(run):
    """What they say last counts; who says nothing has no limit."""

    async def scenario(database: Database):
        world = await World.build(database)
        told = {"hostname": "vault", "package_version": "1", "data_endpoint": "10.0.0.1:9993"}
        await presence.media_online(database, MEDIA, SERVER, tasks=4, sessions=56, **told)
        await presence.client_online(database, CLIENT, SERVER, hostname="w", package_version="1", tasks=8)
        assert tuple(await world.row("SELECT tasks_taken, sessions_taken FROM media_presence")) == (4, 56)
        assert await world.value("SELECT tasks_taken FROM client_presence") == 8
        await presence.client_online(database, CLIENT, SERVER, hostname="w", package_version="1", tasks=-1)
        assert await world.value("SELECT tasks_taken FROM client_presence") is None

    run(scenario)


def test_a_killed_task_gives_its_place_back(run):
    """At once, without waiting for its worker."""

    async def scenario(database: Database):
        from rubackup.domain.tasks import Verb

        world = await World.build(database)
        await world.row("UPDATE clients SET max_tasks = 1 RETURNING 1")
        first, second = await backups(world, 2)
        await claim(world)
        async with database.transaction() as db:
            await PostgresQueue(db).operate(first, Verb.KILL)

        assert [job.task_id for job in await claim(world)] == [second]
        assert (await PooledQueue(database).status(first)).label == "Killed"

    run(scenario)


async def spare(world: World, **fields: object) -> int:
    """Another pool with a folder on the same media server."""
    async with world.database.transaction() as db:
        pool = await insert(
            db, "pools", pool_name="Spare", pool_type="File system", media_server_id=world.media, **fields
        )
        for one in (pool, world.pool):
            await insert(db, "storage_local_catalogs", path=f"/srv/{one}", pool_id=one, media_server_id=world.media)
            await db.execute("INSERT INTO pool_state (pool_id, problem) VALUES ($1, '') ON CONFLICT DO NOTHING", one)
    return pool


def test_a_group_gives_no_pool_more_than_it_takes(run):
    """The other member gets the rest, and what none of them takes waits for the group."""

    async def scenario(database: Database):
        world = await World.build(database)
        other = await spare(world, max_tasks=1)
        await world.row("UPDATE pools SET max_tasks = 2 WHERE id = $1 RETURNING 1", world.pool)
        async with database.transaction() as db:
            group = await insert(
                db, "dynamic_pool_groups", name="both", max_pool_tasks=0, max_media_server_tasks=0, max_cpu_usage=0,
                max_in_block_operations=0, max_out_block_operations=0, calculation_period=10,
            )  # fmt: skip
            for pool in (world.pool, other):
                await insert(db, "dynamic_pool_groups_records", group_id=group, pool_id=pool)
        await backups(world, 5, pool_group_id=group)
        jobs = await claim(world)

        assert sorted(job.pool_id for job in jobs) == sorted([world.pool, world.pool, other])
        waiting = await world.column("SELECT blocked_on FROM task_queue WHERE status = 'New'")
        assert waiting == [f"group:{group}"] * 2
        await end(world, jobs[0])
        await dispatch.reap(database)
        assert len(await claim(world)) == 1

    run(scenario)


def test_a_substitution_takes_no_more_than_it_has_places(run):
    """What the pool cannot take and its substitution has no place for waits."""

    async def scenario(database: Database):
        world = await World.build(database)
        other = await spare(world, max_tasks=1)
        async with database.transaction() as db:
            await insert(db, "pool_substitutions", pool_id=world.pool, substitution_id=other)
            await db.execute("UPDATE pool_state SET problem = 'It is full.' WHERE pool_id = $1", world.pool)
        await backups(world, 2)

        assert [job.pool_id for job in await claim(world, 1)] == [other]
        await claim(world, 1)
        assert await world.column("SELECT pool_id FROM task_queue ORDER BY id") == [other, world.pool]

    run(scenario)
