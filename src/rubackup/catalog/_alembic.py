"""Runs Alembic over asyncpg. Imported by `catalog.migrate` alone, and only while it migrates.

Pre and post files are two branches. How far each is stands in `schema_version`, written in the transaction of each
file; Alembic is told by a table of the session alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from rubackup.catalog import indexes, versions
from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.faults import translated
from rubackup.catalog.migrations.run import HEADS
from rubackup.catalog.versions import LOCK_TIMEOUT_MS, OWN, Code, Schema
from rubackup.domain.errors import Busy

PATIENCE_SECONDS = 120.0
"""How long a file is tried again that needs a table which somebody holds."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version_num varchar(32) NOT NULL CONSTRAINT schema_version_pkc PRIMARY KEY, pre integer, oldest integer)"""
_COLUMNS = "ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS pre integer, ADD COLUMN IF NOT EXISTS oldest integer"
_COMPLETE = """
SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass('schema_version') AND attname IN ('pre', 'oldest')"""
_HOLDERS = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'a program without a name') AS program
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.relation IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)"""


class Runner:
    """Runs files on one connection, `db`, which can hold the lock of migrations meanwhile."""

    def __init__(self, connection: AsyncConnection, db: Any, code: Code, connect: Callable[[], Awaitable[Any]]) -> None:
        """`connect` opens another connection of the driver."""
        self._connection = connection
        self.db = db
        self._code = code
        self._connect = connect

    async def run(self, target: Schema) -> None:
        """All files up to `target`: pre files first, each in a transaction of its own. Busy names who holds a table.

        Indexes that a revision declares are built before its file, outside of a transaction, and for as long as it takes.
        """
        await self.prepare()
        await self.patiently(lambda: self._run(target))

    async def patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, and again while somebody holds a table that it needs: it waits briefly, as others queue behind it."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        pauses = iter(_PAUSES)
        holders: dict[int, str] | None = None
        while True:
            try:
                await self._in_words(work)
                return
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                found = {row["pid"]: row["program"] for row in await self.db.fetch(_HOLDERS)}
                # Whoever was there each time is who does not let go.
                holders = found if holders is None else {pid: name for pid, name in holders.items() if pid in found}
                pause = next(pauses, _PAUSES[-1])
                if asyncio.get_running_loop().time() + pause > deadline:
                    named = ", ".join(f"{name} (pid {pid})" for pid, name in holders.items()) or "others"
                    raise Busy(
                        f"The schema cannot be changed: tables have been in use for {PATIENCE_SECONDS:.0f} s by {named}."
                        " Nothing that was begun is left; it is tried again at the next start."
                    ) from error
            await asyncio.sleep(pause)

    async def _in_words(self, work: Callable[[], Awaitable[None]]) -> None:
        with _unwrapped():
            try:
                await work()
            finally:
                await self._connection.rollback()  # of what a failed file has left; after a commit there is nothing

    async def prepare(self) -> None:
        """The table that says how far the schema is, and what it has since revision 21."""
        await self.patiently(self._prepare)

    async def _prepare(self) -> None:
        if await self.db.fetchval(_COMPLETE):
            return
        async with self.db.transaction():
            await self.db.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            await self.db.execute(_TABLE)
            await self.db.execute(_COLUMNS)

    async def _run(self, target: Schema) -> None:
        found = await versions.read(self.db) or Schema()
        heads = [f"{found.pre:04}_pre"] * (found.pre > 0) + [f"{found.post:04}_post"] * (found.post > 0)
        await self.db.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {HEADS} (version_num varchar(32) PRIMARY KEY)")
        await self.db.execute(f"TRUNCATE {HEADS}")
        await self.db.executemany(f"INSERT INTO {HEADS} VALUES ($1)", [(head,) for head in heads])  # noqa: S608 - constant
        await self._run_half("pre", found.pre, target.pre)
        await self._run_half("post", found.post, target.post)

    async def _run_half(self, half: str, found: int, target: int) -> None:
        """One of the two branches; where a revision declares indexes, these come before its file."""
        done = found
        for number in range(found + 1, target + 1):
            revision = f"{number:04}_{half}"
            if wanted := indexes.declared(self._code, revision):
                await self._run_chain(half, done, number - 1)
                done = number - 1
                await indexes.build(self.db, revision, wanted, self._connect)
        await self._run_chain(half, done, target)

    async def _run_chain(self, half: str, found: int, target: int) -> None:
        if target > found:
            await self._connection.run_sync(_run_chain, self._code, f"{target:04}_{half}")
            await self._connection.rollback()


@contextlib.asynccontextmanager
async def runner(address: DatabaseAddress, schema: str = "", code: Code = OWN) -> AsyncIterator[Runner]:
    """A connection for the files of `code`; in `schema` instead of the usual one."""
    settings = {"application_name": "rubackup migrate", **({"search_path": schema} if schema else {})}

    async def connect() -> Any:
        return await asyncpg.connect(**address.arguments(), timeout=10, server_settings=settings)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    with translated(), _unwrapped():
        try:
            async with engine.connect() as connection:
                raw = await connection.get_raw_connection()
                yield Runner(connection, raw.driver_connection, code, connect)
        finally:
            await engine.dispose()


@contextlib.contextmanager
def _unwrapped() -> Iterator[None]:
    """The driver's errors in place of SQLAlchemy's."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig is not None else None
        raise (cause or error) from error


async def upgrade(address: DatabaseAddress, target: Schema, schema: str = "", code: Code = OWN) -> None:
    """Run the files up to `target`, asking nobody: for a schema that no process uses."""
    async with runner(address, schema, code) as running:
        await running.run(target)


def _run_chain(connection: Any, code: Code, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(code.folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, code=code)
    command.upgrade(config, target)
