"""Who hears that something lies in the emergency storage, and where that is."""

from __future__ import annotations

import datetime as dt

import pytest

from rubackup.catalog.database import Database
from rubackup.services import configuration, dispatch, emergency, pools, records
from rubackup.services.pools import EmergencyReport, PoolReport
from rubackup.services.records import Sealed
from support.catalogue import CLIENT, MEDIA, SERVER, World, insert

pytestmark = pytest.mark.postgres

LASTING, EMPTIED = "/srv/spare/0123", "/tmp/spare/0123"


async def copy(world: World, path: str, **fields: object) -> int:
    """A backup that is sealed with 57 bytes at this place; its task."""
    task = await world.backup(**fields)
    epoch = await world.value("SELECT epoch FROM leadership")
    (job,) = await dispatch.claim(world.database, epoch, SERVER, 60, 1)
    facts = Sealed(
        task_id=job.task_id, fence=job.fence, pool_id=world.pool, media_hwid=MEDIA, record=job.record_uuid,
        parent="", client_hwid=CLIENT, resource_type="File system", resource="/home", backup_type="full", files=3,
        files_failed=0, size_bytes=100, stored_bytes=40, sealed_at=dt.datetime.now(dt.UTC),
        emergency=path, emergency_bytes=57 if path else 0, emergency_reason="/a has 3 bytes free." if path else "",
    )  # fmt: skip
    assert await records.seal(world.database, facts)
    return task


@pytest.mark.parametrize(("path", "danger"), [(LASTING, False), (EMPTIED, True)])
def test_a_copy_tells_in_message_log_and_event(run, path: str, danger: bool):
    """Bytes, pool, path and reason, and that hosts empty the place where they do."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await copy(world, path)

        message = await world.value("SELECT message FROM task_queue WHERE id = $1", task)
        for part in ("57 bytes", "emergency storage of pool Default", path, "Why: /a has 3 bytes free."):
            assert part in message
        assert ("Hosts empty /tmp when they boot" in message) == danger
        line = await world.row("SELECT level, text FROM task_log WHERE task_id = $1 AND text LIKE '%emergency%'", task)
        assert line["level"] == "warning"
        assert path in line["text"]
        event = await world.row("SELECT * FROM events WHERE kind = 'emergency'")
        assert (event["family"], event["row_id"], event["data"]["bytes"]) == ("pool_list", world.pool, 57)
        assert event["data"]["path"] == path

    run(scenario)


def test_a_copy_in_the_pool_says_nothing(run):
    """No warning, no event."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await copy(world, "")
        assert "emergency" not in await world.value("SELECT message FROM task_queue WHERE id = $1", task)
        assert await world.column("SELECT level FROM task_log WHERE level <> 'info'") == []
        assert await world.column("SELECT 1 FROM events WHERE kind = 'emergency'") == []

    run(scenario)


def test_those_who_are_told_of_failures_are_told(run):
    """A good copy in a bad place is a notification of both kinds."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.transaction() as db:
            nobody = await db.fetchval("SELECT id FROM user_groups WHERE name = 'Nobody'")
            groups = {
                f"{one}_group_id": nobody
                for one in (
                    "inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify",
                    "notify_strategy_validity", "notify_end_storage_capacity",
                )
            }  # fmt: skip
            number = await insert(
                db, "backup_strategies", name="nightly", pool_id=world.pool, notify_exception_cc="boss@example.org", **groups
            )  # fmt: skip
        await copy(world, LASTING, strategy_id=number)

        found = await world.row("SELECT kind, cc, subject, text FROM notifications")
        assert (found["kind"], found["cc"]) == ("exception", "boss@example.org")
        assert "Done, in the emergency storage" in found["subject"]
        assert LASTING in found["text"]

    run(scenario)


def test_a_pool_tells_when_it_begins_and_when_it_is_over(run):
    """The event has a sentence; the state of the pool has path and bytes."""

    async def scenario(database: Database):
        world = await World.build(database)

        async def report(spare: EmergencyReport | None) -> str:
            state = PoolReport(
                id=world.pool, problem="", free_bytes=5, used_bytes=6, total_bytes=11, chunks=7, emergency=spare
            )
            await pools.report(database, MEDIA, [state])
            return await world.value(
                "SELECT data ->> 'message' FROM events WHERE data ? 'emergency_storage' ORDER BY id DESC LIMIT 1"
            )

        told = await report(EmergencyReport(path=EMPTIED, used_bytes=57, free_bytes=1, total_bytes=58))
        assert told.startswith(f"57 bytes of pool Default lie in the emergency storage {EMPTIED}. Hosts empty /tmp")
        assert await report(None) == "Nothing of pool Default lies in the emergency storage any more."

    run(scenario)


def test_the_place_of_an_installation_gives_way_to_an_administrators(run):
    """It is kept at the first start; a folder that was named stays, and so does none."""

    async def scenario(database: Database):
        await World.build(database)

        async def place(folder: str) -> object:
            async with database.transaction() as db:
                await emergency.place(db, folder)
                return await configuration.value(db, emergency.KEY)

        assert await place("/state/emergency") == "/state/emergency"
        assert await place("/other") == "/state/emergency"
        async with database.transaction() as db:
            await db.execute("UPDATE global_configuration SET value = $1 WHERE key = $2", "", emergency.KEY)
        assert await place("/other") == ""

    run(scenario)
