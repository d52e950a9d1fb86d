"""Indexes that a migration builds while servers and APIs of the release before work: who waits, and what a kill leaves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rubackup.catalog import indexes, versions
from rubackup.catalog._alembic import upgrade
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import finish, migrate
from rubackup.catalog.migrations import run as step
from rubackup.catalog.versions import OWN, Code, Schema
from rubackup.domain.errors import Conflict, Invalid, Unavailable
from support.releases import FIRST, TABLE, chain
from support.system import patiently

pytestmark = pytest.mark.postgres
PRE, POST = f"{FIRST:04}_pre", f"{FIRST:04}_post"
STEPS = {FIRST: (f"ALTER TABLE {TABLE} ADD COLUMN title text;", "SELECT 1;")}
INDEX = "groups_by_name_backwards"
SQL = f"CREATE INDEX CONCURRENTLY {INDEX} ON {TABLE} (reverse(name));\n"
VALID = "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1)"
WAITS = (
    "SELECT pid FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for %' AND current_locker_pid IS NOT NULL"
)
KILLED = """
import asyncio, sys
from pathlib import Path
from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.migrate import migrate
from rubackup.catalog.versions import Code
folder, host, port, user, password, database = sys.argv[1:]
address = DatabaseAddress(host, int(port), user, password, database)
asyncio.run(migrate(address, "pre", Code(Path(folder), "3.0.0-1", {beside})))
"""


@pytest.fixture
def code(tmp_path: Path) -> Code:
    """The next release: an index of a table that is there, and a column."""
    return chain(tmp_path / "next", STEPS, "3.0.0-1", indexes={PRE: f"-- For a search.\n{SQL}"})


@contextlib.asynccontextmanager
async def old_process(database: DatabaseAddress) -> AsyncIterator[Any]:
    """A connection of an API of this release, in the midst of a transaction that has written."""
    api = Database(database, application="rubackup_api")
    await api.open()
    try:
        async with api.connection() as db:
            begun = db.transaction()
            await begun.start()
            await db.execute(f"INSERT INTO {TABLE} (name) VALUES ('in a transaction')")
            yield begun
    finally:
        await api.close()


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    """What it finds, as soon as there is something."""
    async with asyncio.timeout(patiently(120)):
        while not (there := await found()):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.02)
        return there


@contextlib.asynccontextmanager
async def looking(database: DatabaseAddress) -> AsyncIterator[Any]:
    db = await asyncpg.connect(**database.arguments())
    try:
        yield db
    finally:
        await db.close()


def test_nobody_waits_for_it_and_it_may_take_its_time(
    database: DatabaseAddress, code: Code, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for a transaction of an older API, longer than a step may take; others read and write meanwhile."""
    monkeypatch.setattr(step, "STEP_SECONDS", 2.0)
    monkeypatch.setattr(indexes, "LOOK_SECONDS", 0.1)
    caplog.set_level("INFO")

    async def scenario() -> None:
        async with looking(database) as db, old_process(database) as transaction:
            task = asyncio.create_task(migrate(database, "pre", code))
            await until(lambda: db.fetchval(WAITS))
            await db.execute("SET lock_timeout = 1000")  # the build waits until the transaction ends
            for _ in range(25):  # somewhat longer than a step may take
                await db.execute(f"INSERT INTO {TABLE} (name) VALUES (gen_random_uuid()::text)")
                await db.fetch(f"SELECT * FROM {TABLE}")
                await asyncio.sleep(0.1)
            await until(lambda: asyncio.sleep(0, "for rubackup_api" in caplog.text))
            assert not task.done()
            assert str(await versions.read(db)) == f"{OWN.newest():04}_post"
            await transaction.commit()
            await task
            assert await db.fetchval(VALID, INDEX) is True
            assert str(await versions.read(db)) == PRE
            assert await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0

    asyncio.run(scenario())
    assert f"the index {INDEX}: waiting for " in caplog.text


def test_what_a_lost_connection_leaves_is_built_again(database: DatabaseAddress, code: Code) -> None:
    """PostgreSQL keeps an index that is not valid: it is no index, and goes."""

    async def scenario() -> None:
        async with looking(database) as db:
            async with old_process(database):
                task = asyncio.create_task(migrate(database, "pre", code))
                await db.execute("SELECT pg_terminate_backend($1)", await until(lambda: db.fetchval(WAITS)))
                with pytest.raises(Unavailable):
                    await task
                assert await db.fetchval(VALID, INDEX) is False
                assert str(await versions.read(db)) == f"{OWN.newest():04}_post"
            await migrate(database, "pre", code)
            assert (await db.fetchval(VALID, INDEX), str(await versions.read(db))) == (True, PRE)

    asyncio.run(scenario())


def test_what_a_killed_process_leaves_is_built_again(database: DatabaseAddress, code: Code) -> None:
    """PostgreSQL notices that it is gone, and lets its lock go: whoever comes next need not wait for the end of the build."""
    arguments = (database.host, str(database.port), database.user, database.password, database.database)
    program = KILLED.replace("{beside}", str(code.beside))

    async def scenario() -> None:
        async with looking(database) as db:
            async with old_process(database) as transaction:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", program, str(code.folder), *arguments
                )
                try:
                    await until(lambda: db.fetchval(WAITS))
                finally:
                    process.kill()
                    await process.wait()
                await until(lambda: db.fetchval(f"SELECT NOT EXISTS ({WAITS})"))
                assert await db.fetchval(VALID, INDEX) is False
                task = asyncio.create_task(migrate(database, "pre", code))
                # First the old one has to go, which waits for the same transaction.
                await until(
                    lambda: db.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONC%'")
                )
                await transaction.commit()
            await task
            assert (await db.fetchval(VALID, INDEX), str(await versions.read(db))) == (True, PRE)

    asyncio.run(scenario())


def test_one_that_is_whole_is_not_built_again(database: DatabaseAddress, tmp_path: Path) -> None:
    """The file beside it failed: the index stays, and the next start goes on there."""
    wrong = {FIRST: ("SELECT 1 / 0;", "SELECT 1;")}
    broken = chain(tmp_path / "a", wrong, "3.0.0-1", indexes={PRE: SQL})
    mended = chain(tmp_path / "b", STEPS, "3.0.0-2", indexes={PRE: SQL})

    async def scenario() -> None:
        async with looking(database) as db:
            with pytest.raises(Invalid):
                await migrate(database, "pre", broken)
            before = await db.fetchval("SELECT to_regclass($1)::oid", INDEX)
            await migrate(database, "pre", mended)
            assert (await db.fetchval("SELECT to_regclass($1)::oid", INDEX), before is not None) == (before, True)

    asyncio.run(scenario())


def test_a_unique_one_names_the_rows_that_are_alike(database: DatabaseAddress, tmp_path: Path) -> None:
    """Nothing of it is left, which would be in the way of rows to come; the files before it have run."""
    sql = f"CREATE UNIQUE INDEX CONCURRENTLY one_title ON {TABLE} (title);"
    code = chain(tmp_path / "next", STEPS, "3.0.0-1", indexes={POST: sql})

    async def scenario() -> None:
        async with looking(database) as db:
            await migrate(database, "pre", code)
            await db.execute(f"INSERT INTO {TABLE} (name, title) VALUES ('a', 'x'), ('b', 'x')")
            with pytest.raises(Conflict, match=rf"one_title of the step {POST} .* Key \(title\)=\(x\) is duplicated"):
                await finish(database, code)
            assert await db.fetchval(VALID, "one_title") is None
            await db.execute(f"DELETE FROM {TABLE} WHERE name = 'b'")
            await finish(database, code)
            assert (await db.fetchval(VALID, "one_title"), str(await versions.read(db))) == (True, POST)

    asyncio.run(scenario())


def test_a_restored_catalogue_gets_them_in_its_own_schema(database: DatabaseAddress, code: Code) -> None:
    """It is brought forward beside the one that is there, which stays as it is."""

    async def scenario() -> None:
        async with looking(database) as db:
            await db.execute("CREATE SCHEMA beside")
            await upgrade(database, Schema(FIRST, OWN.newest()), "beside", code)
            assert (await db.fetchval(VALID, f"beside.{INDEX}"), await db.fetchval(VALID, f"public.{INDEX}")) == (
                True,
                None,
            )

    asyncio.run(scenario())
