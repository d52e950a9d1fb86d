"""Catalogue and pool are made to agree after the catalogue was set back."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict
from rubackup.services import cleanings, deletion, leadership, pools, reconciliation
from rubackup.services.leadership import Leadership
from rubackup.services.pools import PoolReport
from rubackup.services.ports import PoolRecord
from rubackup.services.reconciliation import Listing, Reconciliation
from support.catalogue import CLIENT, MEDIA, SERVER, World, change, insert

pytestmark = pytest.mark.postgres
FULL, INCREMENT, STRANGER = (uuid.UUID(int=n).hex for n in (1, 2, 3))


def record(name: str, **fields: Any) -> PoolRecord:
    """A record of the world's client that lies in the pool."""
    good = {
        "record": name, "parent": "", "task_id": 7, "client_hwid": CLIENT, "resource_type": "File system", "resource": "/home",
        "backup_type": "full", "files": 3, "files_failed": 1, "size_bytes": 100, "stored_bytes": 50,
        "sealed_at_ns": 1_700_000_000_000_000_000,
    }  # fmt: skip
    return PoolRecord(**(good | fields))


async def run_it(world: World, records: list[PoolRecord], *, apply: bool = True) -> Reconciliation:
    async with world.database.transaction() as db:
        listing = Listing((await reconciliation.facts(db, world.pool))["asked_at"], records)
        return await reconciliation.reconcile(change(db), world.pool, listing, apply=apply)


async def listed(world: World, name: str = STRANGER) -> int:
    """A copy of the catalogue that is older than the test."""
    async with world.database.connection() as db:
        return await insert(
            db, "repository", uuid=uuid.UUID(name), task_id=1, client_id=world.client, client_hostname="workstation",
            client_hwid=CLIENT, pool_id=world.pool, resource_type="File system", resource="/etc", backup_type="full",
            crypto="nocrypt", size_bytes=1, stored_bytes=1, files=1, files_failed=0,
            created_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=1),
        )  # fmt: skip


def test_what_lies_in_the_pool_is_adopted(run):
    """With client, parent and figures as its seal says; a client that is gone is known by its hardware id."""

    async def scenario(database: Database):
        world = await World.build(database)
        strange = record(STRANGER, client_hwid="f" * 16)
        found = await run_it(world, [record(INCREMENT, parent=FULL, backup_type="incremental"), record(FULL), strange])
        rows = {row: await world.row("SELECT * FROM repository WHERE uuid = $1", uuid.UUID(row)) for row in
                (FULL, INCREMENT, STRANGER)}  # fmt: skip

        assert (found.applied, found.found, found.lost) == (True, 3, 0)
        assert rows[INCREMENT]["parent_id"] == rows[FULL]["id"]
        assert (rows[FULL]["client_id"], rows[FULL]["client_hostname"]) == (world.client, "workstation")
        assert (rows[STRANGER]["client_id"], rows[STRANGER]["client_hostname"]) == (None, "f" * 16)
        assert (rows[FULL]["files"], rows[FULL]["size_bytes"], rows[FULL]["stored_bytes"]) == (3, 100, 50)
        assert rows[FULL]["verification_status"] == "Not Verified"
        assert await world.value("SELECT count(*) FROM repository_log WHERE action = 'created'") == 3

    run(scenario)


def test_what_is_adopted_is_kept_as_its_task_a_rule_or_the_pool_says(run):
    """In this order, never longer than the pool keeps copies; the answer and the copy's log tell which it was."""

    async def scenario(database: Database):
        world = await World.build(database)
        begun = dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)
        await world.row("UPDATE pools SET retention_period = '100 days' WHERE id = $1", world.pool)
        task = await world.backup(record_uuid=str(uuid.UUID(FULL)))
        await world.row("UPDATE task_queue SET status = 'Done', storage_duration = '10 days' WHERE id = $1", task)
        for days in (20, 30):
            async with database.connection() as db:
                await insert(
                    db, "global_schedule", name="rule", client_id=world.client, resource_type="File system",
                    resource="/home", backup_type="full", pool_id=world.pool, storage_duration=f"{days} days",
                )  # fmt: skip
        lie = [record(FULL), record(INCREMENT), record(STRANGER, resource="/etc")]
        dry = await run_it(world, lie, apply=False)
        found = await run_it(world, lie)

        expected = [("task", 10), ("rule", 30), ("pool", 100)]
        wanted = [(source, begun + dt.timedelta(days=days)) for source, days in expected]
        assert [(one.kept_by, one.store_until) for one in dry.found_records] == wanted
        assert dry.found_records == found.found_records
        assert await world.column("SELECT store_until FROM repository ORDER BY uuid") == [until for _, until in wanted]
        texts = await world.column("SELECT text FROM repository_log WHERE action = 'created' ORDER BY record_uuid")
        assert [text.rpartition("). ")[2] for text in texts] == [
            "Kept as its task says.",
            "Kept as the rule for its resource says.",
            "Kept as long as the pool keeps copies.",
        ]

    run(scenario)


def test_without_any_word_a_copy_is_kept_until_it_is_deleted(run):
    """A pool may keep copies for ever; its bound holds for what a task says, too."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row("UPDATE pools SET retention_period = NULL WHERE id = $1", world.pool)
        (forever,) = (await run_it(world, [record(FULL)])).found_records
        await world.row("UPDATE pools SET retention_period = '1 day' WHERE id = $1", world.pool)
        task = await world.backup(record_uuid=str(uuid.UUID(INCREMENT)))
        await world.row("UPDATE task_queue SET status = 'Done', storage_duration = '10 days' WHERE id = $1", task)
        (short,) = (await run_it(world, [record(FULL), record(INCREMENT)])).found_records

        assert (forever.kept_by, forever.store_until) == ("nothing", None)
        assert (short.kept_by, short.store_until) == ("task", dt.datetime.fromtimestamp(1_700_086_400, dt.UTC))

    run(scenario)


def test_what_the_pool_has_lost_is_marked(run):
    """It is not trusted, and its log says why; what is there stays as it is."""

    async def scenario(database: Database):
        world = await World.build(database)
        lost, kept = await listed(world), await listed(world, FULL)
        found = await run_it(world, [record(FULL)])

        assert [one.id for one in found.lost_records] == [lost]
        status = "SELECT verification_status FROM repository WHERE id = $1"
        assert await world.value(status, lost) == "Not Trusted"
        assert await world.value(status, kept) == "Not Verified"
        assert "does not have" in await world.value("SELECT text FROM repository_log WHERE record_id = $1", lost)

    run(scenario)


def test_a_dry_run_changes_nothing_and_a_second_run_finds_nothing(run):
    """What is found is the same in both; once applied nothing new is found."""

    async def scenario(database: Database):
        world = await World.build(database)
        dry = await run_it(world, [record(FULL)], apply=False)
        assert (dry.applied, dry.found) == (False, 1)
        assert await world.value("SELECT count(*) FROM repository") == 0
        assert (await run_it(world, [record(FULL)])).found == 1
        assert (await run_it(world, [record(FULL)])).found == 0
        assert await world.value("SELECT count(*) FROM repository") == 1

    run(scenario)


def test_what_is_being_written_or_was_deleted_is_not_adopted(run):
    """A record whose task is not over is reported by its media server; a deleted one waits for its tombstone."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup(record_uuid=str(uuid.UUID(FULL)))
        await world.row(
            "INSERT INTO record_tombstones (uuid, pool_id) VALUES ($1, $2)", uuid.UUID(INCREMENT), world.pool
        )

        assert (await run_it(world, [record(FULL), record(INCREMENT)])).found == 0

    run(scenario)


def test_nothing_is_deleted_until_the_pool_was_reconciled(run):
    """The media server says that it does not know the catalogue; once reconciled it is told, until it agrees."""

    async def scenario(database: Database):
        world = await World.build(database)
        copy = await listed(world)

        async def report(*, reconciled: bool) -> None:
            state = PoolReport(
                id=world.pool, problem="", free_bytes=5, used_bytes=6, total_bytes=11, chunks=7, reconciled=reconciled
            )
            await pools.report(database, MEDIA, [state])

        async def told() -> bool:
            return (await pools.configuration(database, MEDIA))[0].reconciled

        await report(reconciled=False)
        async with database.transaction() as db:
            with pytest.raises(Conflict, match="reconcile --apply"):
                await deletion.refuse(db, [copy])
            with pytest.raises(Conflict, match="reconcile --apply"):
                await cleanings.clean(change(db), world.pool)
        before = await told()
        await run_it(world, [])
        wanted = await told()
        await report(reconciled=True)

        assert (before, wanted, await told()) == (False, True, False)
        async with database.transaction() as db:
            await deletion.refuse(db, [copy])

    run(scenario)


def test_a_contact_has_the_next_number_once_it_was_confirmed(run):
    """Until a pool that knows the catalogue has confirmed it, it is the same again; a lower one changes nothing."""

    async def scenario(database: Database):
        world = await World.build(database)

        async def after(contact: int, *, reconciled: bool = True) -> int:
            state = PoolReport(
                id=world.pool, problem="", free_bytes=5, used_bytes=6, total_bytes=11, chunks=7,
                reconciled=reconciled, contact=contact,
            )  # fmt: skip
            await pools.report(database, MEDIA, [state])
            numbers = await pools.contacts(database, MEDIA)
            assert numbers == [(row.id, row.contact) for row in await pools.configuration(database, MEDIA)]
            return dict(numbers)[world.pool]

        first = dict(await pools.contacts(database, MEDIA))[world.pool]
        assert (first, await after(1), await after(1), await after(2)) == (1, 2, 2, 3)
        assert (await after(9, reconciled=False), await after(1)) == (3, 3)

    run(scenario)


def test_each_take_over_has_a_name_of_its_own(run):
    """Names stay; those of epochs that a restored dump has ahead of it are not known."""

    async def scenario(database: Database):
        await World.build(database)
        leader = Leadership(database)
        for _ in range(3):
            await leader.take(SERVER)
            await leader.release()
        names = await leadership.terms(database)
        async with database.connection() as db:
            await db.execute("UPDATE leadership SET epoch = 1")
        await leader.take(SERVER)
        await leader.release()
        after = await leadership.terms(database)

        assert [epoch for epoch, _ in names] == [1, 2, 3]
        assert len({name for _, name in names}) == 3
        assert [epoch for epoch, _ in after] == [1, 2]
        assert after[0] == names[0]
        assert after[1] != names[1]

    run(scenario)
