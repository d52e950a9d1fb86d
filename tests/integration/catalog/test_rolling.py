"""Releases side by side over one catalogue: whatever is started, stopped, killed and finished, somebody can work with it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rubackup.catalog import _alembic, versions
from rubackup.catalog.backup.file import check
from rubackup.catalog.backup.restoring import restore
from rubackup.catalog.backup.taking import take
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import check_ready, finish, migrate, unfinished
from rubackup.catalog.migrations import run as running
from rubackup.catalog.versions import OWN, Code, Schema, connection_name
from rubackup.domain.errors import Busy, Conflict, RubackupError, TooSlow, Unavailable
from support.releases import FIRST, STEPS, Release, chain, three

pytestmark = pytest.mark.postgres
SEEDS = range(40) if os.environ.get("UPGRADE") else range(2)
MOVES = 60 if os.environ.get("UPGRADE") else 10
_MIGRATING = "FROM pg_stat_activity WHERE application_name = 'rubackup migrate' AND datname = current_database()"
BEFORE, LAST = OWN.newest(), FIRST + 2
KILLED = [
    (FIRST + place, half) for half in ("pre", "post") for place in range(3) if place == 1 or os.environ.get("UPGRADE")
]


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Release, Release, Release]:
    """This code, a release with two new revisions, and one after it with a third."""
    return three(tmp_path)


async def connected(address: DatabaseAddress, program: str, code: Code = OWN) -> Any:
    """A connection as a process of that release has it."""
    told = {"application_name": connection_name(program, code)}
    db = await asyncpg.connect(
        host=address.host, port=address.port, user=address.user, password=address.password, database=address.database,
        server_settings=told,
    )  # fmt: skip
    await versions.require_known(db, await versions.read(db), code)
    return db


async def until(db: Any, query: str) -> None:
    """Wait until PostgreSQL says that it is so."""
    async with asyncio.timeout(120):
        while not await db.fetchval(query):  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.02)


async def state(address: DatabaseAddress) -> Schema:
    """How far the schema is."""
    db = await Database(address).direct()
    try:
        found = await versions.read(db)
        assert found is not None
        return found
    finally:
        await db.close()


def test_a_release_with_several_revisions(database: DatabaseAddress, releases: tuple[Release, ...]) -> None:
    """All pre files at the first start, the old release beside it and back again, and all post files when it is gone."""
    old, new, _ = releases

    async def scenario() -> None:
        beside = await connected(database, "rubackup_api", old.code)
        await migrate(database, "pre", new.code)
        assert await state(database) == Schema(FIRST + 1, BEFORE, BEFORE)
        fresh = await connected(database, "rubackup_server", new.code)
        await new.work(fresh, "one")
        await old.work(beside, "two")
        # The position is all that code up to revision 21 reads: it knows its own, and one pre file ahead of it.
        assert await beside.fetchval("SELECT version_num FROM schema_version") == f"{FIRST:04}_pre"
        again = await connected(database, "rubackup_server", old.code)
        await migrate(database, "pre", old.code)
        await check_ready(database, old.code)
        await old.work(again, "three")

        two = rf"rubackup_api {OWN.product} on \S+, rubackup_server {OWN.product} on \S+\. Upgrade them, or stop them"
        with pytest.raises(Conflict, match=f"not brought to schema {FIRST + 1:04}_post .* too old for that are {two}"):
            await finish(database, new.code)
        assert await state(database) == Schema(FIRST + 1, BEFORE, BEFORE)
        with pytest.raises(Conflict, match=r"that to version 3\.0\.0-1 .* finish it with that version"):
            await finish(database, old.code)
        await beside.close()
        await again.close()
        await finish(database, new.code)
        assert await state(database) == Schema(FIRST + 1, FIRST + 1, FIRST + 1)
        await new.work(fresh, "four")
        refused = rf"newer version \(3\.0\.0-1, schema {FIRST + 1:04}_post\) than this program \({OWN.product}, "
        for start in (migrate(database, "pre", old.code), check_ready(database, old.code), finish(database, old.code)):
            with pytest.raises(Conflict, match=refused):
                await start
        assert await fresh.fetchval("SELECT count(*) FROM client_groups WHERE title ~ '^(one|two|three|four)$'") == 4
        await fresh.close()

    asyncio.run(scenario())


@dataclass
class Site:
    """Hosts with processes of three releases over one catalogue, and what they did."""

    address: DatabaseAddress
    releases: tuple[Release, ...]
    chance: random.Random
    processes: list[tuple[Release, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    async def move(self) -> None:
        """One thing that an administrator or an accident does."""
        before, release = await state(self.address), self.chance.choice(self.releases)
        what = self.chance.choice(["server", "server", "api", "stop", "finish", "kill", "kill"])
        newest, code = release.code.newest(), release.code
        if what == "server":
            if newest < before.oldest:
                await self._refused(migrate(self.address, "pre", code), "newer version")
            else:
                await migrate(self.address, "pre", code)
                self.processes.append((release, await connected(self.address, "rubackup_server", code)))
                assert await state(self.address) == replace(before, pre=max(before.pre, newest))
        elif what == "api":
            if newest < before.oldest:
                await self._refused(check_ready(self.address, code), "newer version")
            elif newest > before.pre:
                await self._refused(check_ready(self.address, code), "older version")
            else:
                await check_ready(self.address, code)
                self.processes.append((release, await connected(self.address, "rubackup_api", code)))
        elif what == "stop" and self.processes:
            await self.processes.pop(self.chance.randrange(len(self.processes)))[1].close()
        elif what == "finish":
            await self._finish(before, code)
        elif what == "kill":
            await self._kill(code)

    async def _finish(self, before: Schema, code: Code) -> None:
        newest = code.newest()
        older = any(one.code.newest() < newest for one, _ in self.processes)
        if newest < before.oldest:
            await self._refused(finish(self.address, code), "newer version")
        elif before.pre > newest:
            await self._refused(finish(self.address, code), "finish it with that version")
        elif older and newest > before.post:
            await self._refused(finish(self.address, code), "too old for that")
            assert await state(self.address) == before
        else:
            await finish(self.address, code)
            assert await state(self.address) == Schema(newest, newest, newest)

    async def _kill(self, code: Code) -> None:
        """PostgreSQL ends the connection of a start, or of a finish, somewhere in it."""
        before = await state(self.address)
        start = self.chance.random() < 0.5
        work = asyncio.ensure_future(migrate(self.address, "pre", code) if start else finish(self.address, code))
        await asyncio.sleep(self.chance.random() * 0.4)
        db = await Database(self.address).direct()
        await db.execute(f"SELECT pg_terminate_backend(pid) {_MIGRATING}")
        await db.close()
        with contextlib.suppress(RubackupError):  # it was ended, or refused as it would have been
            await work
        after = await state(self.address)
        assert (before.pre, before.post, before.oldest) <= (after.pre, after.post, after.oldest)
        assert after.post <= after.pre

    async def _refused(self, work: Any, why: str) -> None:
        with pytest.raises(RubackupError, match=why):
            await work

    async def look(self) -> None:
        """Whoever runs works on; whoever may start could work; nobody else may; and there is somebody."""
        found = await state(self.address)
        for release, db in self.processes:
            await self._work(release, db)
        permitted = [one for one in self.releases if one.code.newest() >= found.oldest]
        assert permitted, found
        for release in permitted:
            if release.code.newest() <= found.pre:
                db = await connected(self.address, "psql", release.code)
                await self._work(release, db)
                await db.close()

    async def _work(self, release: Release, db: Any) -> None:
        name = f"row {next(self.numbers)}"
        await release.work(db, name)
        self.names.append(name)

    async def close(self) -> None:
        """Stop all, finish with the last release, and count."""
        for _, db in self.processes:
            await db.close()
        await finish(self.address, self.releases[-1].code)
        assert await state(self.address) == Schema(LAST, LAST, LAST)
        db = await connected(self.address, "psql", self.releases[-1].code)
        rows = await db.fetch("SELECT name, title FROM client_groups WHERE name LIKE 'row %' ORDER BY id")
        assert [row["name"] for row in rows] == [row["title"] for row in rows] == self.names
        await db.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_somebody_can_work(
    database: DatabaseAddress, releases: tuple[Release, ...], seed: int
) -> None:
    """Random starts of old and new servers and APIs, stops, kills and finishes over three releases."""

    async def scenario() -> None:
        site = Site(database, releases, random.Random(seed))
        for _ in range(MOVES):
            await site.move()
            await site.look()
        await site.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("number", "half"), KILLED)
def test_killed_in_the_middle(database: DatabaseAddress, tmp_path: Path, number: int, half: str) -> None:
    """By the kernel, with half of a file done: what ran before is there, that file is not; the next call goes on."""
    wait = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({});"
    steps = {
        one: (f"{pre} {wait.format(10 * one)}", f"{post} {wait.format(10 * one + 1)}")
        for one, (pre, post) in STEPS.items()
    }
    code = chain(tmp_path / "chain", steps, "3.0.0-1")
    a = database
    program = f"""import asyncio; from pathlib import Path
from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.migrate import finish
from rubackup.catalog.versions import Code
asyncio.run(finish(DatabaseAddress({a.host!r}, {a.port}, {a.user!r}, {a.password!r}, {a.database!r}),
    Code(Path({str(code.folder)!r}), "3.0.0-1", {OWN.beside})))"""
    key = 10 * number + (half == "post")

    async def scenario() -> None:
        db = await Database(database).direct()
        await db.execute("SELECT pg_advisory_lock($1)", key)
        process = subprocess.Popen([sys.executable, "-c", program])  # noqa: ASYNC220 - it starts in the background
        try:
            await until(db, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
        await db.execute("SELECT pg_advisory_unlock($1)", key)
        await until(db, f"SELECT count(*) = 0 {_MIGRATING}")
        before = Schema(number - 1, BEFORE, LAST) if half == "pre" else Schema(LAST, number - 1, LAST)
        assert await state(database) == before
        assert await db.fetchval(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'client_groups'::regclass AND attname IN ('title', 'weight', 'notes')"
        ) == (before.pre - BEFORE)
        await db.close()
        await finish(database, code)
        assert await state(database) == Schema(LAST, LAST, LAST)

    asyncio.run(scenario())


def test_two_servers_and_an_api_start_at_once(database: DatabaseAddress, releases: tuple[Release, ...]) -> None:
    """The files run once; the API waits until they have."""
    *_, new = releases

    refused = asyncio.Event()

    async def api() -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await check_ready(database, new.code)
                return
            refused.set()
            await asyncio.sleep(0.05)

    async def scenario() -> None:
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(api())
            await refused.wait()
            for _ in range(2):
                group.create_task(migrate(database, "pre", new.code))
        assert await state(database) == Schema(LAST, BEFORE, BEFORE)

    asyncio.run(scenario())


def test_a_long_transaction_does_not_stop_everybody(
    database: DatabaseAddress, releases: tuple[Release, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who needs the table meanwhile gets it; the start says who holds it, and goes on when it is free."""
    old, new, _ = releases

    async def scenario() -> None:
        long = await connected(database, "rubackup_api", old.code)
        other = await connected(database, "rubackup_server", old.code)
        begun = long.transaction()
        await begun.start()
        await old.work(long, "not yet")
        start = asyncio.ensure_future(migrate(database, "pre", new.code))
        async with asyncio.timeout(120):  # as long as the transaction, if the start did not step back
            for number in range(8):
                await old.work(other, f"meanwhile {number}")
                await asyncio.sleep(0.2)
        assert not start.done()
        await begun.commit()
        await start
        assert (await state(database)).pre == FIRST + 1

        monkeypatch.setattr(_alembic, "PATIENCE_SECONDS", 1.0)
        begun = long.transaction()
        await begun.start()
        await old.work(long, "once more")
        await new.work(other, "of the new one")
        await other.close()
        with pytest.raises(Busy, match=r"in use for 1 s by rubackup_api \S+ schema \d+ on .* \(pid \d+\)\."):
            await migrate(database, "pre", releases[2].code)
        await begun.rollback()
        await long.close()
        assert (await state(database)).pre == FIRST + 1

    asyncio.run(scenario())


def test_a_file_that_takes_too_long(database: DatabaseAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside processes that serve it is undone, and says what to do; beside none it takes what it takes."""
    monkeypatch.setattr(running, "STEP_SECONDS", 0.5)
    code = chain(tmp_path / "chain", {FIRST: (STEPS[FIRST][0] + "SELECT pg_sleep(1);", "SELECT 1;")}, "3.0.0-1")

    async def scenario() -> None:
        db = await connected(database, "rubackup_server")
        with pytest.raises(
            TooSlow, match=rf"step {FIRST:04}_pre .* it was undone\. Stop servers and APIs on all hosts"
        ):
            await migrate(database, "pre", code)
        assert (await state(database)).pre == BEFORE
        await db.close()
        await migrate(database, "pre", code)
        assert (await state(database)).pre == FIRST

    asyncio.run(scenario())


def test_releases_that_are_too_far_apart(database: DatabaseAddress, tmp_path: Path) -> None:
    """One that no longer takes care of an older one says so where it runs, and keeps it from starting afterwards."""
    new = chain(tmp_path / "chain", STEPS, "5.0.0-1", beside=FIRST + 1)

    async def scenario() -> None:
        db = await connected(database, "rubackup_api")
        far = rf"5\.0\.0-1 does not work beside versions that do not know schema {FIRST + 1:04}: rubackup_api {OWN.product} on"
        with pytest.raises(Conflict, match=far):
            await migrate(database, "pre", new)
        assert await state(database) == Schema(BEFORE, BEFORE, BEFORE)
        with pytest.raises(Unavailable, match="older version"):
            await check_ready(database, new)
        await db.close()
        await migrate(database, "pre", new)
        # What nobody needs that may start is gone by then; the newest post file waits.
        assert await state(database) == Schema(LAST, FIRST + 1, FIRST + 1)
        with pytest.raises(Conflict, match="newer version"):
            await check_ready(database)
        await check_ready(database, new)

    asyncio.run(scenario())


def test_no_connection_slips_in_between(database: DatabaseAddress) -> None:
    """A connection that is opened while an upgrade is finished waits for that, and is refused; so is each later one."""

    async def scenario() -> None:
        finishing = await Database(database).direct()
        async with finishing.transaction():
            await finishing.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
            coming = asyncio.ensure_future(Database(database, application="rubackup_server").direct())
            await until(finishing, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted")
            await finishing.execute("UPDATE schema_version SET oldest = $1", LAST)
        with pytest.raises(Unavailable, match="of a newer version"):
            await coming
        await finishing.close()
        pool = Database(database, application="rubackup_api")
        with pytest.raises(Unavailable, match="of a newer version"):
            await pool.open()

    asyncio.run(scenario())


def test_a_backup_of_a_half_finished_upgrade(
    database: DatabaseAddress, empty_database: DatabaseAddress, tmp_path: Path
) -> None:
    """It says so, and comes back as half finished, with the rows; what no release needs any more is done at once."""
    half = Schema(BEFORE, OWN.beside - 2, OWN.beside - 2)
    path = tmp_path / "half.rbcat"

    async def scenario() -> None:
        await _alembic.upgrade(empty_database, half)
        assert await state(empty_database) == replace(half, oldest=OWN.beside)
        await take(empty_database, path, server="backup1", root="ab" * 32)
        assert check(path)[0].schema == str(half) == f"{BEFORE:04}_pre after {OWN.beside - 2:04}_post"
        await restore(database, path, replace=True)
        assert await state(database) == Schema(BEFORE, OWN.beside, OWN.beside)
        await finish(database)
        assert await state(database) == Schema(BEFORE, BEFORE, BEFORE)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0021_post", Schema(21, 21, 21)), ("0022_pre", Schema(22, 21, 21)), ("0024_pre after 0021_post", Schema(24, 21, 21)),
        ("0001_pre", Schema(1, 0, 0)), ("0024_pre after 0025_post", None), ("0024_post after 0021_post", None), ("21", None), ("", None),
    ],
)  # fmt: skip
def test_words_for_how_far_a_schema_is(text: str, expected: Schema | None) -> None:
    """They are read as they are written, in backups too; everything else is nothing."""
    assert Schema.parse(text) == expected
    if expected is not None:
        assert str(expected) == text


def test_the_way_back_from_a_finished_upgrade(
    database: DatabaseAddress, releases: tuple[Release, ...], tmp_path: Path
) -> None:
    """A backup of before takes the place of the newer catalogue, when that is said; then the old release starts again."""
    old, new, _ = releases
    path = tmp_path / "before.rbcat"

    async def scenario() -> None:
        db = await connected(database, "psql", old.code)
        await old.work(db, "before")
        await db.close()
        assert await unfinished(database) == ""
        await take(database, path, server="backup1", root="ab" * 32)
        await migrate(database, "pre", new.code)
        waits = rf"version 3\.0\.0-1 is not finished \(schema {FIRST + 1:04}_pre after {BEFORE:04}_post\)"
        assert re.search(waits, await unfinished(database))
        await finish(database, new.code)
        assert await unfinished(database) == ""
        with pytest.raises(Conflict, match="newer version"):
            await restore(database, path, replace=False)
        await restore(database, path, replace=True)
        await migrate(database, "pre", old.code)
        await check_ready(database, old.code)
        db = await connected(database, "rubackup_server", old.code)
        assert await db.fetchval("SELECT count(*) FROM client_groups WHERE name = 'before'") == 1
        await old.work(db, "after")
        assert await db.fetchval("SELECT to_regclass('schema_version')") == "schema_version"
        await db.close()

    asyncio.run(scenario())
