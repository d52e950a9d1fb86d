"""Keys of the global configuration that act on tasks and hosts, each by its effect."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, Refused
from rubackup.services import dispatch, enrolment, housekeeping, pools, presence, records, service_window
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, MEDIA, OTHER_CLIENT, SERVER, NumberingSigner, World, change

pytestmark = pytest.mark.postgres


async def claimed(world: World) -> Job:
    """The next task, at work."""
    (job,) = await dispatch.claim(world.database, 0, SERVER, 60, 1)
    return job


async def left_by_its_client(world: World) -> int:
    """A backup that its client had begun when it went offline."""
    task = await world.backup()
    job = await claimed(world)
    await presence.client_offline(world.database, CLIENT, SERVER)
    await dispatch.finished(world.database, task, job.fence, source="client", outcome="stopped")
    assert await dispatch.claim(world.database, 0, SERVER, 60, 1) == []
    return task


async def go_back(world: World, minutes: int) -> None:
    """The client has been away for so long."""
    await world.row("UPDATE client_presence SET last_online = now() - make_interval(mins => $1) RETURNING 1", minutes)


def test_a_task_is_killed_when_its_client_stays_away(run):
    """After five minutes; sooner it may still come back, and with the key at no it waits for ever."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await left_by_its_client(world)
        await go_back(world, 4)
        assert (await housekeeping.run(database)).killed == 0
        await go_back(world, 6)
        await world.configure(kill_task_of_offline_client="no")
        assert (await housekeeping.run(database)).killed == 0
        await world.row("DELETE FROM global_configuration RETURNING 1")
        assert (await housekeeping.run(database)).killed == 1

        row = await world.row("SELECT status, message FROM task_queue WHERE id = $1", task)
        assert row["status"] == "Killed"
        assert "workstation" in row["message"]

    run(scenario)


def test_a_task_that_its_client_never_began_waits_for_it(run):
    """The key is about work that was left in the middle."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        await presence.client_offline(database, CLIENT, SERVER)
        assert await dispatch.claim(database, 0, SERVER, 60, 1) == []
        await go_back(world, 100_000)
        assert (await housekeeping.run(database)).killed == 0
        await world.client_online()

        assert (await claimed(world)).task_id == task

    run(scenario)


def test_a_task_whose_needs_stay_out_of_reach_is_suspended_and_tried_again(run):
    """Two quick attempts, then one each `suspended_task_restart_period` minutes, until it is Broken."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(suspended_task_restart_period=7)
        task = await world.backup()
        seen = []
        for _attempt in range(dispatch.ATTEMPTS):
            job = await claimed(world)
            await dispatch.finished(database, task, job.fence, source="client", outcome="retry", message="No answer.")
            row = await world.row(
                "SELECT status, extract(epoch FROM not_before - now())::float8 AS rest FROM task_queue WHERE id = $1",
                task,
            )
            seen.append((row["status"], round((row["rest"] or 0) / 60)))
            await dispatch.reap(database)
            assert await dispatch.claim(database, 0, SERVER, 60, 1) == []
            await world.row("UPDATE task_queue SET not_before = now() RETURNING 1")
            await dispatch.reap(database)

        assert seen[:2] == [("New", 0), ("New", 0)]
        assert seen[2:4] == [("Suspended", 7), ("Suspended", 7)]
        assert seen[4][0] == "Broken"

    run(scenario)


@pytest.mark.parametrize(
    ("start", "end", "now", "opened"),
    [
        ("00:00:00", "23:59:59", "00:00:00", True), ("00:00:00", "23:59:59", "23:59:59", True),
        ("08:00:00", "10:00:00", "07:59:59", False), ("08:00:00", "10:00:00", "08:00:00", True),
        ("08:00:00", "10:00:00", "10:00:00", True), ("08:00:00", "10:00:00", "10:00:01", False),
        ("22:00:00", "06:00:00", "23:00:00", True), ("22:00:00", "06:00:00", "05:59:00", True),
        ("22:00:00", "06:00:00", "12:00:00", False), ("12:00:00", "12:00:00", "12:00:00", True),
        ("12:00:00", "12:00:00", "12:00:01", False),
    ],
)  # fmt: skip
def test_the_service_window_may_span_midnight(start: str, end: str, now: str, opened: bool) -> None:
    """Both of its ends belong to it."""
    found = service_window.is_open(*map(dt.time.fromisoformat, (now, start, end)))
    assert found is opened


def test_verifications_and_moves_wait_for_the_service_window(run):
    """They rest until it opens, or is changed, without counting as an attempt; a copy of the same record begins at once."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup()
        job = await claimed(world)
        assert await records.seal(database, sealed(job))
        record = await world.value("SELECT id FROM repository")
        zone = dt.timezone(dt.timedelta(hours=5))
        later = (dt.datetime.now(zone) + dt.timedelta(minutes=8)).replace(microsecond=0).time()
        window = {f"service_window_{end}": later.isoformat() for end in ("start", "end")}
        await world.configure(**window)
        task = await world.on_record(record)
        assert await dispatch.claim(database, 0, SERVER, 60, 5, zone) == []

        row = await world.row(
            """SELECT status, attempt, blocked_on, message, extract(epoch FROM not_before - now())::float8 AS rest
               FROM task_queue WHERE id = $1""",
            task,
        )
        assert (row["status"], row["attempt"], row["blocked_on"]) == ("New", 0, None)
        assert 200 < row["rest"] <= 481
        assert "service window" in row["message"]
        backup = await world.backup()
        assert (await claimed(world)).task_id == backup
        await world.row("DELETE FROM global_configuration RETURNING 1")
        async with database.transaction() as db:
            await service_window.changed(db)
        assert (await claimed(world)).task_id == task

    run(scenario)


def sealed(job: Job, **fields) -> records.Sealed:
    """What the media server reports of the job's record."""
    facts = {
        "task_id": job.task_id, "fence": job.fence, "pool_id": job.pool_id, "media_hwid": MEDIA,
        "record": job.record_uuid, "parent": job.parent_uuid, "client_hwid": CLIENT,
        "resource_type": job.resource_type, "resource": job.resource, "backup_type": job.backup_type,
        "files": 10, "files_failed": 0, "size_bytes": 1000, "stored_bytes": 400,
        "sealed_at": dt.datetime.now(dt.UTC),
    }  # fmt: skip
    return records.Sealed(**(facts | fields))


def test_a_backup_of_a_client_over_its_capacity_ends_with_a_sentence(run):
    """Also one that was queued before; below the capacity, or with the key off, it runs."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup()
        assert await records.seal(database, sealed(await claimed(world), stored_bytes=3_000_000_000))
        await world.row("UPDATE clients SET storage_capacity = 3 RETURNING 1")
        await world.backup()
        assert await records.seal(database, sealed(await claimed(world), stored_bytes=1))
        await world.configure(clients_capacity_limits=True)
        task = await world.backup()
        assert await dispatch.claim(database, 0, SERVER, 60, 1) == []

        row = await world.row("SELECT status, message FROM task_queue WHERE id = $1", task)
        assert row["status"] == "Error"
        assert "3000000001 bytes" in row["message"]
        await world.row("UPDATE clients SET storage_capacity = 4 RETURNING 1")
        again = await world.backup()
        assert (await claimed(world)).task_id == again

    run(scenario)


@pytest.mark.parametrize(("before", "damaged", "after"), [
    ("Not Verified", [], "Not Verified"), ("Trusted", [], "Trusted"), ("Not Trusted", [], "Not Trusted"),
    ("Trusted", ["/home/a"], "Not Trusted"),
])  # fmt: skip
def test_a_verification_without_contents_makes_no_copy_trusted(run, before, damaged, after):
    """It tells what it did, and marks only what it found missing."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(dedup_verify_only_meta_data="yes")
        await world.backup()
        assert await records.seal(database, sealed(await claimed(world)))
        await world.row("UPDATE repository SET verification_status = $1 RETURNING 1", before)
        task = await world.on_record(await world.value("SELECT id FROM repository"))
        job = await claimed(world)
        assert job.parameters["contents"] is False
        await dispatch.finished(database, task, job.fence, source="media", outcome="done", damaged=damaged)

        assert await world.value("SELECT verification_status FROM repository") == after
        if not damaged:
            assert await world.value("SELECT verified_at FROM repository") is None
            assert "contents were not read" in await world.value("SELECT message FROM task_queue WHERE id = $1", task)

    run(scenario)


def test_a_verification_reads_contents_unless_it_is_told_not_to(run):
    """What ships is the real thing."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup()
        assert await records.seal(database, sealed(await claimed(world)))
        await world.on_record(await world.value("SELECT id FROM repository"))

        assert (await claimed(world)).parameters["contents"] is True

    run(scenario)


def test_a_verification_is_told_what_the_catalogue_says_of_the_copy(run):
    """As it says it when the task begins, so that a row that is of another record is found."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup()
        made = await claimed(world)
        assert await records.seal(database, sealed(made))
        await world.on_record(await world.value("SELECT id FROM repository"))
        await world.row("UPDATE repository SET resource = '/another' RETURNING 1")
        told = (await claimed(world)).parameters["facts"]
        row = await world.row("SELECT client_hwid, resource_type, backup_type, files, size_bytes FROM repository")

        assert told == {**row, "resource": "/another"}

    run(scenario)


def test_a_pools_retention_bounds_every_new_copy(run):
    """Also when it was shortened after the task was made."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup(storage_duration="10 days")
        job = await claimed(world)
        await world.row("UPDATE pools SET retention_period = '3 days' RETURNING 1")
        assert await records.seal(database, sealed(job))
        await world.backup(storage_duration="1 days")
        assert await records.seal(database, sealed(await claimed(world)))

        assert await world.column(
            "SELECT extract(day FROM store_until - created_at)::int FROM repository ORDER BY id"
        ) == [3, 1]

    run(scenario)


def test_media_servers_are_told_how_to_spread_data(run):
    """One storage after another, or evenly."""

    async def scenario(database: Database):
        await World.build(database)
        assert [row.evenly for row in await pools.configuration(database, MEDIA)] == [False]
        async with database.connection() as db:
            await db.execute("INSERT INTO global_configuration VALUES ('data_spred_into_pool', '\"evenly\"')")
        assert [row.evenly for row in await pools.configuration(database, MEDIA)] == [True]

    run(scenario)


async def ask(database: Database, hwid: str) -> enrolment.Pending | enrolment.Granted:
    """A client asks for a certificate."""
    return await enrolment.ask(
        database, NumberingSigner(), role="client", hwid=hwid, hostname="host", address="10.0.0.3", csr_pem=b"csr",
        fingerprint="f0", package_version="1", os_type="Linux", os_version="",
    )  # fmt: skip


def test_only_the_key_that_is_named_signs_certificates(run):
    """With another `rb_key_hash` than the server's nobody gets a certificate, and nobody can be authorised."""

    async def scenario(database: Database):
        world = await World.build(database)
        await ask(database, OTHER_CLIENT)
        waiting = await world.value("SELECT id FROM unauthorised_clients")
        await world.configure(rb_key_hash="e" * 64)
        with pytest.raises(Refused, match="rb_key_hash"):
            await ask(database, CLIENT)
        async with database.transaction() as db:
            with pytest.raises(Conflict, match="rb_key_hash"):
                await enrolment.authorise_clients(change(db), [waiting])
            with pytest.raises(Conflict, match="rb_key_hash"):
                await enrolment.authorise_media_server(change(db), "vault")

        await presence.reset(database, SERVER, hostname="server", package_version="1", issuing_key_hash="e" * 64)
        async with database.transaction() as db:
            await enrolment.authorise_clients(change(db), [waiting])
        await world.row("UPDATE global_configuration SET value = $1 RETURNING 1", NumberingSigner.key_hash)
        assert isinstance(await ask(database, CLIENT), enrolment.Granted)

    run(scenario)


def test_a_lock_that_is_told_late_is_told_as_it_is_then(run):
    """An extension that comes while the media server is told is told once more."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(immutable_archives=True)
        await world.backup()
        job = await claimed(world)
        assert await records.seal(database, sealed(job))
        ((record, _, name, until),) = await records.untold_locks(database, MEDIA)
        assert name == uuid.UUID(job.record_uuid).hex
        await world.row("UPDATE repository SET locked_until = locked_until + interval '1 day' RETURNING 1")
        await records.lock_told(database, record, until)
        ((_, _, _, later),) = await records.untold_locks(database, MEDIA)

        assert later - until == dt.timedelta(days=1)

    run(scenario)


@pytest.mark.parametrize("status", ["Done", "Error", "Broken", "Killed"])
def test_ended_tasks_are_removed_with_their_logs_when_their_time_is_over(run, status):
    """Of each final state after its own `*_remove_period`, in both queues; other states stay, as does what is younger."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.configure(
            **{f"{one}_tasks_remove_period": 100_000 for one in ("done", "error", "broken", "killed")}
        )
        await world.row(
            "UPDATE global_configuration SET value = '60' WHERE key = $1 RETURNING 1",
            f"{status.lower()}_tasks_remove_period",
        )
        kept = []
        for state, minutes in ((status, 61), (status, 59), ("Killed" if status == "Done" else "Done", 61), ("New", 61)):
            task = await world.backup(reservations=())
            kept.append(task)
            await world.row(
                """UPDATE task_queue SET status = $2, finished_at = now() - make_interval(mins => $3) WHERE id = $1
                   RETURNING 1""",
                task, state, minutes,
            )  # fmt: skip
            await world.row(
                """INSERT INTO tl_task_queue (task_type, status, media_server_id, finished_at)
                   VALUES ('clean_drive', $1, $2, now() - make_interval(mins => $3)) RETURNING 1""",
                state, world.media, minutes,
            )  # fmt: skip
            await world.row("INSERT INTO task_log (task_id, source, text) VALUES ($1, 'server', 'x') RETURNING 1", task)
        assert (await housekeeping.run(database)).tasks == 2

        assert await world.column("SELECT id FROM task_queue ORDER BY id") == kept[1:]
        assert await world.column("SELECT task_id FROM task_log ORDER BY id") == kept[1:]
        assert await world.value("SELECT count(*) FROM tl_task_queue") == 3
        removed = await world.column("SELECT family FROM events WHERE data->>'status' = 'Removed' ORDER BY id")
        assert removed == ["task_queue", "tl_task_queue"]

    run(scenario)
