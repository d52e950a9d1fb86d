"""Migrations against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace

import pytest

from rubackup import __version__
from rubackup.catalog import versions
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import check_version, migrate, version
from rubackup.catalog.versions import OWN, revisions
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
    """`pre` leaves the post files that older code still has to do without for later; `post` refuses to come first."""
    newest, beside = versions.OWN.newest(), versions.OWN.beside
    waiting = f"{newest:04}_pre" + (f" after {beside:04}_post" if beside < newest - 1 else "")

    async def scenario():
        with pytest.raises(Conflict):
            await migrate(empty_database, "post")
        await migrate(empty_database, "pre")
        assert await revision(empty_database) == waiting
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
    """Only the pre file of the very next revision may be ahead of the code; older code changes nothing in any case."""

    async def scenario():
        await value(database, f"UPDATE schema_version SET version_num = '{found}' RETURNING 1")
        if refused:
            with pytest.raises(Conflict, match=found):
                await check_version(database)
            with pytest.raises(Conflict, match="newer"):
                await migrate(database)
        else:
            await check_version(database)
            await migrate(database)
        assert await revision(database) == found

    asyncio.run(scenario())


def test_the_refusal_names_both_versions(database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch):
    """The version that has changed the schema last is written down; who is too old reads it there, and says its own."""

    async def scenario():
        await value(database, f"UPDATE schema_version SET version_num = '{NEXT - 1:04}_pre' RETURNING 1")
        await migrate(database, code=replace(OWN, product="3.1.0-9"))
        await value(database, f"UPDATE schema_version SET version_num = '{NEXT:04}_post' RETURNING 1")
        with pytest.raises(Conflict, match=rf"newer version \(3\.1\.0-9, schema {NEXT:04}_post\).*{__version__}"):
            await check_version(database)

    asyncio.run(scenario())


@pytest.mark.parametrize("program", ["rubackup_server", "rubackup_api"])
def test_no_post_file_runs_under_an_older_process(
    database: DatabaseAddress, program: str, monkeypatch: pytest.MonkeyPatch
):
    """A server or API of a version that does not know the revision is named; when it is gone the file runs."""

    async def scenario():
        before = f"{NEXT - 1:04}_pre"
        await value(database, f"UPDATE schema_version SET version_num = '{before}' RETURNING 1")
        monkeypatch.setattr(versions.Code, "newest", lambda _self: NEXT - 2)
        await value(database, f"UPDATE schema_version SET oldest = {NEXT - 2} RETURNING 1")
        older = await Database(database, application=program).direct()
        monkeypatch.undo()
        other = await Database(database, application=program).direct()
        with pytest.raises(Conflict, match=rf"too old for that are {program} {__version__} on \S+\. Upgrade"):
            await migrate(database)
        await migrate(database, "pre")
        assert await revision(database) == before
        await older.close()
        await migrate(database)
        assert await revision(database) == revisions()[-1]
        await other.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rubackup_api", versions.Process("rubackup_api", "", 0, "")),
        ("rubackup_api 2.0.0-7 schema 21 on a b", versions.Process("rubackup_api", "2.0.0-7", 21, "a b")),
        (
            "rubackup_server 2026.11.28.1234+g0 schema 21 on",
            versions.Process("rubackup_server", "2026.11.28.1234+g0", 0, ""),
        ),
        (
            "rubackup_server 2026.11.28.1234+g0123456789 sch",
            versions.Process("rubackup_server", "2026.11.28.1234+g0123456789", 0, ""),
        ),
        ("rubackup_apis", None),
        ("rb_init", None),
        ("psql", None),
    ],
)
def test_names_of_connections_tell_versions(name: str, expected: versions.Process | None):
    """Programs of a version that told nothing, or whose schema was cut off, count as older than everything."""
    assert versions.parse_name(name) == expected


def test_a_connections_name_fits(monkeypatch: pytest.MonkeyPatch):
    """However long the host's name is, the version stands in front of it."""
    monkeypatch.setattr(versions.socket, "gethostname", lambda: "ü" * 64)
    name = versions.connection_name("rubackup_server")
    assert len(name.encode()) <= versions.NAME_BYTES
    found = versions.parse_name(name)
    assert found is not None
    assert (found.program, found.version, found.schema) == ("rubackup_server", __version__, versions.newest())


@pytest.mark.parametrize("host", ["backup1", "backup1." + "a" * 55])
def test_a_long_version_does_not_push_the_schema_out(monkeypatch: pytest.MonkeyPatch, host: str):
    """Its end goes; schema and the beginning of the host's name stay."""
    monkeypatch.setattr(versions.socket, "gethostname", lambda: host)
    code = replace(OWN, product="2026.11.28.1234+g0123456789abcdef0")
    name = versions.connection_name("rubackup_server", code)
    assert len(name) <= versions.NAME_BYTES
    found = versions.parse_name(name)
    assert found is not None
    assert (found.schema, found.host[:7]) == (OWN.newest(), "backup1")
    assert found.version
    assert code.product.startswith(found.version)


def test_a_server_whose_name_was_cut_off_holds_a_finish_up(database: DatabaseAddress):
    """Nothing says that it knows the schema; versions before let PostgreSQL cut the name."""

    async def scenario():
        other = await Database(database).direct()
        await other.execute(
            "SET application_name = 'rubackup_server 2026.11.28.1234+g0123456789abcdef0 schema 22 on a'"
        )
        name = await other.fetchval("SHOW application_name")
        assert name.endswith(" schema 22 on")
        assert [str(one) for one in await versions.older_than(other, 1)] == [
            "rubackup_server 2026.11.28.1234+g0123456789abcdef0"
        ]
        await other.close()

    asyncio.run(scenario())


def test_an_empty_database_is_not_newer(empty_database: DatabaseAddress):
    """Nothing there is nothing to refuse."""
    asyncio.run(check_version(empty_database))


def test_files_and_modules_are_pairs():
    """Every revision has a pre and a post file, and each file a module in Alembic's chain."""
    names = revisions()
    assert names == [f"{n:04}_{half}" for n in range(1, len(names) // 2 + 1) for half in ("pre", "post")]
    assert sorted(p.stem for p in (OWN.folder / "versions").glob("r*.py")) == sorted(f"r{name}" for name in names)


def test_long_lived_processes_do_not_load_alembic():
    """Importing the module costs no process Alembic or SQLAlchemy."""
    code = "import sys, rubackup.catalog.migrate; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
