"""Migrations against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from rubackup.catalog import migrate as module
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import check_version, migrate, revisions, version
from rubackup.domain.errors import Conflict

pytestmark = pytest.mark.postgres


async def value(address: DatabaseAddress, query: str) -> object:
    connection = await Database(address).direct()
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def revision(address: DatabaseAddress) -> str | None:
    connection = await Database(address).direct()
    try:
        return await version(connection)
    finally:
        await connection.close()


def test_two_migrations_at_once_both_succeed(empty_database: DatabaseAddress):
    """Callers at the same time wait for each other and find the schema complete."""

    async def scenario():
        await asyncio.gather(*(migrate(empty_database) for _ in range(3)))
        assert await revision(empty_database) == revisions()[-1]

    asyncio.run(scenario())


def test_two_processes_may_migrate_at_once(empty_database: DatabaseAddress):
    """The lock holds between processes too."""
    code = "import asyncio,sys; from rubackup.catalog.database import *; from rubackup.catalog.migrate import *\n"
    a = empty_database
    code += f"asyncio.run(migrate(DatabaseAddress({a.host!r},{a.port},{a.user!r},{a.password!r},{a.database!r})))"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]

    assert [process.wait(60) for process in started] == [0, 0]
    assert asyncio.run(revision(empty_database)) == revisions()[-1]


def test_phases_stop_where_they_say(empty_database: DatabaseAddress):
    """`pre` leaves the post file of the last revision for later; `post` refuses to come first."""

    async def scenario():
        with pytest.raises(Conflict):
            await migrate(empty_database, "post")
        await migrate(empty_database, "pre")
        assert await revision(empty_database) == revisions()[-2]
        await migrate(empty_database, "post")
        assert await revision(empty_database) == revisions()[-1]

    asyncio.run(scenario())


def test_a_second_run_changes_nothing(database: DatabaseAddress):
    """A complete schema is left alone."""

    async def scenario():
        await migrate(database)
        assert await value(database, "SELECT count(*) FROM client_groups") == 1

    asyncio.run(scenario())


def test_a_failing_file_leaves_no_trace(empty_database: DatabaseAddress):
    """A revision is applied with its version or not at all; after the obstacle is gone it runs."""

    async def scenario():
        connection = await Database(empty_database).direct()
        await connection.execute("CREATE TABLE task_queue (obstacle int)")
        with pytest.raises(Exception, match="task_queue"):
            await migrate(empty_database)
        assert await connection.fetchval("SELECT to_regclass('users')") is None
        await connection.execute("DROP TABLE task_queue")
        await connection.close()
        await migrate(empty_database)
        assert await revision(empty_database) == revisions()[-1]

    asyncio.run(scenario())


NEXT = len(revisions()) // 2 + 1


@pytest.mark.parametrize(
    ("found", "refused"), [(f"{NEXT:04}_pre", False), (f"{NEXT:04}_post", True), (f"{NEXT + 7:04}_pre", True)]
)
def test_a_newer_catalogue_is_refused(database: DatabaseAddress, found: str, refused: bool):
    """Only the pre file of the very next revision may be ahead of the code; no older code migrates it."""

    async def scenario():
        await value(database, f"UPDATE schema_version SET version_num = '{found}' RETURNING 1")
        if refused:
            with pytest.raises(Conflict, match=found):
                await check_version(database)
        else:
            await check_version(database)
        with pytest.raises(Conflict, match="newer"):
            await migrate(database)

    asyncio.run(scenario())


def test_an_empty_database_is_not_newer(empty_database: DatabaseAddress):
    """Nothing there is nothing to refuse."""
    asyncio.run(check_version(empty_database))


def test_files_and_modules_are_pairs():
    """Every revision has a pre and a post file, and each file a module in Alembic's chain."""
    names = revisions()
    assert names == [f"{n:04}_{half}" for n in range(1, len(names) // 2 + 1) for half in ("pre", "post")]
    assert sorted(p.stem for p in (module.FOLDER / "versions").glob("r*.py")) == sorted(f"r{name}" for name in names)


def test_long_lived_processes_do_not_load_alembic():
    """Importing the module costs no process Alembic or SQLAlchemy."""
    code = "import sys, rubackup.catalog.migrate; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
