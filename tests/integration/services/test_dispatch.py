"""From the queue to the worker and back."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced, Refused
from rubackup.domain.tasks import Verb
from rubackup.queue.ports import Reservation
from rubackup.queue.postgres import PooledQueue
from rubackup.services import dispatch, offline, presence
from rubackup.services.dispatch import Job
from rubackup.services.leadership import Leadership
from support.catalogue import CLIENT, MEDIA, OTHER_CLIENT, SERVER, World, waiting_for_locks

pytestmark = pytest.mark.postgres


async def claim(world: World, limit: int = 5) -> list[Job]:
    epoch = await world.value("SELECT epoch FROM leadership")
    return await dispatch.claim(world.database, epoch, SERVER, 60, limit)


async def state(world: World, task: int) -> tuple[str, str | None]:
    return tuple(await world.row("SELECT status, blocked_on FROM task_queue WHERE id = $1", task))


async def log(world: World, task: int) -> list[str]:
    return await world.column("SELECT text FROM task_log WHERE task_id = $1 ORDER BY id", task)


def test_a_job_says_everything_that_an_order_needs(run):
    """A claimed backup names its client, media server, pool and the record to write, which the task keeps."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup(parameters={"module": {"file_list": True}})
        (job,) = await claim(world)

        assert (job.task_id, job.task_type, job.executor, job.attempt) == (task, "Backup", "client", 1)
        assert (job.client_hwid, job.client_hostname, job.media_hwid) == (CLIENT, "workstation", MEDIA)
        assert (job.data_endpoint, job.pool_id, job.compression) == ("10.0.0.1:9993", world.pool, "fast")
        assert (job.resource_type, job.resource, job.backup_type) == ("File system", "/home", "full")
        assert (job.parameters, job.parent_uuid, job.share) == ({"module": {"file_list": True}}, "", True)
        assert (await world.value("SELECT record_uuid FROM task_queue")).hex == job.record_uuid
        assert await dispatch.job_of(database, task, job.fence) == job

    run(scenario)


def test_each_attempt_writes_a_record_of_its_own(run):
    """A backup that is handed on never writes to the record of the attempt before."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (first,) = await claim(world)
        await dispatch.finished(database, task, first.fence, source="client", outcome="stopped")
        (second,) = await claim(world)

        assert (second.task_id, second.attempt) == (task, 2)
        assert second.record_uuid != first.record_uuid

    run(scenario)


def test_an_old_leader_claims_nothing(run):
    """A claim under an epoch that is over is fenced and leaves the queue alone."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        leader = Leadership(database)
        epoch = await leader.take(SERVER)
        await leader.release()
        await leader.take(SERVER)

        with pytest.raises(Fenced):
            await dispatch.claim(database, epoch, SERVER, 60, 5)
        with pytest.raises(Fenced):
            await dispatch.reap(database, epoch)
        assert await state(world, task) == ("New", None)
        await leader.release()

    run(scenario)


@pytest.mark.parametrize("missing", ["client", "media"])
def test_a_task_waits_for_an_offline_host_and_comes_back_with_it(run, missing):
    """A backup whose client or media server is offline is blocked on it, says so, and runs when it comes."""

    async def scenario(database: Database):
        world = await World.build(database)
        gone = presence.client_offline if missing == "client" else presence.media_offline
        hwid = CLIENT if missing == "client" else MEDIA
        await gone(database, hwid, SERVER)
        task = await world.backup()
        assert await claim(world) == []
        assert await state(world, task) == ("New", f"{missing}:{hwid}")
        assert "offline" in await world.value("SELECT message FROM task_queue")
        assert "offline" in (await log(world, task))[0]

        await (world.client_online() if missing == "client" else world.media_online())
        assert [job.task_id for job in await claim(world)] == [task]

    run(scenario)


def test_a_verification_does_not_need_the_client(run):
    """Work of the media server goes on while the client is offline."""

    async def scenario(database: Database):
        world = await World.build(database)
        record = await sealed_record(world)
        await presence.client_offline(database, CLIENT, SERVER)
        task = await world.on_record(record)
        (job,) = await claim(world)

        assert (job.task_id, job.executor, job.resource) == (task, "media", "/home")
        assert job.record_uuid == (await world.value("SELECT uuid FROM repository")).hex

    run(scenario)


def test_offline_tasks_do_not_keep_others_from_their_turn(run):
    """A claim goes on behind tasks that turn out to be blocked."""

    async def scenario(database: Database):
        world = await World.build(database)
        other = await world.value(
            """INSERT INTO clients (hwid, hostname, group_id, csr_pem, fingerprint)
               VALUES ($1, 'away', $2, '', 'f1') RETURNING id""",
            OTHER_CLIENT, world.group,
        )  # fmt: skip
        for number in range(3):
            await world.backup(client_id=other, priority=500, resource=f"/{number}", reservations=())
        task = await world.backup()

        assert [job.task_id for job in await claim(world, limit=2)] == [task]

    run(scenario)


def test_a_task_that_can_never_run_ends_in_error(run):
    """A task whose pool is gone says so instead of waiting."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.on_record(4711, "Restore", "client")

        assert await claim(world) == []
        assert await state(world, task) == ("Error", None)
        assert "not in the repository" in (await log(world, task))[0]

    run(scenario)


def test_service_mode_stops_new_jobs(run):
    """In service mode nothing is claimed."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.backup()
        await world.row("INSERT INTO global_configuration VALUES ('service_mode', 'true') RETURNING key")

        assert await claim(world) == []

    run(scenario)


def test_an_incremental_builds_on_the_newest_record(run):
    """Incremental and differential build on the newest record and the newest full of the same resource and pool."""

    async def scenario(database: Database):
        world = await World.build(database)
        full = await sealed_record(world)
        newer = await sealed_record(world, backup_type="incremental")
        await sealed_record(world, resource="/etc")
        by_type = {}
        for kind in ("incremental", "differential", "full"):
            await world.backup(backup_type=kind, reservations=())
            (job,) = await claim(world)
            by_type[kind] = job.parent_uuid

        assert by_type == {
            "incremental": (await uuid_of(world, newer)),
            "differential": (await uuid_of(world, full)),
            "full": "",
        }

    run(scenario)


@pytest.mark.parametrize("kind", ["incremental", "differential"])
def test_a_partial_backup_without_a_full_becomes_a_full(run, kind):
    """With nothing to build on the task makes a full copy, and its message and log say so."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup(backup_type=kind)
        (job,) = await claim(world)

        assert (job.backup_type, job.parent_uuid) == ("full", "")
        row = await world.row("SELECT backup_type, message FROM task_queue")
        assert (row["backup_type"], await log(world, task)) == ("full", [row["message"]])
        assert "becomes a full" in row["message"]

    run(scenario)


def test_a_damaged_record_is_never_built_on(run):
    """A record found damaged is passed over when the next one looks for its parent."""

    async def scenario(database: Database):
        world = await World.build(database)
        good = await sealed_record(world)
        bad = await sealed_record(world, backup_type="incremental")
        await world.row("UPDATE repository SET verification_status = 'Not Trusted' WHERE id = $1 RETURNING id", bad)
        await world.backup(backup_type="incremental")
        (job,) = await claim(world)

        assert job.parent_uuid == await uuid_of(world, good)

    run(scenario)


def test_nothing_is_built_on_what_another_host_of_the_name_made(run):
    """A copy under the client's hardware id that was not given to the client is no parent."""

    async def scenario(database: Database):
        world = await World.build(database)
        other = await sealed_record(world)
        await world.row("UPDATE repository SET client_id = NULL WHERE id = $1 RETURNING id", other)
        await world.backup(backup_type="incremental")
        (job,) = await claim(world)

        assert (job.backup_type, job.parent_uuid) == ("full", "")

    run(scenario)


def test_a_worker_reports_its_way_through_a_task(run):
    """Accepting and changing phase move the task; repeating either changes nothing."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (job,) = await claim(world)
        for verb, expected in [(None, "At_Client"), (Verb.EXECUTE, "Execution"), (Verb.TRANSMIT, "Transmission")]:
            for _ in range(2):
                if verb is None:
                    await dispatch.accepted(database, task, job.fence)
                else:
                    assert await dispatch.phase(database, task, job.fence, verb)
                assert (await state(world, task))[0] == expected
        await dispatch.accepted(database, task, job.fence)

        assert (await state(world, task))[0] == "Transmission"

    run(scenario)


def test_reports_of_an_older_fence_change_nothing(run):
    """After a kill the worker's reports are refused, only `stopped`, which was asked for, is accepted."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (job,) = await claim(world)
        await PooledQueue(database).operate(task, Verb.KILL)

        assert not await dispatch.phase(database, task, job.fence, Verb.EXECUTE)
        await dispatch.finished(database, task, job.fence, source="client", outcome="stopped")
        for call in (
            dispatch.accepted(database, task, job.fence),
            dispatch.job_of(database, task, job.fence),
            dispatch.finished(database, task, job.fence, source="client", outcome="error", message="late"),
        ):
            with pytest.raises(Fenced):
                await call
        assert await state(world, task) == ("Killed", None)

    run(scenario)


def test_what_an_attempt_has_sent_in_all_is_kept(run):
    """Between two reports a quick task sends all it has. Also what was under way when it was paused, but not of an attempt before the last."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()

        async def sent() -> int:
            return await world.value("SELECT bytes_sent FROM task_progress WHERE task_id = $1", task)

        (first,) = await claim(world)
        await PooledQueue(database).operate(task, Verb.PAUSE)
        await dispatch.finished(database, task, first.fence, source="client", outcome="stopped", bytes_sent=70)
        assert await sent() == 70
        await PooledQueue(database).operate(task, Verb.CONTINUE)
        (second,) = await claim(world)
        await dispatch.finished(database, task, first.fence, source="client", outcome="stopped", bytes_sent=80)
        assert await sent() == 0
        await dispatch.finished(database, task, second.fence, source="client", outcome="error", bytes_sent=30)
        assert await sent() == 30

    run(scenario)


def test_an_error_ends_the_task_and_is_told(run):
    """The worker's sentence is the task's message and a line of its log; a repeat adds nothing."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (job,) = await claim(world)
        for _ in range(2):
            await dispatch.finished(
                database, task, job.fence, source="client", outcome="error", message="No room left.", hwid=CLIENT
            )

        assert await state(world, task) == ("Error", None)
        assert await log(world, task) == ["No room left."]
        assert await world.value("SELECT message FROM task_queue") == "No room left."

    run(scenario)


def test_only_its_own_worker_finishes_a_task(run):
    """A report by another role or another host is refused."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (job,) = await claim(world)

        for source, hwid in (("media", MEDIA), ("client", OTHER_CLIENT)):
            with pytest.raises(Refused):
                await dispatch.finished(database, task, job.fence, source=source, outcome="error", hwid=hwid)
        assert (await state(world, task))[0] == "Assigned"

    run(scenario)


def test_a_backup_is_not_done_before_its_record_is_listed(run):
    """A client that reports success before the media server has sealed leaves the task held."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (job,) = await claim(world)
        await dispatch.finished(database, task, job.fence, source="client", outcome="done")

        assert (await state(world, task))[0] == "Assigned"
        left = await world.value("SELECT lease_until - now() > interval '30 s' FROM task_progress")
        assert left

    run(scenario)


def test_a_host_that_cannot_be_reached_is_waited_for(run):
    """An order that found nobody blocks the task; when the host is there by now, it is tried again after a pause."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        (job,) = await claim(world)
        await dispatch.wait_for(database, task, job.fence, f"client:{CLIENT}", "Waits for the client.")
        assert await state(world, task) == ("New", None)
        assert await claim(world) == []
        await world.row("UPDATE task_queue SET not_before = NULL RETURNING id")

        (again,) = await claim(world)
        await presence.client_offline(database, CLIENT, SERVER)
        await dispatch.wait_for(database, task, again.fence, f"client:{CLIENT}", "Waits for the client.")
        assert await state(world, task) == ("New", f"client:{CLIENT}")
        assert await log(world, task) == ["Waits for the client."]
        assert again.attempt == 1

    run(scenario)


def test_a_host_that_comes_while_its_task_is_claimed_is_not_missed(run):
    """A claim waits for a host that is just coming online, so no task is blocked on a host that is there."""

    async def scenario(database: Database):
        world = await World.build(database)
        await presence.client_offline(database, CLIENT, SERVER)
        task = await world.backup()
        async with database.transaction() as db:
            await db.execute("UPDATE client_presence SET online = true")
            claiming = asyncio.create_task(claim(world))
            await waiting_for_locks(db, 1)

        assert [job.task_id for job in await claiming] == [task]

    run(scenario)


def test_a_silent_worker_loses_its_task_and_the_log_says_so(run):
    """Reaping hands a task on, and breaks it off after five attempts."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        for _ in range(dispatch.ATTEMPTS):
            await dispatch.claim(database, 0, SERVER, 0, 1)
            (reaped,) = await dispatch.reap(database)

        assert (reaped.task_id, await state(world, task)) == (task, ("Broken", None))
        lines = await log(world, task)
        assert len(lines) == dispatch.ATTEMPTS
        assert "another attempt" in lines[0]
        assert "the last" in lines[-1]

    run(scenario)


def test_log_lines_are_stored_once(run):
    """A repeated report adds no line; lines of another source or attempt are their own."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        lines = [(1_700_000_000_000_000_000, "warning", "vanished: /home/a"), (1_700_000_000_000_000_001, "odd", "b")]
        for source, fence in (("client", 1), ("client", 1), ("client", 2), ("media", 1)):
            await dispatch.add_log(database, task, source, fence, 1, lines)
        await dispatch.add_log(database, task, "client", 1, 2, [lines[1], (0, "info", "c")])

        assert await world.value("SELECT count(*) FROM task_log") == 7
        assert await world.column("SELECT text FROM task_log WHERE source = 'client' AND fence = 1 ORDER BY line") == [
            "vanished: /home/a", "b", "c",
        ]  # fmt: skip
        assert set(await world.column("SELECT level FROM task_log")) == {"warning", "info"}

    run(scenario)


def test_log_lines_may_hold_any_name(run):
    """Names that are not UTF-8, NUL, and endless lines are stored, and lines for no task are dropped."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        texts = [b"bad \xff name".decode(errors="surrogateescape"), "nul \0", "x" * 100_000]
        await dispatch.add_log(database, task, "client", 1, 1, [(0, "error", text) for text in texts])
        await dispatch.add_log(database, 4711, "client", 1, 1, [(0, "error", "nobody")])
        stored = await log(world, task)

        assert stored[:2] == ["bad \\udcff name", "nul \\x00"]
        assert len(stored[2]) < 10_000
        assert len(stored) == 3

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.KILL, Verb.PAUSE])
def test_it_is_known_which_attempts_are_over(run, verb):
    """A media server may end the sessions of a task that was killed, paused or handed on, and of one that is gone."""

    async def scenario(database: Database):
        world = await World.build(database)
        task, other = await world.backup(), await world.backup(reservations=())
        jobs = {job.task_id: job.fence for job in await claim(world)}
        attempts = {(task, jobs[task]), (other, jobs[other]), (4711, 10**9)}
        assert await dispatch.attempts_over(database, attempts) == [10**9]
        await PooledQueue(database).operate(task, verb)

        assert await dispatch.attempts_over(database, {(task, jobs[task]), (other, jobs[other])}) == [jobs[task]]
        await dispatch.finished(database, other, jobs[other], source="client", outcome="stopped")
        assert await dispatch.attempts_over(database, {(other, jobs[other])}) == [jobs[other]]

    run(scenario)


async def uuid_of(world: World, record: int) -> str:
    return (await world.value("SELECT uuid FROM repository WHERE id = $1", record)).hex


async def sealed_record(world: World, resource: str = "/home", backup_type: str = "full") -> int:
    """A record in the repository."""
    return await world.value(
        """INSERT INTO repository (uuid, task_id, client_id, client_hostname, client_hwid, client_group_id, pool_id,
               resource_type, resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at)
           VALUES (gen_random_uuid(), 0, $1, 'workstation', $2, $3, $4, 'File system', $5, $6, 'nocrypt', 1, 1, 1, 0,
               clock_timestamp()) RETURNING id""",
        world.client, CLIENT, world.group, world.pool, resource, backup_type,
    )  # fmt: skip


def test_what_else_an_offline_client_has_queued_waits_with_the_first(run):
    """One claim blocks all of it, passes turns on to others, and the client's coming frees it; tasks of other hosts stay."""

    async def scenario(database: Database):
        world = await World.build(database)
        await presence.client_offline(database, CLIENT, SERVER)
        shared = (Reservation("record", "9", exclusive=True),)
        tasks = [await world.backup(resource=f"/{n}", reservations=shared if n == 2 else ()) for n in range(3)]
        other = await world.backup(executor="media", task_type="Clean", reservations=shared)
        await world.row("UPDATE task_queue SET blocked_on = 'record:9' WHERE id = $1 RETURNING 1", other)

        assert [job.task_id for job in await claim(world, limit=1)] == [other]
        assert [await state(world, task) for task in tasks] == [("New", f"client:{CLIENT}")] * 3
        assert all(
            "offline" in text for text in await world.column("SELECT message FROM task_queue WHERE id <> $1", other)
        )

        await world.client_online()
        assert [(await state(world, task))[1] for task in tasks] == [None] * 3

    run(scenario)


def test_tasks_of_a_clustered_group_are_launched_one_by_one(run):
    """Another member may take each of them over, so none waits on another one's failure."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row("UPDATE client_groups SET clustered = true RETURNING 1")
        await presence.client_offline(database, CLIENT, SERVER)
        tasks = [await world.backup(resource=f"/{n}", reservations=()) for n in range(2)]
        async with database.transaction() as db:
            assert await offline.wait_too(db, world.client, f"client:{CLIENT}", "") == 0
        assert [(await state(world, task))[1] for task in tasks] == [None] * 2

    run(scenario)
