"""Pools, the global configuration, housekeeping."""

from __future__ import annotations

import uuid

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced
from rubackup.services import configuration, housekeeping, pools
from rubackup.services.pools import DeviceRow, PoolReport, StorageRow
from rubackup.services.ports import BucketPlace
from support.catalogue import MEDIA, OTHER_MEDIA, World, insert

pytestmark = pytest.mark.postgres


def test_a_media_server_is_told_its_pools_and_no_others(run):
    """The configuration names the media server's file system pools, their storages and the reserve."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.connection() as db:
            storage = await insert(
                db, "storage_local_catalogs", path="/data", pool_id=world.pool, media_server_id=world.media
            )
            await insert(db, "pools", pool_name="Tape", pool_type="Tape library", media_server_id=world.media)
            await insert(
                db, "pools", pool_name="Tight", pool_type="File system", media_server_id=world.media,
                compression_type="best", ignore_free_space_check=True,
            )  # fmt: skip
        default, tight = await pools.configuration(database, MEDIA)

        assert (default.name, default.reserve_bytes, default.storages) == (
            "Default",
            2_000_000_000,
            [StorageRow(id=storage, path="/data")],
        )
        assert (tight.name, tight.compression, tight.reserve_bytes, tight.storages) == ("Tight", "best", 0, [])
        assert default.uuid == (await world.value("SELECT uuid FROM pools WHERE id = $1", world.pool)).hex
        assert await pools.configuration(database, OTHER_MEDIA) == []

    run(scenario)


def test_devices_and_buckets_are_told_with_what_their_kind_needs(run):
    """A device by its uuid, a bucket with its secret as it is sealed; only folders have an emergency storage."""

    async def scenario(database: Database):
        world = await World.build(database)
        name = uuid.uuid4()
        async with database.connection() as db:
            blocks = await insert(
                db, "pools", pool_name="Blocks", pool_type="Block device", media_server_id=world.media,
                compression_type="None", algorithm="sha2", hash_length=256, block_size=131072,
                meta_data_pool_id=world.pool,
            )  # fmt: skip
            cloud = await insert(db, "pools", pool_name="Cloud", pool_type="Cloud", media_server_id=world.media)
            device = await insert(
                db, "storage_block_devices", device="/dev/b", real_path="/dev/b", disk="/dev/b", pool_id=blocks,
                media_server_id=world.media, kind="block device", size_bytes=1 << 30, signature="",
                overwrite_file_system=False, parallel_workers=3, uuid=name,
            )  # fmt: skip
            bucket = await insert(
                db, "storage_clouds", name="b", pool_id=cloud, endpoint="https://s3", bucket="one", prefix="in/it",
                access_key="AK", secret_sealed=b"sealed", secret_fingerprint="f", object_lock="governance",
                conditional_writes=True,
            )  # fmt: skip
        _, told, far = await pools.configuration(database, MEDIA)

        assert (told.id, told.metadata_pool, told.emergency) == (blocks, world.pool, "")
        assert told.storages == [StorageRow(id=device, path="/dev/b", device=DeviceRow(uuid=name.hex, workers=3))]
        place = BucketPlace(
            endpoint="https://s3", region="", bucket="one", prefix="in/it", access_key="AK", secret_sealed=b"sealed",
            object_lock="governance", conditional_writes=True,
        )  # fmt: skip
        assert far.storages == [StorageRow(id=bucket, path="https://s3/one/in/it", bucket=place)]

    run(scenario)


def test_a_media_server_reports_its_own_pools_only(run):
    """States are stored for the reporter's pools; a problem that comes or goes is an event."""

    async def scenario(database: Database):
        world = await World.build(database)

        async def report(hwid: str, problem: str) -> None:
            state = PoolReport(id=world.pool, problem=problem, free_bytes=5, used_bytes=6, total_bytes=11, chunks=7)
            await pools.report(database, hwid, [state])

        await report(OTHER_MEDIA, "a lie")
        assert await world.value("SELECT count(*) FROM pool_state") == 0
        for problem in ("", "", "disk is gone"):
            await report(MEDIA, problem)

        row = await world.row("SELECT problem, free_bytes, used_bytes, total_bytes, chunks FROM pool_state")
        assert tuple(row) == ("disk is gone", 5, 6, 11, 7)
        assert await world.value("SELECT count(*) FROM events WHERE family = 'pool_list'") == 2

    run(scenario)


def test_a_key_has_its_default_until_it_is_stored(run):
    """Stored values come in the type of the default; switches are yes and no or true and false."""

    async def scenario(database: Database):
        async with database.connection() as db:
            assert await configuration.number(db, "wrong_auth_attempts_count") == 5
            assert await configuration.enabled(db, "dedup_provide_common_hash_table")
            assert not await configuration.enabled(db, "immutable_archives")
            await db.execute(
                """INSERT INTO global_configuration VALUES ('wrong_auth_attempts_count', '7'),
                   ('dedup_provide_common_hash_table', '"no"'), ('immutable_archives', 'true')"""
            )
            assert await configuration.number(db, "wrong_auth_attempts_count") == 7
            assert not await configuration.enabled(db, "dedup_provide_common_hash_table")
            assert await configuration.enabled(db, "immutable_archives")
            with pytest.raises(KeyError):
                await configuration.value(db, "no_such_key")

    run(scenario)


@pytest.mark.parametrize(
    ("status", "age", "stays"),
    [
        ("Done", "23 hours", True), ("Done", "25 hours", False), ("Error", "25 hours", True),
        ("Error", "8 days", False), ("Broken", "8 days", False), ("Killed", "8 days", False),
    ],
)  # fmt: skip
def test_finished_tasks_leave_after_their_time(run, status, age, stays):
    """How long a task stays in the queue follows from its end and the configuration; leaving is an event."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row(
            """INSERT INTO task_queue (task_type, executor, status, finished_at)
               VALUES ('Backup', 'client', $1, now() - $2::text::interval) RETURNING id""",
            status, age,
        )  # fmt: skip
        tidied = await housekeeping.run(database)

        assert await world.value("SELECT count(*) FROM task_queue") == int(stays)
        assert tidied.tasks == int(not stays)
        assert (
            await world.value("""SELECT count(*) FROM events WHERE data @> '{"status": "Removed"}'""") == tidied.tasks
        )

    run(scenario)


def test_unfinished_tasks_stay_however_old(run):
    """Only tasks that are over are removed."""

    async def scenario(database: Database):
        world = await World.build(database)
        task = await world.backup()
        await world.row("UPDATE task_queue SET created_at = now() - interval '10 years' RETURNING id")
        await housekeeping.run(database)

        assert await world.column("SELECT id FROM task_queue") == [task]

    run(scenario)


def test_what_is_over_is_removed(run):
    """Sessions past their end, failed logins of yesterday, old events and expired certificates go; others stay."""

    async def scenario(database: Database):
        async with database.connection() as db:
            group = await db.fetchval("SELECT id FROM user_groups")
            user = await insert(db, "users", username="u", password_hash="", group_id=group)
            for hours in (-1, 1):
                await db.execute(
                    """INSERT INTO token_families (family, user_id, ends_at, refresh_jti, pair)
                       VALUES ($1, $2, now() + make_interval(hours => $3), '', '{}')""",
                    f"family {hours}", user, hours,
                )  # fmt: skip
            for name, last, blocked in (
                ("old", "2 days", None),
                ("new", "1 hour", None),
                ("blocked", "2 days", "1 hour"),
            ):
                await db.execute(
                    """INSERT INTO login_failures VALUES
                       ($1, '', 5, now() - $2::text::interval, now() + $3::text::interval)""",
                    name, last, blocked,
                )  # fmt: skip
            for days in (1, 30):
                await db.execute(
                    "INSERT INTO events (at, kind, family, row_id) VALUES (now() - make_interval(days => $1), 'k', 'f', $1)",
                    days,
                )
            for serial, end in (("old", "-1 day"), ("good", "1 day")):
                await db.execute(
                    "INSERT INTO issued_certificates VALUES ($1, 'client', 'h', now(), now() + $2::text::interval)",
                    serial,
                    end,
                )
                await db.execute("INSERT INTO revoked_certificates VALUES ($1, 'client', 'h', 'r')", serial)
        await housekeeping.run(database)

        async with database.connection() as db:
            left = [
                [row[0] for row in await db.fetch(query)]
                for query in (
                    "SELECT family FROM token_families", "SELECT name FROM login_failures ORDER BY 1",
                    "SELECT row_id FROM events", "SELECT serial FROM revoked_certificates",
                )
            ]  # fmt: skip
        assert left == [["family 1"], ["blocked", "new"], [1], ["good"]]

    run(scenario)


def test_an_old_leader_tidies_nothing(run):
    """Housekeeping under an epoch that is over is fenced."""

    async def scenario(database: Database):
        with pytest.raises(Fenced):
            await housekeeping.run(database, epoch=17)

    run(scenario)
