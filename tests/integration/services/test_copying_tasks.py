"""Copies that are copied and moved: what the catalogue does, whatever becomes of the task meanwhile."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, NotFound
from rubackup.domain.tasks import Verb
from rubackup.queue.postgres import PooledQueue
from rubackup.services import copies, deletion, dispatch, records
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, MEDIA, OTHER_MEDIA, SERVER, World, change, insert

pytestmark = pytest.mark.postgres


@dataclass
class Office:
    """A world with a second pool, that may be on a second media server."""

    world: World
    target: int

    @classmethod
    async def build(cls, database: Database, *, elsewhere: bool = False, **pool: Any) -> Office:
        """Both pools have a storage."""
        world = await World.build(database)
        async with database.transaction() as db:
            media = world.media
            if elsewhere:
                media = await insert(
                    db, "media_servers", hwid=OTHER_MEDIA, hostname="annex", data_endpoint="10.0.0.2:9993", csr_pem=b"",
                    fingerprint="f1",
                )  # fmt: skip
                await insert_presence(db, media)
            fields = {"pool_name": "Second", "pool_type": "File system", "media_server_id": media} | pool
            target = await insert(db, "pools", **fields)
            for one, path in ((world.pool, "/one"), (target, "/two")):
                server = await db.fetchval("SELECT media_server_id FROM pools WHERE id = $1", one)
                await insert(db, "storage_local_catalogs", path=path, pool_id=one, media_server_id=server)
        return cls(world, target)

    @property
    def database(self) -> Database:
        """The catalogue."""
        return self.world.database

    async def record(self, **task: Any) -> int:
        """A copy that a backup made in the first pool."""
        await self.world.backup(**task)
        job = await self.claimed()
        assert await records.seal(self.database, sealed(job))
        return await self.world.value("SELECT id FROM repository WHERE uuid = $1", uuid.UUID(job.record_uuid))

    async def claimed(self) -> Job:
        """The next task, at work."""
        (job,) = await dispatch.claim(self.database, 0, SERVER, 60, 1)
        return job

    async def ask(self, record: int, what: str = "copy", pool: str = "Second") -> int:
        """Ask for a copy or a move; the task."""
        async with self.database.transaction() as db:
            return await getattr(copies, what)(change(db), record, pool)

    async def status(self, task: int) -> str:
        """The state of a task."""
        return await self.world.value("SELECT status FROM task_queue WHERE id = $1", task)

    async def rows(self) -> list[Any]:
        """Every copy."""
        async with self.database.connection() as db:
            return await db.fetch("SELECT * FROM repository ORDER BY id")


async def insert_presence(db: Any, media: int) -> None:
    """The media server is online."""
    await db.execute("INSERT INTO media_presence (media_server_id, online) VALUES ($1, true)", media)


def sealed(job: Job, **fields: Any) -> records.Sealed:
    """What the media server reports of the job's record."""
    facts = {
        "task_id": job.task_id, "fence": job.fence, "pool_id": job.pool_id, "media_hwid": job.media_hwid,
        "record": job.record_uuid, "parent": job.parent_uuid, "client_hwid": job.client_hwid,
        "resource_type": job.resource_type, "resource": job.resource, "backup_type": job.backup_type,
        "files": 10, "files_failed": 1, "size_bytes": 1000, "stored_bytes": 400,
        "sealed_at": dt.datetime.now(dt.UTC),
    }  # fmt: skip
    return records.Sealed(**(facts | fields))


KEPT = (
    "client_id", "client_hostname", "client_hwid", "client_group_id", "resource_type", "resource", "backup_type",
    "crypto", "archiving", "size_bytes", "files", "files_failed", "created_at", "store_until", "rule_id",
    "strategy_id", "strategy_rule_id",
)  # fmt: skip
"""What a copy keeps of the one that it comes from."""


def test_a_copied_record_is_a_second_copy_that_says_where_it_comes_from(run):
    """Client, resource, times, rules are the source's; it is Trusted, as all of it was read back; the source stays."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record(rule_id=7, strategy_id=8, strategy_rule_id=9)
        task = await office.ask(source)
        job = await office.claimed()
        assert (job.task_type, job.executor, job.pool_id, job.source_pool_id) == (
            "Copy",
            "media",
            office.target,
            office.world.pool,
        )
        assert await records.seal(database, sealed(job, stored_bytes=77))
        assert await records.seal(database, sealed(job, stored_bytes=77))

        old, new = await office.rows()
        assert [old[name] for name in KEPT] == [new[name] for name in KEPT]
        assert (new["pool_id"], new["uuid"].hex, new["stored_bytes"]) == (office.target, job.record_uuid, 77)
        assert (new["copied_from"], new["copied_from_uuid"], new["task_id"]) == (source, old["uuid"], task)
        assert (new["verification_status"], old["verification_status"]) == ("Trusted", "Not Verified")
        assert new["verified_at"] is not None
        assert await office.status(task) == "Done"
        log = await office.world.column("SELECT action FROM repository_log WHERE record_id = $1 ORDER BY id", source)
        assert log == ["created", "copying", "copied"]

    run(scenario)


def test_a_moved_record_leaves_its_pool_in_the_same_moment(run):
    """One transaction lists the new copy, deletes the old row and leaves its tombstone; the child's chain is not broken."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        child = await office.record(backup_type="incremental")
        (name,) = [row["uuid"] for row in await office.rows() if row["id"] == source]
        task = await office.ask(source, "move")
        assert await records.seal(database, sealed(await office.claimed()))

        rows = {row["id"]: row for row in await office.rows()}
        assert source not in rows
        (new,) = [row for row in rows.values() if row["pool_id"] == office.target]
        assert (new["copied_from"], new["copied_from_uuid"]) == (source, name)
        assert (rows[child]["parent_id"], rows[child]["parent_uuid"], rows[child]["chain_broken"]) == (
            None,
            name,
            False,
        )
        assert await records.waiting_tombstones(database, MEDIA) == [(office.world.pool, name.hex)]
        assert await office.status(task) == "Done"

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.KILL, Verb.PAUSE])
@pytest.mark.parametrize("what", ["copy", "move"])
def test_a_copy_of_a_task_that_was_taken_away_is_not_kept(run, verb, what):
    """A kill or pause that came before the seal wins, and the source is where it was."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        task = await office.ask(source, what)
        job = await office.claimed()
        await PooledQueue(database).operate(task, verb)

        assert not await records.seal(database, sealed(job))
        assert [row["id"] for row in await office.rows()] == [source]
        assert await records.waiting_tombstones(database, MEDIA) == []

    run(scenario)


def test_only_the_newest_attempts_record_counts(run):
    """A task that was handed on gives one copy, under the newest attempt's name."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        task = await office.ask(source, "move")
        old = await office.claimed()
        await dispatch.finished(database, task, old.fence, source="media", outcome="stopped")
        new = await office.claimed()
        assert new.record_uuid != old.record_uuid

        assert not await records.seal(database, sealed(old))
        assert not await records.seal(database, sealed(old, fence=new.fence))
        assert await records.seal(database, sealed(new))
        assert [row["uuid"].hex for row in await office.rows()] == [new.record_uuid]

    run(scenario)


@pytest.mark.parametrize(
    "lie", [{"media_hwid": OTHER_MEDIA}, {"client_hwid": "0" * 16}, {"pool_id": 1}, {"task_id": 99}]
)
def test_a_record_that_is_not_the_tasks_own_is_not_kept(run, lie):
    """Media server, pool and owner must be those of the task: a copied record belongs to the same client."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        await office.ask(source)
        job = await office.claimed()

        assert not await records.seal(database, sealed(job, **lie))
        assert len(await office.rows()) == 1

    run(scenario)


def test_the_media_servers_word_alone_does_not_end_the_task(run):
    """It is Done when the catalogue has the copy; until then the lease waits for the seal."""

    async def scenario(database: Database):
        office = await Office.build(database)
        task = await office.ask(await office.record())
        job = await office.claimed()
        await dispatch.finished(
            database, task, job.fence, source="media", outcome="done", message="Copied.", hwid=MEDIA
        )
        assert await office.status(task) != "Done"

        assert await records.seal(database, sealed(job))
        assert await office.status(task) == "Done"

    run(scenario)


def test_a_source_in_use_is_not_deleted(run):
    """Deleting it is refused while a task copies or moves it, and the target pool's storage stays too."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        task = await office.ask(source)
        async with database.transaction() as db:
            with pytest.raises(Conflict, match=f"task {task}"):
                await deletion.delete_records(change(db), [source])
        assert await records.seal(database, sealed(await office.claimed()))
        async with database.transaction() as db:
            await deletion.delete_records(change(db), [source])

        assert [row["pool_id"] for row in await office.rows()] == [office.target]

    run(scenario)


def test_copies_share_their_source_and_a_move_wants_it_alone(run):
    """Two copies at a time, a move only when nobody reads it."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        await office.ask(source)
        await office.ask(source)
        move = await office.ask(source, "move")
        jobs = await dispatch.claim(database, 0, SERVER, 60, 5)
        assert [job.task_type for job in jobs] == ["Copy", "Copy"]
        for job in jobs:
            assert (
                await office.world.value("SELECT blocked_on FROM task_queue WHERE id = $1", move) == f"record:{source}"
            )
            assert await records.seal(database, sealed(job))

        assert (await office.claimed()).task_id == move

    run(scenario)


def test_who_waits_for_a_copy_that_is_moved_is_led_to_the_new_one(run):
    """A verification that was asked for meanwhile works on the moved copy, in its new pool."""

    async def scenario(database: Database):
        office = await Office.build(database, elsewhere=True)
        source = await office.record()
        await office.ask(source, "move")
        job = await office.claimed()
        waiting = await office.world.on_record(source)
        assert await records.seal(database, sealed(job))

        verification = await office.claimed()
        (new,) = await office.rows()
        assert (verification.task_id, verification.record_uuid) == (waiting, new["uuid"].hex)
        assert (verification.pool_id, verification.media_hwid) == (office.target, OTHER_MEDIA)

    run(scenario)


def test_a_tombstone_waits_for_the_backup_that_reads_the_parent(run):
    """The pool forgets a moved record only when no running backup builds on it."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        await office.ask(source, "move")
        move = await office.claimed()
        await office.world.backup(backup_type="incremental")
        backup = await office.claimed()
        assert backup.parent_uuid != ""
        assert await records.seal(database, sealed(move))
        assert await records.waiting_tombstones(database, MEDIA) == []
        assert await records.seal(database, sealed(backup))

        assert [record for _, record in await records.waiting_tombstones(database, MEDIA)] == [backup.parent_uuid]

    run(scenario)


def test_the_parent_link_leads_to_the_parents_copy_in_the_same_pool(run):
    """Without one there a copied incremental has no parent; with one it names it."""

    async def scenario(database: Database):
        office = await Office.build(database)
        full = await office.record()
        child = await office.record(backup_type="incremental")
        await office.ask(child)
        first = await office.claimed()
        assert first.parent_uuid == ""
        assert await records.seal(database, sealed(first))
        await office.ask(full, "move")
        assert await records.seal(database, sealed(await office.claimed()))
        await office.ask(child)
        assert await records.seal(database, sealed(await office.claimed()))

        rows = [row for row in await office.rows() if row["pool_id"] == office.target]
        assert [row["backup_type"] for row in rows] == ["incremental", "full", "incremental"]
        assert [row["parent_id"] for row in rows] == [None, None, rows[1]["id"]]

    run(scenario)


def test_the_target_pool_bounds_how_long_the_copy_is_kept(run):
    """store_until is the source's, but not beyond the creation plus the pool's retention_period."""

    async def scenario(database: Database):
        office = await Office.build(database, retention_period=dt.timedelta(days=30))
        source = await office.record()
        await office.ask(source)
        assert await records.seal(database, sealed(await office.claimed()))
        _, new = await office.rows()
        assert (new["store_until"] - new["created_at"]).days == 30

        await office.world.row("UPDATE repository SET created_at = now() - interval '31 days' RETURNING 1")
        with pytest.raises(Conflict, match="retention_period"):
            await office.ask(source)

    run(scenario)


def test_what_cannot_be_copied_any_more_ends_in_an_error_that_says_so(run):
    """A lock that came after the order, or a move of a copy that is already there."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        first, second = await office.ask(source, "move"), await office.ask(source, "move")
        assert await records.seal(database, sealed(await office.claimed()))
        assert await dispatch.claim(database, 0, SERVER, 60, 5) == []
        row = await office.world.row("SELECT status, message FROM task_queue WHERE id = $1", second)
        assert (row["status"], row["message"]) == ("Error", "The copy is in pool Second already.")
        assert await office.status(first) == "Done"

        again = await office.ask((await office.rows())[0]["id"], "move", "Default")
        await office.world.row("UPDATE repository SET locked_until = now() + interval '1 day' RETURNING 1")
        assert await dispatch.claim(database, 0, SERVER, 60, 5) == []
        assert "locked" in await office.world.value("SELECT message FROM task_queue WHERE id = $1", again)

    run(scenario)


def test_a_lock_that_comes_during_a_move_wins(run):
    """The copy is not kept then: a locked one stays where it is."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        await office.ask(source, "move")
        job = await office.claimed()
        await office.world.row("UPDATE repository SET locked_until = now() + interval '1 day' RETURNING 1")

        assert not await records.seal(database, sealed(job))
        assert [row["id"] for row in await office.rows()] == [source]

    run(scenario)


def test_between_media_servers_both_must_be_there(run):
    """Asking is refused while one is offline; a task that was made waits for it."""

    async def scenario(database: Database):
        office = await Office.build(database, elsewhere=True)
        source = await office.record()
        task = await office.ask(source)
        await office.world.row(
            "UPDATE media_presence SET online = media_server_id <> $1 RETURNING 1", office.world.media
        )
        with pytest.raises(Conflict, match="offline: vault"):
            await office.ask(source)
        assert await dispatch.claim(database, 0, SERVER, 60, 5) == []
        assert await office.world.value("SELECT blocked_on FROM task_queue WHERE id = $1", task) == f"media:{MEDIA}"

        await office.world.media_online()
        job = await office.claimed()
        assert (job.media_hwid, job.source_media_hwid, job.source_is_elsewhere) == (OTHER_MEDIA, MEDIA, True)
        assert job.source_endpoint == "10.0.0.1:9993"
        assert (await dispatch.job_of(database, task, job.fence)) == job

    run(scenario)


def test_a_copy_outlives_the_client_that_it_is_of(run):
    """The copies of a deleted client can still be copied; they stay that client's."""

    async def scenario(database: Database):
        office = await Office.build(database)
        source = await office.record()
        await office.world.row("UPDATE repository SET client_id = NULL RETURNING 1")
        await office.ask(source)
        job = await office.claimed()
        assert job.client_hwid == CLIENT
        assert await records.seal(database, sealed(job))

        assert [row["client_hwid"] for row in await office.rows()] == [CLIENT, CLIENT]

    run(scenario)


@pytest.mark.parametrize("immutable", [False, True])
def test_new_copies_are_locked_until_they_end_where_it_is_configured_so(run, immutable):
    """Backups and copies of copies; the media server is told, and told again when the lock is extended."""

    async def scenario(database: Database):
        office = await Office.build(database)
        await office.world.configure(immutable_archives=immutable)
        source = await office.record()
        await office.ask(source)
        assert await records.seal(database, sealed(await office.claimed()))
        rows = await office.rows()
        if not immutable:
            assert [row["locked_until"] for row in rows] == [None, None]
            assert await records.untold_locks(database, MEDIA) == []
            return
        assert [row["locked_until"] for row in rows] == [row["store_until"] for row in rows]
        told = await records.untold_locks(database, MEDIA)
        assert [(row, pool) for row, pool, _, _ in told] == [(row["id"], row["pool_id"]) for row in rows]
        assert await records.untold_locks(database, OTHER_MEDIA) == []
        for row, _, _, until in told:
            await records.lock_told(database, row, until)
        assert await records.untold_locks(database, MEDIA) == []

    run(scenario)


@pytest.mark.parametrize("wanted", ["no", "yes"])
def test_a_new_copy_is_verified_where_it_is_configured_so(run, wanted):
    """The verification is queued in the transaction that lists the copy; a copy of a copy was read back already."""

    async def scenario(database: Database):
        office = await Office.build(database)
        await office.world.configure(verify_archive_after_creation=wanted)
        source = await office.record()
        await office.ask(source)
        queued = await dispatch.claim(database, 0, SERVER, 60, 5)
        assert await records.seal(database, sealed(next(job for job in queued if job.task_type == "Copy")))

        tasks = await office.world.column("SELECT record_id FROM task_queue WHERE task_type = 'Verify'")
        assert tasks == ([source] if wanted == "yes" else [])

    run(scenario)


def test_an_archive_stands_by_itself(run):
    """Nothing builds on one: after a full archive an incremental becomes a full, and the task says so."""

    async def scenario(database: Database):
        office = await Office.build(database)
        await office.record(archiving=True)
        await office.record(backup_type="incremental")
        await office.record(backup_type="incremental", archiving=True)
        await office.record(backup_type="incremental")

        rows = await office.rows()
        assert [row["backup_type"] for row in rows] == ["full", "full", "incremental", "incremental"]
        assert [row["parent_id"] for row in rows] == [None, None, rows[1]["id"], rows[1]["id"]]
        messages = await office.world.column("SELECT text FROM task_log WHERE text LIKE '%becomes a full%'")
        assert len(messages) == 1

    run(scenario)


def test_asking_for_a_copy_that_is_not_there(run):
    """NotFound, as everywhere."""

    async def scenario(database: Database):
        office = await Office.build(database)
        with pytest.raises(NotFound):
            await office.ask(4711)

    run(scenario)
