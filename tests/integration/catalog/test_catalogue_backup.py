"""The catalogue in a file, and back: against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rubackup.catalog._alembic import upgrade
from rubackup.catalog.backup.file import KeyFile, Reader, check, key_files
from rubackup.catalog.backup.restoring import STAGING, restore
from rubackup.catalog.backup.taking import take
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.versions import OWN, Schema, newest, revisions
from rubackup.domain.errors import Conflict, Corrupt, Invalid, StorageFault
from rubackup.services.retention_clock import suspended
from support.catalogue import World
from support.databases import execute, fresh_database

pytestmark = pytest.mark.postgres
FILL = Path(__file__).parents[3] / "bench" / "api_rows.sql"
OLD = Path(__file__).parents[2] / "data" / "catalogue"
PHRASE = b"a passphrase of some length"
_EVERYTHING = """
SELECT c.relname AS name, (xpath('/row/h/text()', query_to_xml(format(
    'SELECT md5(coalesce(string_agg(t::text, E''\n'' ORDER BY t::text), '''')) AS h FROM public.%I t', c.relname), true, true, '')))[1]::text AS sum
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1"""
_SETTLED = {
    "api_tokens", "audit", "event_log", "events", "idempotency_keys", "leadership", "leadership_terms", "login_failures",
    "pool_state", "task_log", "task_progress", "task_queue", "task_reservations", "token_families",
    "client_presence", "media_presence", "retention_state",
}  # fmt: skip
"""Tables that a restore changes on purpose."""


def rows(address: DatabaseAddress, query: str, *values: Any) -> list[Any]:
    """What a query finds, on a connection that is gone afterwards."""

    async def run() -> list[Any]:
        db = await Database(address).direct()
        try:
            return await db.fetch(query, *values)
        finally:
            await db.close()

    return asyncio.run(run())


def value(address: DatabaseAddress, query: str, *values: Any) -> Any:
    """The first value of a query."""
    return rows(address, query, *values)[0][0]


def everything(address: DatabaseAddress) -> dict[str, str]:
    """A sum over the rows of each table."""
    return {row["name"]: row["sum"] for row in rows(address, _EVERYTHING)}


def fill(address: DatabaseAddress, number: int = 300) -> None:
    """A catalogue with so many tasks and copies, and rows of rules and logs."""
    execute(address, f"SET rubackup.rows = {number}; {FILL.read_text()}")


def taken(address: DatabaseAddress, target: Path, **more: Any) -> Path:
    """A backup of the catalogue."""
    asyncio.run(take(address, target, server="backup1", root="ab" * 32, **more))
    return target


@pytest.fixture
def backup(database: DatabaseAddress, tmp_path: Path) -> Path:
    """A backup of a catalogue of 300 copies."""
    fill(database)
    return taken(database, tmp_path / "one.rbcat")


def test_an_empty_database_gets_what_the_other_one_had(
    database: DatabaseAddress, empty_database: DatabaseAddress, backup: Path
) -> None:
    """Every row, index, key, trigger and sequence; what must not go on as it stood is told apart."""
    header = asyncio.run(restore(empty_database, backup, replace=False))

    before, after = everything(database), everything(empty_database)
    assert {name for name in before if before[name] != after[name]} <= _SETTLED
    assert before.keys() == after.keys()
    for query in (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        "SELECT tgrelid::regclass::text, tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
        "SELECT sequencename::text FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1",
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        "SELECT stxname::text FROM pg_statistic_ext ORDER BY 1",
        "SELECT viewname::text FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    ):
        assert [tuple(row) for row in rows(database, query)] == [tuple(row) for row in rows(empty_database, query)]
    assert value(empty_database, "SELECT to_regnamespace($1)::text", STAGING) is None
    assert header.schema == revisions()[-1]
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_backup_is_of_one_moment(database: DatabaseAddress, tmp_path: Path, empty_database: DatabaseAddress) -> None:
    """What is written while it is taken is in it as a whole or not at all."""
    fill(database, 3000)

    async def busy() -> None:
        pool = Database(database, size=2)
        await pool.open()
        stop = asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                async with pool.transaction() as db:
                    group = await db.fetchval(
                        "INSERT INTO client_groups (name) VALUES (gen_random_uuid()::text) RETURNING id"
                    )
                    await db.execute("INSERT INTO user_groups (name) VALUES ($1)", f"of {group}")

        writing = asyncio.create_task(write())
        await take(database, tmp_path / "f.rbcat", server="", root="")
        stop.set()
        await writing
        await pool.close()

    asyncio.run(busy())
    asyncio.run(restore(empty_database, tmp_path / "f.rbcat", replace=False))

    pairs = "SELECT count(*) FROM user_groups WHERE name LIKE 'of %'"
    groups = "SELECT count(*) FROM client_groups WHERE length(name) = 36"
    assert value(empty_database, pairs) == value(empty_database, groups)
    assert value(empty_database, pairs) < value(database, pairs)


def test_what_went_on_is_over_and_the_past_is_refused(database: DatabaseAddress, tmp_path: Path) -> None:
    """Running tasks are Broken and waiting ones Killed with a reason; epoch, fence and numbers of tasks rise; sessions end."""

    async def begin() -> None:
        pool = Database(database)
        await pool.open()
        world = await World.build(pool)
        await world.backup()
        held = await world.backup(resource="/etc")
        async with pool.transaction() as db:
            await db.execute("UPDATE task_queue SET status = 'Execution' WHERE id = $1", held)
            await db.execute("UPDATE leadership SET epoch = 7")
            await db.execute("INSERT INTO leadership_terms (epoch) VALUES (7)")
            await db.execute("INSERT INTO pool_state (pool_id, contact) VALUES ($1, 5)", world.pool)
            user = await db.fetchval(
                "INSERT INTO users (username, password_hash, group_id) SELECT 'u', 'h', id FROM user_groups LIMIT 1 RETURNING id"
            )
            await db.execute(
                "INSERT INTO token_families (family, user_id, ends_at, refresh_jti, pair) VALUES ('f', $1, now(), 'j', '{}')",
                user,
            )
        await pool.close()

    asyncio.run(begin())
    path = taken(database, tmp_path / "f.rbcat")
    asyncio.run(restore(database, path, replace=True))

    tasks = rows(database, "SELECT status, message, finished_at IS NOT NULL FROM task_queue ORDER BY id")
    assert [tuple(task)[::2] for task in tasks] == [("Killed", True), ("Broken", True)]
    assert all("was restored from the backup of" in task["message"] for task in tasks)
    assert value(database, "SELECT count(*) FROM task_reservations") == 0
    first = value(database, "SELECT epoch FROM leadership")
    assert first > 1_700_000_000
    assert value(database, "SELECT nextval('task_fence')") > 1_700_000_000 << 20
    assert value(database, "SELECT nextval(pg_get_serial_sequence('task_queue', 'id'))") > 1_000_000
    assert (
        value(database, "SELECT count(*) FROM leadership_terms")
        + value(database, "SELECT count(*) FROM token_families")
        == 0
    )
    assert tuple(rows(database, "SELECT reconciled, contact FROM pool_state")[0]) == (False, 5)
    assert value(database, "SELECT count(*) FROM client_presence WHERE online") == 0
    assert value(database, "SELECT path FROM audit ORDER BY id DESC LIMIT 1") == "restore-catalogue"


def test_nothing_is_deleted_by_time_for_a_week_after_a_restore(database: DatabaseAddress, backup: Path) -> None:
    """How long copies are kept may have been changed since: an administrator has time to look."""
    header = asyncio.run(restore(database, backup, replace=True))

    async def look() -> tuple[bool, bool, str]:
        db = await Database(database).direct()
        try:
            now = await db.fetchval("SELECT now()")
            reason = await db.fetchval("SELECT reason FROM retention_state")
            return (
                await suspended(db, now + dt.timedelta(days=6, hours=23)),
                await suspended(db, now + dt.timedelta(days=7, minutes=5)),
                reason,
            )
        finally:
            await db.close()

    rests, later, reason = asyncio.run(look())
    assert (rests, later) == (True, False)
    assert f"{header.taken_at:%Y-%m-%d %H:%M}" in reason


def test_a_second_restore_of_the_same_backup_gives_no_number_twice(database: DatabaseAddress, backup: Path) -> None:
    """Neither of a task nor of a copy: what was made between the two may be remembered by people and pools."""
    given: dict[str, list[int]] = {"task_queue": [], "repository": []}
    for _ in range(2):
        asyncio.run(restore(database, backup, replace=True))
        for table, numbers in given.items():
            numbers.append(value(database, f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))"))
        time.sleep(1)
    for table, (first, second) in given.items():
        assert first > value(database, f"SELECT max(id) FROM {table}") + 900_000
        assert second >= first + 10


def test_only_a_catalogue_that_nobody_uses_is_replaced(
    database: DatabaseAddress, backup: Path, postgres: DatabaseAddress
) -> None:
    """Without a word it is kept; while somebody is connected it is refused, with the name of who it is."""
    before = everything(database)
    with pytest.raises(Conflict, match="--replace"):
        asyncio.run(restore(database, backup, replace=False))

    async def connected() -> None:
        db = await Database(database, application="rubackup_server").direct()
        try:
            await restore(database, backup, replace=True)
        finally:
            await db.close()

    with pytest.raises(Conflict, match=r"rubackup_server .*from 127\.0\.0\.1 \(1\)"):
        asyncio.run(connected())
    assert everything(database) == before


def test_a_connection_of_another_role_is_seen_too(
    database: DatabaseAddress, backup: Path, postgres: DatabaseAddress
) -> None:
    """Although PostgreSQL shows this role neither its program nor from where it is; housekeeping of PostgreSQL itself is none."""

    async def connected() -> None:
        admin = dataclasses.replace(postgres, database=database.database)
        db = await Database(admin, application="rubackup_api").direct()
        try:
            await restore(database, backup, replace=True)
        finally:
            await db.close()

    with pytest.raises(Conflict, match="is in use: rubackup_api"):
        asyncio.run(connected())


def test_a_file_that_is_damaged_anywhere_is_refused_before_anything_is_touched(
    empty_database: DatabaseAddress, backup: Path, tmp_path: Path
) -> None:
    """Any byte changed, cut off or added is noticed; and a file of something else."""
    whole = backup.read_bytes()
    bad = tmp_path / "bad.rbcat"
    for at in [*range(64), *range(64, len(whole), max(1, len(whole) // 150)), len(whole) - 1]:
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((Corrupt, Invalid)):
            check(bad)
    for cut in (0, 5, 11, 200, len(whole) // 2, len(whole) - 1):
        bad.write_bytes(whole[:cut])
        with pytest.raises((Corrupt, Invalid)):
            check(bad)
    bad.write_bytes(whole + b"x")
    with pytest.raises(Corrupt, match="damaged"):
        asyncio.run(restore(empty_database, bad, replace=False))
    assert everything(empty_database) == {}


def test_a_newer_backup_is_refused_and_an_older_one_is_brought_forward(
    empty_database: DatabaseAddress, postgres: DatabaseAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of an earlier schema gets this version's; one of a later version is named, with what to do."""
    old = Schema(18, 17)
    with fresh_database(postgres, template=None) as source:
        asyncio.run(upgrade(source, old))
        execute(source, "INSERT INTO client_groups (name) VALUES ('kept')")
        path = taken(source, tmp_path / "old.rbcat")
    asyncio.run(restore(empty_database, path, replace=False))

    assert check(path)[0].schema == str(old) == "0018_pre"
    assert value(empty_database, "SELECT count(*) FROM client_groups WHERE name = 'kept'") == 1
    assert value(empty_database, "SELECT pre FROM schema_version") == newest()
    # What no version needs that may run beside this one is gone; the rest waits for `rb_init --finish-upgrade`.
    assert value(empty_database, "SELECT version_num FROM schema_version") == f"{OWN.beside + 1:04}_pre"

    with fresh_database(postgres) as source:
        execute(source, "UPDATE schema_version SET version_num = '9999_pre'")
        monkeypatch.setattr("rubackup.catalog.backup.taking.check_version", _nothing)
        newer = taken(source, tmp_path / "new.rbcat")
    with pytest.raises(Conflict, match=r"newer version.*9999_pre"):
        asyncio.run(restore(empty_database, newer, replace=True))


async def _nothing(_address: DatabaseAddress) -> None:
    """As a later version would find its own schema."""


def test_a_passphrase_hides_everything_but_the_header(database: DatabaseAddress, tmp_path: Path) -> None:
    """Names and keys are not in the file, another passphrase or none opens it not, and a changed header neither."""
    execute(database, "INSERT INTO client_groups (name) VALUES ('quite-a-secret-name')")
    keys = [KeyFile("keys/rootCA/serverRootCAKey.key", 0o600, b"PRIVATE" * 20)]
    path = taken(database, tmp_path / "f.rbcat", keys=keys, passphrase=PHRASE)

    assert b"quite-a-secret" not in path.read_bytes()
    assert b"PRIVATE" not in path.read_bytes()
    assert key_files(path, PHRASE) == keys
    with pytest.raises(Invalid, match="does not open"):
        check(path, b"another")
    with pytest.raises(Invalid, match="give --passphrase-file"):
        check(path)
    with Reader(path, PHRASE) as reader:
        assert (reader.header.server, reader.header.root, reader.header.keys) == ("backup1", "ab" * 32, True)


STEPS: tuple[str, ...] = ("commit",)
"""Where the change is made but not yet committed; every step by `scripts/nightly recovery`."""
if os.environ.get("RECOVERY"):
    STEPS = ("check", "schema", "load", "migrate", "settle", "swap", "commit")
_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from rubackup.catalog.backup.restoring import restore
from rubackup.catalog.database import DatabaseAddress
host, port, user, password, database, file, step = sys.argv[1:]
def at(now):
    if now == step:
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(restore(DatabaseAddress(host, int(port), user, password, database), Path(file), replace=True, step=at))
"""


def test_killed_in_any_step_the_catalogue_is_what_it_was(database: DatabaseAddress, backup: Path) -> None:
    """And the next restore is not hindered by what was left."""
    execute(database, "INSERT INTO client_groups (name) VALUES ('made after the backup')")
    before = everything(database)
    a = database
    for step in STEPS:
        arguments = [a.host, str(a.port), a.user, a.password, a.database, str(backup), step]
        ended = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
        assert everything(database) == before, step

    asyncio.run(restore(database, backup, replace=True))
    assert value(database, "SELECT count(*) FROM client_groups WHERE name = 'made after the backup'") == 0
    assert value(database, "SELECT to_regnamespace($1)::text", STAGING) is None


def test_killed_or_without_room_no_half_file_has_the_name(database: DatabaseAddress, tmp_path: Path) -> None:
    """A disk that is full, a folder that may not be written and a file that is there are told in a sentence."""
    with pytest.raises(StorageFault, match="File too large"):
        _full(database, tmp_path)
    there = taken(database, tmp_path / "f.rbcat")
    content = there.read_bytes()
    with pytest.raises(Conflict, match="already"):
        taken(database, there)
    with pytest.raises(StorageFault, match="cannot be written"):
        taken(database, tmp_path / "missing" / "f.rbcat")
    assert there.read_bytes() == content
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f.rbcat"]


def _full(database: DatabaseAddress, tmp_path: Path) -> None:
    """As on a full disk: a limit on the size of files gives the same path through the code."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        taken(database, tmp_path / "full.rbcat")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_role_that_may_not_is_told_so(database: DatabaseAddress, backup: Path, postgres: DatabaseAddress) -> None:
    """In a database of another owner nothing is replaced, and the catalogue stays."""
    execute(postgres, f"ALTER DATABASE {database.database} OWNER TO {postgres.user}")
    before = value(database, "SELECT count(*) FROM repository")
    with pytest.raises(Conflict, match="has to own the database"):
        asyncio.run(restore(database, backup, replace=True))
    assert value(database, "SELECT count(*) FROM repository") == before


def test_what_others_get_on_new_tables_they_have(
    database: DatabaseAddress, backup: Path, postgres: DatabaseAddress
) -> None:
    """A table that this version has and the catalogue that gives way had not is one of an API's host, too."""
    execute(postgres, "DO $$ BEGIN CREATE ROLE api_group; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    execute(
        database, "DROP TABLE rule_bandwidth", "DROP TABLE api_hosts",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, UPDATE ON TABLES TO api_group",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO api_group",
    )  # fmt: skip
    asyncio.run(restore(database, backup, replace=True))
    may = "SELECT has_table_privilege('api_group', $1, $2)"
    assert value(database, may, "rule_bandwidth", "UPDATE")
    assert value(database, "SELECT has_sequence_privilege('api_group', 'rule_bandwidth_id_seq', 'USAGE')")
    assert not value(database, may, "rule_bandwidth", "DELETE")
    assert value(database, may, "api_hosts", "SELECT")
    assert not value(database, may, "api_hosts", "UPDATE")
    assert not value(database, may, "repository", "SELECT")


def test_what_others_were_granted_they_have_again(
    database: DatabaseAddress, backup: Path, postgres: DatabaseAddress
) -> None:
    """A role that reads for reports still does, and an extension in the same schema stays."""
    admin = DatabaseAddress(postgres.host, postgres.port, postgres.user, postgres.password, database.database)
    execute(admin, "DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    execute(admin, "GRANT SELECT ON repository TO reader")
    try:
        asyncio.run(restore(database, backup, replace=True))
        assert value(database, "SELECT has_table_privilege('reader', 'repository', 'SELECT')")
        assert not value(database, "SELECT has_table_privilege('reader', 'users', 'SELECT')")
    finally:
        execute(admin, "DROP OWNED BY reader")


@pytest.mark.parametrize("name", ["format-1", "format-1-encrypted"])
def test_files_of_earlier_versions_are_read(empty_database: DatabaseAddress, name: str) -> None:
    """Each format that was ever written stays readable; its schema is brought forward."""
    phrase = PHRASE if "encrypted" in name else b""
    header = asyncio.run(restore(empty_database, OLD / f"{name}.rbcat", replace=False, passphrase=phrase))

    assert (header.format, header.server, header.schema) == (1, "backup1", "0021_post")
    assert value(empty_database, "SELECT hostname FROM clients") == "workstation"
    assert value(empty_database, "SELECT pre FROM schema_version") == newest()
