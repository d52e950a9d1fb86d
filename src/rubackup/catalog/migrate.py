"""Brings the catalogue's schema to this version. Design section 4; the files lie in `catalog/migrations`.

Every revision is a pair: the pre file is safe while the code of the version before still runs, the
post file comes once none of it does. Alembic and SQLAlchemy are imported only while a migration
runs: no long-lived process pays for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from rubackup.catalog import collation
from rubackup.catalog.database import Connection, Database, DatabaseAddress, translated
from rubackup.domain.errors import Busy, Conflict, Unavailable

FOLDER = Path(__file__).parent / "migrations"
LOCK_KEY = 0x52_42_4D_49_47  # "RBMIG", one of the service database's advisory locks
LOCK_WAIT_SECONDS = 120.0
_NAME = re.compile(r"(\d{4})_(pre|post)")

Phase = Literal["pre", "post", "all"]


def revisions() -> list[str]:
    """The revisions that this code knows, in the order in which they run."""
    names = [path.stem for path in FOLDER.glob("*.sql") if _NAME.fullmatch(path.stem)]
    return sorted(names, key=_order)


def _last_pre() -> str:
    return next(name for name in reversed(revisions()) if name.endswith("pre"))


def _order(name: str) -> tuple[int, bool]:
    return int(name[:4]), name.endswith("post")


async def version(connection: Connection) -> str | None:
    """The revision that the catalogue is at; None for an empty database."""
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return None
    found: str | None = await connection.fetchval("SELECT version_num FROM schema_version")
    return found


async def check_version(address: DatabaseAddress) -> None:
    """Conflict when the catalogue is newer than this code can work with.

    The pre file of the very next revision is safe for this code, so that state passes.
    """
    async with _direct(address) as connection:
        found = await version(connection)
    last = int(revisions()[-1][:4])
    if found is not None and found not in revisions() and found != f"{last + 1:04}_pre":
        raise _newer(found)


async def check_ready(address: DatabaseAddress) -> None:
    """Unavailable until the schema is at this version; Conflict when the catalogue is newer than this code can work with."""
    await check_version(address)
    async with _direct(address) as connection:
        found = await version(connection)
    if found is None:
        raise Unavailable("The service database has no tables yet; run rb_init on the primary server.")
    if found in revisions() and _order(found) < _order(_last_pre()):
        raise Unavailable(
            f"The service database is of an older version (schema {found}); start the server of this version first."
        )


async def migrate(address: DatabaseAddress, phase: Phase = "all") -> None:
    """Bring the schema to this version; does nothing when it is there already.

    Callers at the same time wait for each other. Conflict when the catalogue is newer, when it orders text
    otherwise than by code point, or for `post` when the pre files have not all run.
    """
    async with _direct(address) as connection, _alone(connection):
        await collation.check(connection)
        found = await version(connection)
        known = revisions()
        if found is not None and found not in known:
            raise _newer(found)
        last_pre = _last_pre()
        if phase == "post" and (found is None or _order(found) < _order(last_pre)):
            raise Conflict(f"The schema is at {found or 'nothing'}; run the phase 'pre' first.")
        target = last_pre if phase == "pre" else known[-1]
        if found is not None and _order(found) >= _order(target):
            return
        from rubackup.catalog._alembic import upgrade  # noqa: PLC0415 - SQLAlchemy costs every process 27 MB

        await upgrade(address, target)


def _newer(found: str) -> Conflict:
    return Conflict(
        f"The service database is of a newer version (schema {found}, this version knows {revisions()[-1]});"
        " install that version or restore an older backup of the database.",
        found=found,
    )


@contextlib.asynccontextmanager
async def _direct(address: DatabaseAddress) -> AsyncIterator[Connection]:
    connection = await Database(address, application="rubackup migrate").direct()
    try:
        with translated():
            yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """Hold the migration lock. Polled: a waiting lock call would hold a snapshot that CREATE INDEX CONCURRENTLY awaits."""
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_SECONDS
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if asyncio.get_running_loop().time() > deadline:
            raise Busy("Another migration of the service database is running.")
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
