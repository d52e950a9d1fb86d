"""Which pool a backup goes into, decided when it is handed out."""

from __future__ import annotations

from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.services import dispatch, presence, unavailable
from rubackup.services.dispatch import Job
from rubackup.services.monitoring import FIGURES
from support.catalogue import CLIENT, MEDIA, SERVER, World, insert

pytestmark = pytest.mark.postgres
OTHER_MEDIA = "f" * 64


class Pools(World):
    """The pool A (`pool`) with substitutions B (same media server) and C (another one)."""

    b = c = other_media = 0

    @classmethod
    async def make(cls, database: Database, *, substitute: bool = True) -> Pools:
        world = await cls.build(database)
        assert isinstance(world, Pools)
        async with database.transaction() as db:
            keys = {"csr_pem": b"csr", "fingerprint": "f1"}
            world.other_media = await insert(
                db, "media_servers", hwid=OTHER_MEDIA, hostname="cellar", data_endpoint="10.0.0.2:9993", **keys
            )
            await db.execute("INSERT INTO media_presence (media_server_id) VALUES ($1)", world.other_media)
            await db.execute("UPDATE pools SET pool_name = 'A' WHERE id = $1", world.pool)
            fields = {"pool_type": "File system"}
            world.b = await insert(db, "pools", pool_name="B", media_server_id=world.media, **fields)
            world.c = await insert(db, "pools", pool_name="C", media_server_id=world.other_media, **fields)
            for pool, media in ((world.pool, world.media), (world.b, world.media), (world.c, world.other_media)):
                await db.execute(
                    "INSERT INTO storage_local_catalogs (path, pool_id, media_server_id) VALUES ($1, $2, $3)",
                    f"/srv/{pool}", pool, media,
                )  # fmt: skip
                await db.execute("INSERT INTO pool_state (pool_id, problem) VALUES ($1, '')", pool)
            for other in (world.b, world.c) if substitute else ():
                await db.execute(
                    "INSERT INTO pool_substitutions (pool_id, substitution_id) VALUES ($1, $2)", world.pool, other
                )
        await world.other_online()
        return world

    async def other_online(self) -> None:
        await presence.media_online(
            self.database, OTHER_MEDIA, SERVER, hostname="cellar", package_version="1", data_endpoint="10.0.0.2:9993"
        )

    async def problem(self, pool: int, text: str) -> None:
        await self.execute("UPDATE pool_state SET problem = $2 WHERE pool_id = $1", pool, text)

    async def execute(self, statement: str, *values: Any) -> None:
        async with self.database.transaction() as db:
            await db.execute(statement, *values)

    async def claim(self, limit: int = 5) -> list[Job]:
        epoch = await self.value("SELECT epoch FROM leadership")
        return await dispatch.claim(self.database, epoch, SERVER, 60, limit)

    async def log(self, task: int) -> str:
        return " ".join(await self.column("SELECT text FROM task_log WHERE task_id = $1 ORDER BY id", task))

    async def spread(self, *pools: int, **limits: int) -> int:
        """A dynamic pool group of these pools."""
        names = ("max_pool_tasks", "max_media_server_tasks", "max_cpu_usage", "max_in_block_operations",
                 "max_out_block_operations")  # fmt: skip
        async with self.database.transaction() as db:
            group = await insert(
                db, "dynamic_pool_groups", name="Spread", calculation_period=10, **{n: limits.get(n, 0) for n in names}
            )
            for pool in pools:
                await db.execute(
                    "INSERT INTO dynamic_pool_groups_records (group_id, pool_id) VALUES ($1, $2)", group, pool
                )
        return group

    async def copy(self) -> str:
        """A full copy in pool A; its uuid."""
        record = "0" * 31 + "1"
        await self.execute(
            "INSERT INTO repository (uuid, task_id, client_id, client_hostname, client_hwid, pool_id, resource_type, "
            "resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at) "
            "VALUES ($1::text::uuid, 1, $2, 'w', $3, $4, 'File system', '/home', 'full', 'nocrypt', 1, 1, 1, 0, now())",
            record, self.client, CLIENT, self.pool,
        )  # fmt: skip
        return record

    async def in_group(self, group: int, number: int) -> int:
        """A backup that the group places."""
        return await self.backup(pool_group_id=group, resource=f"/{number}", reservations=())

    async def measured(self, hwid: str, **figures: float) -> None:
        """A sample of the media server, of this moment."""
        values = [figures.get(name, 0.0) for name in FIGURES]
        marks = ", ".join(f"${n}" for n in range(2, 2 + len(values)))
        await self.execute(
            "INSERT INTO system_monitoring (hwid, hostname, server_type, timestamp_before, timestamp_after, "
            f"{', '.join(FIGURES)}) VALUES ($1, 'x', 'media server', now() - interval '1 second', now(), {marks})",
            hwid, *values,
        )  # fmt: skip


async def _nothing(world: Pools) -> None:
    pass


async def _problem(world: Pools) -> None:
    await world.problem(world.pool, "There is no room left in the pool: /srv/1 has 5 bytes free.")


async def _no_storage(world: Pools) -> None:
    await world.execute("DELETE FROM storage_local_catalogs WHERE pool_id = $1", world.pool)


async def _both_problems(world: Pools) -> None:
    await _problem(world)
    await world.problem(world.b, "The folder /srv/2 has lost its marker: is its disk mounted?")


async def _offline(world: Pools) -> None:
    await presence.media_offline(world.database, MEDIA, SERVER)


async def _service(world: Pools) -> None:
    await world.execute("UPDATE media_servers SET local_service_mode = true WHERE id = $1", world.media)


@pytest.mark.parametrize(
    ("wrong", "goes", "told"),
    [
        (_nothing, "A", ""),
        (_problem, "B", "no room left"),
        (_no_storage, "B", "it has no storage"),
        (_both_problems, "C", "no room left"),
        (_offline, "C", "media server vault is offline"),
        (_service, "C", "local service mode"),
    ],
)
def test_the_first_substitution_that_can_be_used_takes_the_place(run, wrong, goes, told):
    """In their order; the task, its log and an event name the real pool, and the reservation goes along."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        await wrong(world)
        task = await world.backup()
        (job,) = await world.claim()

        pools = {"A": world.pool, "B": world.b, "C": world.c}
        assert job.pool_id == pools[goes]
        assert job.media_hwid == (OTHER_MEDIA if goes == "C" else MEDIA)
        assert job.data_endpoint == ("10.0.0.2:9993" if goes == "C" else "10.0.0.1:9993")
        row = await world.row("SELECT pool_id, media_server_id, wanted_pool_id FROM task_queue WHERE id = $1", task)
        moved = goes != "A"
        assert row["pool_id"] == pools[goes]
        assert row["wanted_pool_id"] == (world.pool if moved else None)
        text = await world.log(task)
        assert (told in text and f"goes into pool {goes}, its substitution" in text) if moved else text == ""
        events = "SELECT count(*) FROM events WHERE family = 'task_queue' AND row_id = $1 AND data ? 'pool_id'"
        assert await world.value(events, task) == moved

    run(scenario)


def test_a_full_copy_is_made_in_the_other_pool(run):
    """What the incremental would build on lies in the pool that cannot be used: the log says that it becomes full."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        await world.copy()
        await _problem(world)
        task = await world.backup(backup_type="incremental")
        (job,) = await world.claim()

        assert (job.pool_id, job.backup_type, job.parent_uuid) == (world.b, "full", "")
        assert "becomes a full one" in await world.log(task)

    run(scenario)


def test_a_pool_that_can_be_used_again_gets_the_task_back(run):
    """At the next attempt; and without a substitution that works, the task stays with its own pool."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        await _problem(world)
        task = await world.backup()
        (job,) = await world.claim()
        await world.problem(world.pool, "")
        await dispatch.finished(database, task, job.fence, source="client", outcome="stopped")
        (job,) = await world.claim()
        assert job.pool_id == world.pool
        assert "can be used again" in await world.log(task)
        assert await world.value("SELECT wanted_pool_id FROM task_queue WHERE id = $1", task) is None

        await _both_problems(world)
        await world.problem(world.c, "away")
        await dispatch.finished(database, task, job.fence, source="client", outcome="stopped")
        (job,) = await world.claim()
        assert job.pool_id == world.pool

    run(scenario)


def test_a_pool_that_turns_out_to_be_full_hands_the_task_on(run):
    """Found by the media server at the beginning or in the middle: each pool is tried once, then the task ends in Error."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        task = await world.backup()
        went = []
        failed = False
        while not failed:
            (job,) = await world.claim()
            went.append(job.pool_id)
            failed = await dispatch.finished(
                database, task, job.fence, source="client", outcome="full", message="There is no room left in the pool."
            )
        assert went == [world.pool, world.b, world.c]
        assert await world.value("SELECT status FROM task_queue WHERE id = $1", task) == "Error"
        assert (await world.log(task)).count("There is no room left") == 3

    run(scenario)


def test_a_storage_that_failed_is_tried_once_more(run):
    """Its pool may have others; then a substitution follows."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        task = await world.backup()
        went = []
        for _ in range(3):
            (job,) = await world.claim()
            went.append(job.pool_id)
            await dispatch.finished(
                database, task, job.fence, source="client", outcome="storage", message="It is gone."
            )
            await world.execute("UPDATE task_queue SET not_before = NULL")
        assert went == [world.pool, world.pool, world.b]

    run(scenario)


def test_without_another_pool_a_full_one_ends_the_task(run):
    """As it always did; restores and verifications are never placed anew."""

    async def scenario(database: Database):
        world = await Pools.make(database, substitute=False)
        task = await world.backup()
        (job,) = await world.claim()
        assert await dispatch.finished(database, task, job.fence, source="client", outcome="full", message="Full.")
        assert await world.value("SELECT status FROM task_queue WHERE id = $1", task) == "Error"

    run(scenario)


def test_a_task_that_waits_for_its_media_server_is_woken_for_another_pool(run):
    """It was blocked while every pool was out of reach; one that comes is enough."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        await _offline(world)
        await presence.media_offline(database, OTHER_MEDIA, SERVER)
        task = await world.backup()
        assert await world.claim() == []
        assert await world.value("SELECT blocked_on FROM task_queue WHERE id = $1", task) == f"media:{MEDIA}"
        await dispatch.reap(database)
        assert await world.claim() == []
        await world.other_online()
        await dispatch.reap(database)
        (job,) = await world.claim()
        assert job.pool_id == world.c

    run(scenario)


def test_a_media_server_in_its_local_service_mode_is_handed_nothing(run):
    """Whatever the task: it waits, and goes on by itself."""

    async def scenario(database: Database):
        world = await Pools.make(database, substitute=False)
        task = await world.backup()
        await _service(world)
        assert await world.claim() == []
        assert "local service mode" in await world.log(task)
        await world.execute("UPDATE media_servers SET local_service_mode = false")
        await world.execute("UPDATE task_queue SET not_before = NULL")
        assert len(await world.claim()) == 1

    run(scenario)


# --- dynamic pool groups ---


def test_tasks_of_a_group_are_spread_by_load(run):
    """Each goes to the pool with the smallest used share of its limits, also those of one claim."""

    async def scenario(database: Database):
        world = await Pools.make(database, substitute=False)
        group = await world.spread(world.pool, world.b, world.c, max_pool_tasks=2)
        tasks = [await world.in_group(group, number) for number in range(7)]
        jobs = await world.claim(10)

        assert [job.pool_id for job in jobs].count(world.pool) == 2
        assert [job.pool_id for job in jobs].count(world.b) == 2
        assert [job.pool_id for job in jobs].count(world.c) == 2
        assert {job.pool_id for job in jobs[:3]} == {world.pool, world.b, world.c}
        (left,) = [task for task in tasks if task not in {job.task_id for job in jobs}]
        assert await world.value("SELECT blocked_on FROM task_queue WHERE id = $1", left) == f"group:{group}"
        assert "2 of 2 tasks at work" in await world.log(left)

        await dispatch.reap(database)
        assert await world.claim() == []
        await dispatch.finished(database, jobs[0].task_id, jobs[0].fence, source="client", outcome="error", message="x")
        await dispatch.reap(database)
        (job,) = await world.claim()
        assert (job.task_id, job.pool_id) == (left, jobs[0].pool_id)

    run(scenario)


@pytest.mark.parametrize(
    ("limits", "figures"),
    [
        ({"max_cpu_usage": 80}, {"general_cpu_usage": 90.0}),
        ({"max_in_block_operations": 100}, {"general_io_usage_r": 200_000.0}),
        ({"max_out_block_operations": 100}, {"general_io_usage_w": 200_000.0}),
    ],
)
def test_a_busy_media_server_gets_no_task_of_the_group(run, limits, figures):
    """By the average over the group's period; old samples count for nothing."""

    async def scenario(database: Database):
        world = await Pools.make(database, substitute=False)
        group = await world.spread(world.pool, world.c, **limits)
        await world.measured(MEDIA, **figures)
        await world.measured(OTHER_MEDIA, general_cpu_usage=10.0)
        await world.in_group(group, 1)
        assert [job.pool_id for job in await world.claim()] == [world.c]

        await world.measured(OTHER_MEDIA, **{name: 10 * value for name, value in figures.items()})
        task = await world.in_group(group, 2)
        assert await world.claim() == []
        assert f"of {next(iter(limits.values()))}" in await world.log(task)
        await world.execute("UPDATE system_monitoring SET timestamp_after = now() - interval '1 minute'")
        await dispatch.reap(database)
        assert len(await world.claim()) == 1

    run(scenario)


def test_members_that_cannot_be_used_are_passed_over(run):
    """Those with a problem, disabled ones, and one that failed this task; the limits of the media server hold for its pools."""

    async def scenario(database: Database):
        world = await Pools.make(database, substitute=False)
        group = await world.spread(world.pool, world.b, world.c, max_media_server_tasks=1)
        await _problem(world)
        first, second, third = [await world.in_group(group, number) for number in range(3)]
        jobs = await world.claim()
        assert [(job.task_id, job.pool_id) for job in jobs] == [(first, world.b), (second, world.c)]
        assert "on its media server" in await world.log(third)

        await dispatch.finished(database, first, jobs[0].fence, source="client", outcome="full", message="Full.")
        await world.execute("UPDATE dynamic_pool_groups_records SET enabled = false WHERE pool_id = $1", world.b)
        await dispatch.reap(database)
        assert await world.claim() == []
        assert "it could not take this backup" not in await world.log(third)
        await dispatch.finished(database, second, jobs[1].fence, source="client", outcome="error", message="x")
        await dispatch.reap(database)
        (job,) = await world.claim()
        assert (job.task_id, job.pool_id) == (first, world.c)

    run(scenario)


# --- copies that cannot be read ---


def test_copies_are_marked_while_what_they_need_is_away(run):
    """With the folders, a line in their log and an event; the mark goes when those are back."""

    async def scenario(database: Database):
        world = await Pools.make(database)
        record = await world.copy()
        assert await unavailable.pools(database, MEDIA) == []
        await world.execute("UPDATE pool_state SET away = '{/srv/a}' WHERE pool_id = $1", world.pool)
        assert await unavailable.pools(database, MEDIA) == [world.pool]
        await unavailable.mark(database, world.pool, [record])
        await unavailable.mark(database, world.pool, [record])
        assert await world.column("SELECT unavailable FROM repository") == ["/srv/a"]
        assert await unavailable.pools(database, MEDIA) == []
        await world.execute("UPDATE pool_state SET away = '{}' WHERE pool_id = $1", world.pool)
        assert await unavailable.pools(database, MEDIA) == [world.pool]
        await unavailable.mark(database, world.pool, [])
        assert await world.column("SELECT unavailable FROM repository") == [""]
        lines = await world.column("SELECT text FROM repository_log ORDER BY id")
        assert ["as long as /srv/a is away" in lines[0], "back" in lines[1], len(lines)] == [True, True, 2]

    run(scenario)
