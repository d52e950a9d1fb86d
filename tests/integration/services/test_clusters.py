"""Clustered client groups: another member does what one cannot be given."""

from __future__ import annotations

import pytest

from rubackup.catalog.database import Database
from rubackup.services import dispatch, presence, tasks
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, OTHER_CLIENT, SERVER, World, insert

pytestmark = pytest.mark.postgres
THIRD = "00000000000000cc"


async def member(world: World, hwid: str, *, types: tuple[str, ...] = ("File system",)) -> int:
    """Another client of the group, online."""
    async with world.database.transaction() as db:
        found = await insert(
            db, "clients", hwid=hwid, hostname=f"node-{hwid[-2:]}", group_id=world.group, csr_pem=b"", fingerprint="f"
        )
    await presence.client_online(
        world.database, hwid, SERVER, hostname=f"node-{hwid[-2:]}", package_version="1", resource_types=types
    )
    return found


async def cluster(world: World, attempts: int = 1) -> None:
    """The group is clustered, and its first client is away."""
    await world.row("UPDATE client_groups SET clustered = true, launch_attempts_limit = $1 RETURNING 1", attempts)
    await presence.client_offline(world.database, CLIENT, SERVER)


async def backup(world: World) -> int:
    """A backup as the API queues it."""
    reservations = tasks.backup_reservations(world.client, "File system", "/home", world.pool)
    return await world.backup(reservations=reservations)


async def claim(world: World) -> list[Job]:
    """What can run now."""
    return await dispatch.claim(world.database, 0, SERVER, 60, 5)


async def launch_again(world: World) -> list[Job]:
    """As `claim`, after the pause between two launches."""
    await world.row("UPDATE task_queue SET not_before = NULL RETURNING 1")
    return await claim(world)


def test_another_member_takes_over_after_so_many_launches(run):
    """Not before, and then at once; its reservation is for the new client, and the log says so."""

    async def scenario(database: Database):
        world = await World.build(database)
        other = await member(world, OTHER_CLIENT)
        await cluster(world, attempts=3)
        task = await backup(world)
        assert await claim(world) == []
        assert await launch_again(world) == []
        (job,) = await launch_again(world)

        assert (job.task_id, job.client_hwid) == (task, OTHER_CLIENT)
        row = await world.row("SELECT client_id, launches_failed, attempt FROM task_queue")
        assert tuple(row) == (other, 0, 1)
        assert (
            await world.value("SELECT key FROM task_reservations WHERE kind = 'resource'")
            == f"{other}:File system:/home"
        )
        lines = await world.column("SELECT text FROM task_log ORDER BY id")
        assert any("takes it over" in line for line in lines)

    run(scenario)


def test_a_member_that_cannot_do_it_is_passed_over(run):
    """One that is offline, or does not serve the resource type; the one with the fewest tasks at work is taken."""

    async def scenario(database: Database):
        world = await World.build(database)
        await member(world, OTHER_CLIENT, types=("LVM logical volume",))
        busy, idle = await member(world, THIRD), await member(world, "00000000000000dd")
        await member(world, "00000000000000ee")
        await presence.client_offline(database, "00000000000000ee", SERVER)
        at_work = await world.backup(client_id=busy, reservations=())
        assert [job.task_id for job in await claim(world)] == [at_work]
        await cluster(world)
        await backup(world)
        (job,) = await claim(world)

        assert await world.value("SELECT client_id FROM task_queue WHERE id = $1", job.task_id) == idle

    run(scenario)


@pytest.mark.parametrize("why", ["not clustered", "nobody else"])
def test_without_another_member_the_task_waits_for_its_client(run, why):
    """As in any other group; a member that comes later takes it over."""

    async def scenario(database: Database):
        world = await World.build(database)
        if why == "not clustered":
            await member(world, OTHER_CLIENT)
        await cluster(world)
        if why == "not clustered":
            await world.row("UPDATE client_groups SET clustered = false RETURNING 1")
        task = await backup(world)
        assert await claim(world) == []
        assert await world.value("SELECT blocked_on FROM task_queue") == f"client:{CLIENT}"
        await dispatch.reap(database)
        assert await claim(world) == []
        if why == "nobody else":
            await member(world, OTHER_CLIENT)
            await dispatch.reap(database)
            assert [job.client_hwid for job in await claim(world)] == [OTHER_CLIENT]
        else:
            await world.client_online()
            assert [job.task_id for job in await claim(world)] == [task]

    run(scenario)


def test_a_client_that_is_online_and_does_not_take_the_order_counts_too(run):
    """And one that takes it starts the count anew."""

    async def scenario(database: Database):
        world = await World.build(database)
        await member(world, OTHER_CLIENT)
        await cluster(world, attempts=2)
        await world.client_online()
        task = await backup(world)
        (job,) = await claim(world)
        await dispatch.wait_for(database, task, job.fence, f"client:{CLIENT}", "not connected")
        (job,) = await launch_again(world)
        assert job.client_hwid == CLIENT
        await dispatch.accepted(database, task, job.fence)
        assert await world.value("SELECT launches_failed FROM task_queue") == 0
        await dispatch.finished(database, task, job.fence, source="client", outcome="stopped")
        for _ in range(2):
            (job,) = await launch_again(world)
            await dispatch.wait_for(database, task, job.fence, f"client:{CLIENT}", "not connected")

        assert [one.client_hwid for one in await launch_again(world)] == [OTHER_CLIENT]

    run(scenario)
