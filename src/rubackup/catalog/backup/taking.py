"""Takes a backup: every table as it is in one snapshot, while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from rubackup import __version__
from rubackup.catalog.backup import tables
from rubackup.catalog.backup.file import END, KEY, ROWS, SEQUENCES, TABLE, Header, KeyFile, Writer
from rubackup.catalog.database import Connection, Database, DatabaseAddress
from rubackup.catalog.faults import translated
from rubackup.catalog.migrate import LOCK_KEY, LOCK_WAIT_SECONDS, check_version, version
from rubackup.domain.errors import Busy, SystemFault, Unavailable

SCHEMA = "public"
_FRAME_BYTES = 2 << 20
APPLICATION = "rubackup catalogue"
PLAIN = (
    "SET statement_timeout = 0", "SET idle_in_transaction_session_timeout = 0", "SET lock_timeout = '60s'",
    "SET datestyle = 'ISO, YMD'", "SET intervalstyle = 'postgres'", "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1", "SET jit = off",
)  # fmt: skip
"""A session that may take long, and in which values are written as they are read anywhere."""
_FACTS = """
SELECT now() AS at, current_setting('server_version') AS postgres, pg_current_snapshot()::text AS snapshot,
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS lsn"""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What was written."""

    path: str
    header: Header
    rows: dict[str, int]
    total: str
    """Sum over the whole file, hex."""
    size_bytes: int


async def take(
    address: DatabaseAddress,
    target: Path,
    *,
    server: str,
    root: str,
    home: str = "",
    keys: Sequence[KeyFile] = (),
    passphrase: bytes = b"",
) -> Taken:
    """Write the catalogue into a new file, which is there whole or not at all.

    Unavailable when the catalogue does not answer or has no tables, StorageFault when the file cannot be written.
    """
    await check_version(address)
    with translated():
        db = await Database(address, application=APPLICATION).direct()
        try:
            for statement in PLAIN:
                await db.execute(statement)
            await _share_lock(db)
            async with db.transaction(isolation="repeatable_read", readonly=True):
                header = await _header(db, server=server, root=root, home=home, keys=bool(keys))
                return await _write(db, target, header, keys, passphrase)
        except asyncpg.PostgresError as error:
            if isinstance(error, asyncpg.InsufficientPrivilegeError):
                raise SystemFault(f"{address.user} may not read the service database: {error}.") from error
            raise
        finally:
            db.terminate()  # also in the middle of a COPY, whose rest nobody wants


async def _share_lock(db: Connection) -> None:
    """Keep migrations away; polled, as `migrate` does."""
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_SECONDS
    while not await db.fetchval("SELECT pg_try_advisory_lock_shared($1)", LOCK_KEY):
        if asyncio.get_running_loop().time() > deadline:
            raise Busy("The service database is being migrated or restored.")
        await asyncio.sleep(0.1)


async def _header(db: Connection, *, server: str, root: str, home: str, keys: bool) -> Header:
    schema = await version(db)
    if schema is None:
        raise Unavailable("The service database has no tables yet; there is nothing to back up.")
    facts = await db.fetchrow(_FACTS)
    return Header(
        product=__version__, schema=schema, server=server, root=root, home=home, taken_at=facts["at"], keys=keys,
        postgres=facts["postgres"], lsn=facts["lsn"], snapshot=facts["snapshot"],
    )  # fmt: skip


async def _write(db: Connection, target: Path, header: Header, keys: Sequence[KeyFile], passphrase: bytes) -> Taken:
    writer = Writer(target, header, passphrase)
    try:
        for key in keys:
            writer.write(KEY, msgspec.msgpack.encode(key))
        rows = {}
        for table in await tables.tables(db, SCHEMA):
            if table.name not in tables.LEFT_OUT:
                rows[table.name] = await _copy(db, writer, table)
        writer.write(SEQUENCES, msgspec.json.encode(await tables.sequences(db, SCHEMA)))
        writer.write(END, msgspec.json.encode(rows))
        total = writer.commit()
    finally:
        writer.discard()
    return Taken(path=str(target), header=writer.header, rows=rows, total=total, size_bytes=target.stat().st_size)


async def _copy(db: Connection, writer: Writer, table: tables.Table) -> int:
    writer.write(TABLE, msgspec.json.encode(table))
    waiting = bytearray()

    async def take_rows(data: bytes) -> None:
        waiting.extend(data)
        if len(waiting) >= _FRAME_BYTES:
            writer.write(ROWS, bytes(waiting))
            waiting.clear()

    told: str = await db.copy_from_table(
        table.name, schema_name=SCHEMA, columns=table.columns, output=take_rows, format="text"
    )
    if waiting:
        writer.write(ROWS, bytes(waiting))
    return int(told.rpartition(" ")[2])
