"""Brings the catalogue's schema to this version. Design section 4; the files lie in `catalog/migrations`.

Every revision is a pair: the pre file is safe while the code of the version before still runs, the
post file comes once none of it does. Alembic and SQLAlchemy are imported only while a migration
runs: no long-lived process pays for them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

from rubackup import __version__
from rubackup.catalog import collation, versions
from rubackup.catalog.database import Connection, Database, DatabaseAddress, translated
from rubackup.catalog.versions import newest, order, revisions
from rubackup.domain.errors import Busy, Conflict, Unavailable

LOCK_KEY = 0x52_42_4D_49_47  # "RBMIG", one of the service database's advisory locks
LOCK_WAIT_SECONDS = 120.0

Phase = Literal["pre", "post", "all"]


def _last_pre() -> str:
    return next(name for name in reversed(revisions()) if name.endswith("pre"))


def is_known(revision: str) -> bool:
    """Whether this code can bring a catalogue of that revision to its own."""
    return revision in revisions()


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
        await _require_known(connection, await version(connection))


async def check_ready(address: DatabaseAddress) -> None:
    """Unavailable until the schema is at this version; Conflict when the catalogue is newer than this code can work with."""
    await check_version(address)
    async with _direct(address) as connection:
        found = await version(connection)
    if found is None:
        raise Unavailable("The service database has no tables yet; run rb_init on the primary server.")
    if found in revisions() and order(found) < order(_last_pre()):
        raise Unavailable(
            f"The service database is of an older version (schema {found}); start the server of this version first."
        )


async def migrate(address: DatabaseAddress, phase: Phase = "all") -> None:
    """Bring the schema to this version; does nothing when it is there already, or one pre file ahead.

    Callers at the same time wait for each other. Conflict when the catalogue is newer, when it orders text
    otherwise than by code point, for `post` when the pre files have not all run, and when a post file would
    run under a process that is too old for it.
    """
    async with _direct(address) as connection, _alone(connection):
        await collation.check(connection)
        found = await version(connection)
        known = revisions()
        await _require_known(connection, found)
        if found is not None and found not in known:
            return
        last_pre = _last_pre()
        if phase == "post" and (found is None or order(found) < order(last_pre)):
            raise Conflict(f"The schema is at {found or 'nothing'}; run the phase 'pre' first.")
        target = last_pre if phase == "pre" else known[-1]
        if found is not None and order(found) >= order(target):
            return
        await _require_new_enough(connection, found, target)
        from rubackup.catalog._alembic import upgrade  # noqa: PLC0415 - SQLAlchemy costs every process 27 MB

        await upgrade(address, target)
        await versions.sign(connection)


async def _require_known(connection: Connection, found: str | None) -> None:
    """Conflict unless this code can work with the schema: it knows it, or is one pre file behind."""
    if found is None or found in revisions() or found == f"{newest() + 1:04}_pre":
        return
    theirs = await versions.signed_by(connection)
    raise Conflict(
        f"The service database is of a newer version ({theirs or 'one that is not known'}, schema {found}) than this"
        f" program ({__version__}, schema {newest():04}); install that version, or restore a copy of the service"
        " database that was made before the upgrade.",
        found=found,
    )


async def _require_new_enough(connection: Connection, found: str | None, target: str) -> None:
    """Conflict when a server or API is connected that could not work with a post file that is to run."""
    if found is None:
        return
    posts = [name for name in revisions() if name.endswith("post") and order(found) < order(name) <= order(target)]
    if not posts:
        return
    older = await versions.older_than(connection, int(posts[-1][:4]))
    if older:
        raise Conflict(
            f"The service database was not brought to schema {target} of version {__version__}: too old for that are"
            f" {', '.join(map(str, older))}. Upgrade them, or stop them, and try again.",
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
