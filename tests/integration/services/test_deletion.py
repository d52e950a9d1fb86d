"""What goes with a deleted copy, and what keeps one from being deleted."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict
from rubackup.domain.permissions import Principal, Role
from rubackup.services import deletion, housekeeping
from support.catalogue import CLIENT, OTHER_CLIENT, SUPERUSER, World, change, insert

pytestmark = pytest.mark.postgres
NOW = dt.datetime.now(dt.UTC)


async def record(world: World, parent: int | None = None, **fields: Any) -> int:
    """A copy of the world's client."""
    row = {
        "uuid": uuid.uuid4(), "task_id": 1, "client_id": world.client, "client_hostname": "workstation",
        "client_hwid": CLIENT, "client_group_id": world.group, "pool_id": world.pool, "resource_type": "File system",
        "resource": "/home", "backup_type": "full" if parent is None else "incremental", "crypto": "nocrypt",
        "size_bytes": 1, "stored_bytes": 1, "files": 1, "files_failed": 0, "created_at": NOW, "parent_id": parent,
    }  # fmt: skip
    async with world.database.transaction() as db:
        return await insert(db, "repository", **(row | fields))


async def delete(world: World, *ids: int, principal: Principal = SUPERUSER) -> Any:
    """Delete copies; the change."""
    async with world.database.transaction() as db:
        work = change(db, principal)
        await deletion.delete_records(work, ids)
        return work


async def left(world: World) -> list[int]:
    """The ids of the copies that are there."""
    return await world.column("SELECT id FROM repository ORDER BY id")


def test_what_builds_on_a_copy_goes_with_it_where_it_is_configured_so(run):
    """The whole chain below it, each with its tombstone and its line in the log; others stay."""

    async def scenario(database: Database):
        world = await World.build(database)
        root = await record(world)
        middle = await record(world, root)
        leaf = await record(world, middle)
        other = await record(world)
        work = await delete(world, middle)

        assert await left(world) == [root, other]
        assert work.row_ids == [middle, leaf]
        assert await world.value("SELECT count(*) FROM record_tombstones") == 2
        log = await world.column("SELECT action FROM repository_log WHERE record_id = $1 ORDER BY id", leaf)
        assert log == ["chain", "deleted"]

    run(scenario)


def test_without_it_what_builds_on_a_copy_stays_with_a_broken_chain(run):
    """Each restores by itself; the row says that its chain is broken."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(repository_remove_chain="no")
        root = await record(world)
        middle = await record(world, root)
        leaf = await record(world, middle)
        await delete(world, root)

        assert await left(world) == [middle, leaf]
        assert await world.column("SELECT chain_broken FROM repository") == [True, True]
        assert await world.column("SELECT parent_id FROM repository ORDER BY id") == [None, middle]

    run(scenario)


def test_an_archive_goes_only_when_it_is_named(run):
    """Neither with the chain nor by itself; what its chain becomes is only said."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(auto_delete_archive_from_broken_chain="yes")
        root = await record(world)
        archive = await record(world, root, archiving=True)
        await delete(world, root)
        await housekeeping.run(database)
        assert await left(world) == [archive]

        await delete(world, archive)
        assert await left(world) == []

    run(scenario)


def test_copies_of_broken_chains_go_by_themselves_where_it_is_configured_so(run):
    """Housekeeping deletes them, save what is locked, in use, or kept by another rule; not in service mode."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(repository_remove_chain="no")
        root = await record(world)
        free = await record(world, root)
        locked = await record(world, root, locked_until=NOW + dt.timedelta(days=1))
        used = await record(world, root)
        last = await record(world, root, rule_id=await rule(world, "rule_id"))
        await world.on_record(used)
        await delete(world, root)
        assert (await housekeeping.run(database)).copies == 0
        await world.configure(auto_delete_archive_from_broken_chain="yes", service_mode=True)
        assert (await housekeeping.run(database)).copies == 0
        await world.row("DELETE FROM global_configuration WHERE key = 'service_mode' RETURNING 1")

        assert (await housekeeping.run(database)).copies == 1
        assert await left(world) == [locked, used, last]
        line = await world.row("SELECT user_name, text FROM repository_log WHERE record_id = $1", free)
        assert line["user_name"] == ""
        assert "auto_delete_archive_from_broken_chain" in line["text"]

    run(scenario)


def test_a_chain_with_a_copy_that_must_stay_stays_whole(run):
    """All or nothing: a locked copy below keeps the one above."""

    async def scenario(database: Database):
        world = await World.build(database)
        root = await record(world)
        leaf = await record(world, root, locked_until=NOW + dt.timedelta(days=1))
        with pytest.raises(Conflict, match=f"locked against deletion: {leaf}"):
            await delete(world, root)

        assert await left(world) == [root, leaf]

    run(scenario)


def test_a_chain_that_reaches_into_another_client_group_stays(run):
    """An administrator deletes nothing that is not his, and does not learn what it is."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.transaction() as db:
            foreign = await insert(db, "client_groups", name="foreign")
        root = await record(world)
        leaf = await record(world, root, client_id=None, client_group_id=foreign)
        admin = Principal(2, "admin", frozenset({Role.ADMINISTRATOR}), client_group_ids=(world.group,))
        with pytest.raises(Conflict, match="another client group"):
            await delete(world, root, principal=admin)
        assert await left(world) == [root, leaf]
        await delete(world, root)

        assert await left(world) == []

    run(scenario)


def test_no_copy_is_deleted_before_its_time(run):
    """`mandatory_storage_time` counts in days from the creation, also for a copy that was copied since."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(mandatory_storage_time=10)
        young = await record(world, created_at=NOW - dt.timedelta(days=9, hours=23))
        old = await record(world, created_at=NOW - dt.timedelta(days=10, hours=1))
        with pytest.raises(Conflict, match=f"10 days old: {young}"):
            await delete(world, young, old)
        await delete(world, old)

        assert await left(world) == [young]

    run(scenario)


async def rule(world: World, column: str) -> int:
    """A rule of the global schedule, or of a strategy; its id."""
    shared = {"client_id": world.client, "resource_type": "File system", "resource": "/home"}
    groups = ("inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify",
              "notify_strategy_validity", "notify_end_storage_capacity")  # fmt: skip
    async with world.database.transaction() as db:
        if column == "rule_id":
            more = {"name": "r", "pool_id": world.pool, "backup_type": "full", "storage_duration": "1 day", "min": "0"}
            return await insert(db, "global_schedule", **shared, **more)
        nobody = await db.fetchval("SELECT id FROM user_groups WHERE name = 'Nobody'")
        told = {f"{one}_group_id": nobody for one in groups}
        strategy = await insert(db, "backup_strategies", name="s", pool_id=world.pool, **told)
        return await insert(db, "strategy_rules", strategy_id=strategy, **shared)


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("rule_id", "dont_delete_last_gs_rule_archive"),
        ("strategy_rule_id", "dont_delete_last_strategy_rule_archive"),
    ],
)
def test_the_last_good_copy_of_a_rule_is_kept(run, column, key):
    """One that was found damaged does not count as left; a rule that is gone keeps none, without the key nothing is kept."""

    async def scenario(database: Database):
        world = await World.build(database)
        number = await rule(world, column)
        first, second = [await record(world, **{column: number}) for _ in range(2)]
        bad = await record(world, **{column: number}, verification_status="Not Trusted")
        orphan = await record(world, **{column: number + 1})
        with pytest.raises(Conflict, match=key):
            await delete(world, first, second)
        await delete(world, first)
        with pytest.raises(Conflict, match=f"{second} .*rule {number}"):
            await delete(world, second)
        await delete(world, orphan)
        await world.configure(**{key: False})
        await delete(world, second)

        assert await left(world) == [bad]

    run(scenario)


def test_a_rule_of_a_group_keeps_the_last_copy_of_each_client(run):
    """Good copies of another client are no comfort to this one."""

    async def scenario(database: Database):
        world = await World.build(database)
        number = await rule(world, "rule_id")
        mine = await record(world, rule_id=number)
        others = await record(world, rule_id=number, client_hwid=OTHER_CLIENT, client_id=None)

        with pytest.raises(Conflict, match="dont_delete_last_gs_rule_archive"):
            await delete(world, mine)
        assert await left(world) == [mine, others]

    run(scenario)


def test_copies_that_must_stay_do_not_keep_others_of_broken_chains_from_going(run, monkeypatch):
    """One at a time is looked at, and the one that may go comes last."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(auto_delete_archive_from_broken_chain="yes")
        monkeypatch.setattr(deletion, "AT_ONCE", 1)
        used = await record(world, chain_broken=True)
        await world.on_record(used)
        await record(world, chain_broken=True)
        for _ in range(60):  # one that were always the same would stay; by chance the other has its turn
            async with database.transaction() as db:
                await deletion.remove_broken(db)

        assert await left(world) == [used]

    run(scenario)
