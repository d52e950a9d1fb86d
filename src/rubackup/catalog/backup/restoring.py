"""Puts a backup back: into a schema of its own first, which takes the catalogue's place in one transaction.

Killed at any moment, the catalogue is what it was, or what the backup makes of it. What a killed restore left
(the schema `rubackup_restore`) the next one removes. Design: `docs/design/catalogue-backup.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg

from rubackup.catalog import collation
from rubackup.catalog._alembic import upgrade
from rubackup.catalog.backup import settling, swapping, tables
from rubackup.catalog.backup.file import END, ROWS, SEQUENCES, TABLE, Header, Reader, check, decoded
from rubackup.catalog.backup.taking import APPLICATION, PLAIN, SCHEMA
from rubackup.catalog.database import Connection, Database, DatabaseAddress
from rubackup.catalog.faults import translated
from rubackup.catalog.locks import LEADER_LOCK
from rubackup.catalog.migrate import LOCK_KEY, check_version, version
from rubackup.catalog.quoting import quoted
from rubackup.catalog.versions import OWN, Schema
from rubackup.domain.errors import Busy, Conflict, Corrupt, StorageFault

STAGING = "rubackup_restore"
_OTHERS = """
SELECT coalesce(nullif(application_name, ''), 'a program without a name') AS program,
    coalesce(host(client_addr), 'this host') AS host, count(*) AS connections
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND usesysid IS NOT NULL  -- that of autovacuum is null
    AND coalesce(backend_type, 'client backend') = 'client backend'  -- null: of a role that this one may not look at
GROUP BY 1, 2 ORDER BY 1, 2"""
Step = Callable[[str], None]
"""Told what begins; tests stop the restore there."""


async def restore(
    address: DatabaseAddress, path: Path, *, replace: bool, passphrase: bytes = b"", step: Step = lambda _: None
) -> Header:
    """Make the catalogue what the backup says, in this version's schema; the backup's header.

    An upgrade that was not finished when the backup was made is not finished after it either, and one from the backup's
    version to this is to be finished as after any upgrade: versions that could work with the backup still can.

    The file is read whole before anything is touched. Conflict when a server or an API is connected, when there is a
    catalogue and `replace` is not said, or when the backup is of a newer version; Corrupt when it is damaged. The catalogue
    that gives way may be of a newer version.
    """
    step("check")
    header, rows, _ = check(path, passphrase)
    found = Schema.parse(header.schema)
    if found is None or found.pre > OWN.newest():
        raise Conflict(
            f"{path} is of a newer version, {header.product} (schema {header.schema}; this version knows"
            f" {OWN.newest():04}): install that version, restore there."
        )
    if not replace:  # the way back from a finished upgrade leads over a catalogue that is newer than this code
        await check_version(address)
    with _explained():
        async with _alone(address, replace=replace) as db:
            step("schema")
            await _make_schema(db, address, found)
            step("load")
            await _load(db, path, passphrase, rows)
            step("migrate")
            await upgrade(address, OWN.target(found, finish=False), STAGING)
            step("settle")
            async with db.transaction():
                await db.execute(f"SET LOCAL search_path = {STAGING}")
                await settling.settle(db, header)
            await _analyze(db)
            step("swap")
            await _swap(db, step)
    step("done")
    return header


@contextlib.asynccontextmanager
async def _alone(address: DatabaseAddress, *, replace: bool) -> AsyncIterator[Connection]:
    """A connection, while no server can lead and nobody migrates; Conflict names who is connected."""
    db = await Database(address, application=APPLICATION).direct()
    try:
        for statement in PLAIN:
            await db.execute(statement)
        await db.execute("SET maintenance_work_mem = '256MB'")
        await collation.check(db)
        if not await db.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
            raise Busy("The service database is being migrated, backed up or restored; try again later.")
        await _refuse_others(db)
        if not await db.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
            raise Conflict("A server leads; stop rubackup_server on all hosts first.")
        if not replace and await version(db) is not None:
            raise Conflict(
                "The service database has a catalogue already; say --replace to put the backup in its place."
            )
        yield db
    finally:
        db.terminate()


async def _refuse_others(db: Connection) -> None:
    for _ in range(10):  # PostgreSQL needs a moment to notice who has gone
        found = await db.fetch(_OTHERS)
        if not found:
            return
        await asyncio.sleep(0.1)
    named = ", ".join(f"{row['program']} from {row['host']} ({row['connections']})" for row in found)
    raise Conflict(f"The service database is in use: {named}. Stop servers and APIs on all hosts first.")


async def _make_schema(db: Connection, address: DatabaseAddress, found: Schema) -> None:
    """The tables as the backup has them, empty."""
    await db.execute(f"DROP SCHEMA IF EXISTS {STAGING} CASCADE")
    await db.execute(f"CREATE SCHEMA {STAGING}")
    await upgrade(address, found, STAGING)


async def _load(db: Connection, path: Path, passphrase: bytes, rows: dict[str, int]) -> None:
    """Fill the tables: in one transaction, without keys to other tables, triggers and indexes, which are made afterwards."""
    known = {table.name: table for table in await tables.tables(db, STAGING)}
    async with db.transaction():
        await db.execute(f"SET LOCAL search_path = {STAGING}")
        again = await swapping.bare(db, STAGING)
        emptied = ", ".join(quoted(name) for name in known if name not in tables.LEFT_OUT)
        await db.execute(f"TRUNCATE {emptied}")
        found = {}
        with Reader(path, passphrase) as reader:
            frames = reader.frames()
            for kind, content in frames:
                if kind == TABLE:
                    table = tables.Table(*decoded(content, tuple[str, list[str]]))
                    if table.name not in known or not set(table.columns) <= set(known[table.name].columns):
                        raise Corrupt(f"{path} has a table that its schema does not have: {table.name}.")
                    found[table.name] = 0
                elif kind == ROWS:
                    found[table.name] += await _copy(db, table, content)
                elif kind == SEQUENCES:
                    await _set_sequences(db, decoded(content, dict[str, int | None]))
                elif kind == END and found != rows:
                    raise Corrupt(f"{path} does not have the rows that it says.")
        for statement in again:
            await db.execute(statement)


async def _copy(db: Connection, table: tables.Table, content: bytes) -> int:
    async def source() -> AsyncIterator[bytes]:
        yield content

    told: str = await db.copy_to_table(
        table.name, schema_name=STAGING, columns=table.columns, source=source(), format="text"
    )
    return int(told.rpartition(" ")[2])


async def _set_sequences(db: Connection, values: dict[str, int | None]) -> None:
    known = await tables.sequences(db, STAGING)
    for name, value in values.items():
        if value is not None and name in known:
            await db.execute("SELECT setval($1::text::regclass, $2)", f"{STAGING}.{quoted(name)}", value)


async def _analyze(db: Connection) -> None:
    for table in await tables.tables(db, STAGING):
        await db.execute(f"ANALYZE {STAGING}.{quoted(table.name)}")


async def _swap(db: Connection, step: Step) -> None:
    async with db.transaction():
        await _refuse_others(db)
        await swapping.swap(db, STAGING, SCHEMA)
        step("commit")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Sentences for what an administrator can mend; nothing of the catalogue was changed then."""
    with translated():
        try:
            yield
        except asyncpg.DiskFullError as error:
            raise StorageFault("The disk of PostgreSQL is full; the catalogue was not changed.") from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise Conflict(
                f"PostgreSQL does not let the service database's role do this ({error}): it has to own the database and"
                " everything in its schema public. The catalogue was not changed."
            ) from error
