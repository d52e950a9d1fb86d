"""Brings the catalogue's schema to this version. Design: `docs/design/upgrade.md`; the files lie in `catalog/migrations`.

Every revision is a pair: the pre file is safe while code of versions before still runs, the
post file comes once none of it does. All pre files come before all post files. Alembic and SQLAlchemy are imported
only while a migration runs: no long-lived process pays for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from rubackup.catalog import collation, versions
from rubackup.catalog.database import Connection, Database, DatabaseAddress
from rubackup.catalog.faults import translated
from rubackup.catalog.versions import OWN, Code, Process, Schema, require_known
from rubackup.domain.errors import Busy, Conflict, Unavailable

LOCK_KEY = 0x52_42_4D_49_47  # "RBMIG", one of the service database's advisory locks
LOCK_WAIT_SECONDS = 120.0
_RAISE = "UPDATE schema_version SET oldest = greatest(oldest, $1)"

Phase = Literal["pre", "post", "all"]
log = logging.getLogger(__name__)


class WayBackCloses(Conflict):
    """No version that has worked with this catalogue could start any more; nobody has asked for that."""


async def version(connection: Connection) -> str | None:
    """How far the schema is, in words; None for an empty database."""
    found = await versions.read(connection)
    return None if found is None else str(found)


async def check_version(address: DatabaseAddress, code: Code = OWN) -> None:
    """Conflict when the catalogue is newer than this code can work with: pre files of later versions do not matter."""
    async with _direct(address) as connection:
        await require_known(connection, await versions.read(connection), code)


async def check_ready(address: DatabaseAddress, code: Code = OWN) -> None:
    """Unavailable until the schema is at this version; Conflict when the catalogue is newer than this code can work with."""
    async with _direct(address) as connection:
        found = await versions.read(connection)
        await require_known(connection, found, code)
    if found is None:
        raise Unavailable("The service database has no tables yet; run rb_init on the primary server.")
    if found.pre < code.newest() or found.oldest < code.beside:
        raise Unavailable(
            f"The service database is of an older version (schema {found}); start the server of this version first."
        )


async def migrate(
    address: DatabaseAddress, phase: Phase = "all", code: Code = OWN, *, keep_way_back: bool = False
) -> None:
    """Bring the schema to this version; does nothing when it is there already, or ahead of it.

    Callers at the same time wait for each other. Conflict when the catalogue is newer, when it orders text
    otherwise than by code point, for `post` when the pre files have not all run, and when processes are connected that
    are too old for what would change. Busy when a table is in use for too long, TooSlow when a file keeps others waiting
    for too long; then, as after a kill, what ran before stays, and the next call goes on behind it. WayBackCloses, with
    `keep_way_back`, when the catalogue is of versions so old that this one does not take care of any of them.
    """
    async with _direct(address) as connection:
        await collation.check(connection)
        if await _target(connection, phase, code) is None:
            return
    from rubackup.catalog._alembic import runner  # noqa: PLC0415 - SQLAlchemy costs every process 27 MB

    async with runner(address, code=code) as running, _alone(running.db):
        found = await versions.read(running.db)
        target = await _target(running.db, phase, code)
        if target is None:
            return
        if found is not None and (target.oldest > found.oldest or target.post > found.post):
            await running.prepare()
            await running.patiently(lambda: _shut_out(running.db, found, target, code, keep_way_back=keep_way_back))
            if target.oldest > found.oldest:
                log.info("Versions that do not know schema %04d cannot start any more.", target.oldest)
        await running.run(target)


async def finish(address: DatabaseAddress, code: Code = OWN) -> None:
    """Both halves of this version's migrations. Conflict, too, when a newer version has begun its upgrade already."""
    async with _direct(address) as connection:
        found = await versions.read(connection)
        await require_known(connection, found, code)
        if found is not None and found.pre > code.newest():
            theirs = await versions.signed_by(connection)
            raise Conflict(
                f"The upgrade that is under way is that to version {theirs or 'one that is not known'} (schema {found}), and"
                f" this is {code.product} (schema {code.newest():04}): finish it with that version."
            )
    await migrate(address, "all", code)


async def unfinished(address: DatabaseAddress) -> str:
    """A sentence when an upgrade waits to be finished, whichever version began it; '' otherwise."""
    async with _direct(address) as connection:
        found = await versions.read(connection)
        if found is None or found.pre == found.post:
            return ""
        theirs = await versions.signed_by(connection)
    return (
        f"The upgrade to version {theirs or 'one that is not known'} is not finished (schema {found}): when nobody is to go back"
        " any more, rb_init --finish-upgrade on a server completes it."
    )


async def _target(connection: Connection, phase: Phase, code: Code) -> Schema | None:
    """How far the schema is to be brought; None when there is nothing to do."""
    found = await versions.read(connection)
    await require_known(connection, found, code)
    if phase == "post" and (found is None or found.pre < code.newest()):
        raise Conflict(f"The schema is at {found or 'nothing'}; run the phase 'pre' first.")
    wanted = code.target(found or Schema(), finish=phase != "pre")
    return None if wanted == found else wanted


async def _shut_out(db: Any, found: Schema, target: Schema, code: Code, *, keep_way_back: bool) -> None:
    """Code that is too old for `target` cannot start from now on; Conflict when such a process is connected.

    A process opens its connection, which tells its version, and then asks how far the schema is; here the table that
    says it is locked, and then the connections are looked at. So one always sees the other.
    """
    async with db.transaction():
        await db.execute(f"SET LOCAL lock_timeout = {versions.LOCK_TIMEOUT_MS}")
        await db.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
        older = await versions.older_than(db, target.oldest)
        if older and target.post > max(found.post, code.beside):
            reached = f"{target.post:04}_post"
            raise Conflict(
                f"The service database was not brought to schema {reached} of version {code.product}: too old"
                f" for that are {_named(older)}. Upgrade them, or stop them, and try again."
            )
        if older:
            raise Conflict(
                f"Version {code.product} does not work beside versions that do not know schema {target.oldest:04}:"
                f" {_named(older)}. Upgrade those to a version in between first, or stop them, and try again."
            )
        # One that has no post file yet was never made whole: nobody has worked with it.
        if keep_way_back and found.post > 0 and max(found.pre, found.oldest) < code.beside:
            raise WayBackCloses(
                f"The service database (schema {found}) is of a version that version {code.product} leaves no way back to:"
                " write a backup (rubackup backup-catalogue --to FILE), then say rb_init --finish-upgrade and start the"
                " servers."
            )
        await db.execute(_RAISE, target.oldest)


def _named(processes: Sequence[Process]) -> str:
    return ", ".join(map(str, processes))


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
            raise Busy("The service database is being migrated, backed up or restored; try again later.")
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
