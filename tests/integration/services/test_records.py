"""Sealing, verifying and deleting copies."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, NotFound, WrongState
from rubackup.domain.tasks import Verb
from rubackup.queue.postgres import PooledQueue
from rubackup.services import deletion, dispatch, records, verifications
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, MEDIA, OTHER_MEDIA, SERVER, World, change

pytestmark = pytest.mark.postgres


async def backup(world: World, **fields) -> Job:
    """A backup at work."""
    await world.backup(**fields)
    (job,) = await dispatch.claim(world.database, 0, SERVER, 60, 1)
    return job


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


async def record_of(world: World, *, key_id: str = "", **fields) -> tuple[int, Job]:
    """A finished backup's record."""
    job = await backup(world, **fields)
    assert await records.seal(world.database, sealed(job, key_id=key_id))
    return await world.value("SELECT id FROM repository WHERE uuid = $1", uuid.UUID(job.record_uuid)), job


async def delete(world: World, ids: list[int]) -> None:
    async with world.database.transaction() as db:
        await deletion.delete_records(change(db), ids)


def test_a_sealed_record_is_in_the_repository_and_its_task_done(run):
    """Sealing lists the record with its client, its sizes and its end, and ends the task."""

    async def scenario(database: Database):
        world = await World.build(database)
        job = await backup(world)
        assert await records.seal(database, sealed(job))

        row = await world.row("SELECT *, store_until - created_at AS kept FROM repository")
        assert (row["uuid"].hex, row["task_id"], row["client_id"]) == (job.record_uuid, job.task_id, world.client)
        assert (row["client_hostname"], row["client_hwid"], row["client_group_id"]) == (
            "workstation",
            CLIENT,
            world.group,
        )
        assert (row["size_bytes"], row["stored_bytes"], row["files"], row["kept"].days) == (1000, 400, 10, 365)
        task = await world.row("SELECT status, record_id, message FROM task_queue")
        assert (task["status"], task["record_id"]) == ("Done", row["id"])
        assert "10 files" in task["message"]
        assert await world.column("SELECT action FROM repository_log") == ["created"]
        assert await world.column("SELECT family FROM events WHERE kind = 'created'") == ["repository"]

    run(scenario)


def test_sealing_twice_is_sealing_once(run):
    """A repeated report is answered alike and changes nothing, also after the task was removed."""

    async def scenario(database: Database):
        world = await World.build(database)
        job = await backup(world)
        assert await records.seal(database, sealed(job))
        await PooledQueue(database).remove([job.task_id])

        assert await records.seal(database, sealed(job))
        assert await world.value("SELECT count(*) FROM repository") == 1

    run(scenario)


def test_the_client_may_report_success_before_or_after_the_seal(run):
    """A backup that is sealed is Done whatever the order of the reports."""

    async def scenario(database: Database):
        world = await World.build(database)
        for client_first in (True, False):
            job = await backup(world)
            report = {"source": "client", "outcome": "done", "message": "ready"}
            if client_first:
                await dispatch.finished(database, job.task_id, job.fence, **report)
            assert await records.seal(database, sealed(job))
            if not client_first:
                await dispatch.finished(database, job.task_id, job.fence, **report)

            assert await world.value("SELECT status FROM task_queue WHERE id = $1", job.task_id) == "Done"

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.KILL, Verb.PAUSE])
def test_a_record_of_a_task_that_was_taken_away_is_not_kept(run, verb):
    """A kill or pause that came before the seal wins."""

    async def scenario(database: Database):
        world = await World.build(database)
        job = await backup(world)
        await PooledQueue(database).operate(job.task_id, verb)

        assert not await records.seal(database, sealed(job))
        assert await world.value("SELECT count(*) FROM repository") == 0

    run(scenario)


def test_a_record_of_an_older_attempt_is_not_kept(run):
    """Once the task was handed on only the new attempt's record counts."""

    async def scenario(database: Database):
        world = await World.build(database)
        old = await backup(world)
        await dispatch.finished(database, old.task_id, old.fence, source="client", outcome="stopped")
        (new,) = await dispatch.claim(database, 0, SERVER, 60, 1)

        assert not await records.seal(database, sealed(old))
        assert not await records.seal(database, sealed(old, fence=new.fence))
        assert await records.seal(database, sealed(new))

    run(scenario)


@pytest.mark.parametrize(
    "lie", [{"media_hwid": OTHER_MEDIA}, {"client_hwid": "0" * 16}, {"pool_id": 99}, {"task_id": 99}]
)
def test_a_record_that_is_not_the_tasks_own_is_not_kept(run, lie):
    """Media server, client and pool must be those of the task."""

    async def scenario(database: Database):
        world = await World.build(database)
        job = await backup(world)

        assert not await records.seal(database, sealed(job, **lie))
        assert await world.value("SELECT count(*) FROM repository") == 0

    run(scenario)


def test_a_clock_that_is_wrong_does_not_stretch_a_record(run):
    """The creation lies between the task's own and now, whatever the media server's clock says."""

    async def scenario(database: Database):
        world = await World.build(database)
        for year in (1999, 2999):
            job = await backup(world)
            assert await records.seal(database, sealed(job, sealed_at=dt.datetime(year, 1, 1, tzinfo=dt.UTC)))

        assert await world.value(
            "SELECT bool_and(r.created_at BETWEEN t.created_at AND now()) FROM repository r, task_queue t WHERE t.id = r.task_id"
        )

    run(scenario)


def test_a_record_names_its_parent(run):
    """An incremental's row points to the record that it builds on, and keeps its uuid when that is deleted."""

    async def scenario(database: Database):
        world = await World.build(database)
        full, full_job = await record_of(world)
        child, _job = await record_of(world, backup_type="incremental")
        assert await world.value("SELECT parent_id FROM repository WHERE id = $1", child) == full
        await world.configure(repository_remove_chain="no")
        await delete(world, [full])

        row = await world.row("SELECT parent_id, parent_uuid FROM repository")
        assert (row["parent_id"], row["parent_uuid"].hex) == (None, full_job.record_uuid)

    run(scenario)


def test_a_deleted_record_is_forgotten_by_its_media_server_only_when_told(run):
    """Deleting leaves a tombstone that waits until the media server has written it."""

    async def scenario(database: Database):
        world = await World.build(database)
        record, job = await record_of(world)
        await delete(world, [record])
        assert await records.waiting_tombstones(database, MEDIA) == [(world.pool, job.record_uuid)]
        assert await records.waiting_tombstones(database, OTHER_MEDIA) == []
        for _ in range(2):
            await records.tombstone_done(database, job.record_uuid)

        assert await records.waiting_tombstones(database, MEDIA) == []
        log = await world.row("SELECT user_name, record_uuid FROM repository_log WHERE action = 'deleted'")
        assert (log["user_name"], log["record_uuid"].hex) == ("root", job.record_uuid)

    run(scenario)


def test_a_late_seal_report_does_not_bring_a_deleted_record_back(run):
    """The repeat of a report that arrives after the deletion is answered: not kept."""

    async def scenario(database: Database):
        world = await World.build(database)
        record, job = await record_of(world)
        await delete(world, [record])

        assert not await records.seal(database, sealed(job))

    run(scenario)


def test_deleting_is_all_or_nothing(run):
    """A missing, locked or used record keeps all of them, and the error names it."""

    async def scenario(database: Database):
        world = await World.build(database)
        free, locked, used = [(await record_of(world, resource=f"/{n}"))[0] for n in range(3)]
        await world.row(
            "UPDATE repository SET locked_until = now() + interval '1 day' WHERE id = $1 RETURNING 1", locked
        )
        task = await world.on_record(used)

        with pytest.raises(NotFound, match="4711"):
            await delete(world, [free, 4711])
        with pytest.raises(Conflict, match=f"locked.*{locked}"):
            await delete(world, [free, locked])
        with pytest.raises(Conflict, match=f"task {task}"):
            await delete(world, [free, used])
        assert await world.value("SELECT count(*) FROM repository") == 3
        assert await world.value("SELECT count(*) FROM record_tombstones") == 0

    run(scenario)


def test_the_parent_of_a_running_backup_cannot_be_deleted(run):
    """A record that a backup builds on is in use for as long as that backup runs."""

    async def scenario(database: Database):
        world = await World.build(database)
        full, _job = await record_of(world)
        job = await backup(world, backup_type="incremental")
        with pytest.raises(Conflict, match=f"task {job.task_id}"):
            await delete(world, [full])
        await PooledQueue(database).operate(job.task_id, Verb.KILL)
        await delete(world, [full])

        assert await world.value("SELECT count(*) FROM repository") == 0

    run(scenario)


@pytest.mark.parametrize(("damaged", "status", "end"), [([], "Trusted", "Done"), (["/home/a"], "Not Trusted", "Error")])
def test_a_verification_marks_its_record(run, damaged, status, end):
    """Trusted when every checksum held; else Not Trusted, and the log names what is damaged."""

    async def scenario(database: Database):
        world = await World.build(database)
        record, _job = await record_of(world)
        await world.on_record(record)
        (job,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        await dispatch.finished(database, job.task_id, job.fence, source="media", outcome="done", damaged=damaged)

        row = await world.row("SELECT verification_status, verified_at FROM repository")
        assert row["verification_status"] == status
        assert row["verified_at"] is not None
        assert await world.value("SELECT status FROM task_queue WHERE id = $1", job.task_id) == end
        named = await world.column("SELECT text FROM task_log WHERE task_id = $1 AND level = 'error'", job.task_id)
        assert named == [f"Damaged: {name}" for name in damaged]

    run(scenario)


def test_a_verification_that_could_not_read_marks_nothing(run):
    """An error that is no damage says nothing about the record."""

    async def scenario(database: Database):
        world = await World.build(database)
        record, _job = await record_of(world)
        task = await world.on_record(record)
        (job,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        await dispatch.finished(database, task, job.fence, source="media", outcome="error", message="No such disk.")

        assert await world.value("SELECT verification_status FROM repository") == "Not Verified"
        assert await world.value("SELECT status FROM task_queue WHERE id = $1", task) == "Error"

    run(scenario)


def test_a_verification_of_many_damaged_files_names_a_thousand(run):
    """The log names the first thousand damaged files and counts the rest."""

    async def scenario(database: Database):
        world = await World.build(database)
        record, _job = await record_of(world)
        await world.on_record(record)
        (job,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        names = [f"/f{n}" for n in range(1200)]
        await records.finished_verification(database, job.task_id, job.fence, names)

        lines = await world.column("SELECT text FROM task_log WHERE task_id = $1 ORDER BY id", job.task_id)
        assert len(lines) == 1001
        assert lines[-1].startswith("200 more")
        with pytest.raises(WrongState):
            await records.finished_verification(database, job.task_id, job.fence, [])

    run(scenario)


def test_the_log_of_a_copy_keeps_what_its_verification_says(run):
    """Where it lies, beside that it is trusted: the emergency storage is no place to stay."""

    async def scenario(database: Database):
        world = await World.build(database)
        record, _job = await record_of(world)
        await world.on_record(record)
        (job,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        said = "Every chunk was read again and is whole. 5 bytes that it needs lie in the emergency storage /e."
        await records.finished_verification(database, job.task_id, job.fence, [], said)

        text = "SELECT text FROM repository_log WHERE record_id = $1 AND action = 'verified'"
        assert await world.value(text, record) == f"Trusted: {said}"
        assert await world.value("SELECT message FROM task_queue WHERE id = $1", job.task_id) == said

    run(scenario)


def test_a_record_is_only_its_own_clients_to_list(run):
    """Where it is, is told for the client that made it, and for nobody else."""

    async def scenario(database: Database):
        world = await World.build(database)
        record_id, job = await record_of(world, key_id="ab" * 16)

        found = await records.whereabouts(database, job.pool_id, job.record_uuid, job.client_hwid)
        assert found == (job.media_hwid, job.data_endpoint, "f0", "f0")
        assert await world.value("SELECT key_id FROM repository WHERE id = $1", record_id) == "ab" * 16
        assert await world.value("SELECT key_ids FROM clients WHERE hwid = $1", job.client_hwid) == ["ab" * 16]
        for pool, record, client in (
            (job.pool_id, job.record_uuid, "f" * 16), (job.pool_id + 1, job.record_uuid, job.client_hwid),
            (job.pool_id, "e" * 32, job.client_hwid), (job.pool_id, "no uuid", job.client_hwid),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                await records.whereabouts(database, pool, record, client)

    run(scenario)


@pytest.mark.parametrize(("executor", "status"), [("media", "Not Verified"), ("client", "Trusted")])
def test_stored_sums_make_no_encrypted_copy_trusted(run, executor, status):
    """Without the key every stored byte can be whole and the copy still be worth nothing; its client can tell."""

    async def scenario(database: Database):
        world = await World.build(database)
        record_id, _ = await record_of(world, key_id="ab" * 16)
        async with database.transaction() as db:
            held = {"media": [], "client": ["ab" * 16]}[executor]
            await db.execute("UPDATE clients SET key_ids = $1", held)
            task = await verifications.queue(db, record_id, "me")
        (job,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        assert (job.task_id, job.executor) == (task, executor)
        await records.finished_verification(database, job.task_id, job.fence, [])

        assert await world.value("SELECT verification_status FROM repository WHERE id = $1", record_id) == status
        assert await world.value("SELECT status FROM task_queue WHERE id = $1", task) == "Done"

    run(scenario)
