"""Indexes that are built while everybody works, however long that takes: outside of a transaction, which keeps nobody waiting.

`NNNN_pre.indexes.sql` and `NNNN_post.indexes.sql` declare them, by `CREATE INDEX CONCURRENTLY` alone. They are built before the
file of the revision beside them runs, so on tables and columns that are there before it. What a kill has left is not
valid: it goes, and is built again. Design: `docs/design/upgrade.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from rubackup.catalog.quoting import quoted
from rubackup.catalog.versions import Code
from rubackup.domain.errors import Conflict

log = logging.getLogger(__name__)
LOOK_SECONDS = 30.0
"""So often it is told how far one is."""
_NAME = "([a-z_][a-z0-9_]*)"
_STATEMENT = re.compile(rf"CREATE (UNIQUE )?INDEX CONCURRENTLY {_NAME}\s+ON {_NAME}\s*\(.*", re.DOTALL)
_VALID = """
SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1) AND i.indrelid = to_regclass($2)"""
_ATTENTIVE = """
SELECT set_config(name, '5s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"""
"""Since version 14 PostgreSQL can notice that who asked is gone, and then lets go of the lock of migrations, too."""
_PROGRESS = """
SELECT p.phase, p.blocks_done, p.blocks_total, coalesce(a.pid::text, '') AS pid, coalesce(a.application_name, '') AS program
FROM pg_stat_progress_create_index p LEFT JOIN pg_stat_activity a ON a.pid = p.current_locker_pid WHERE p.pid = $1"""


@dataclass(frozen=True)
class Index:
    """One that a revision declares."""

    name: str
    table: str
    unique: bool
    sql: str

    @property
    def plain(self) -> str:
        """The statement as it may stand in a transaction."""
        return self.sql.replace(" CONCURRENTLY ", " ", 1)


def declared(code: Code, revision: str) -> list[Index]:
    """Those of a revision, in order; ValueError for a file that holds anything else."""
    file = code.folder / f"{revision}.indexes.sql"
    if not file.exists():
        return []
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("--")]
    found = []
    for statement in filter(None, map(str.strip, "\n".join(lines).split(";"))):
        one = _STATEMENT.fullmatch(statement)
        if one is None:
            raise ValueError(f"{file.name} may hold CREATE INDEX CONCURRENTLY name ON table … alone, not: {statement}")
        found.append(Index(one[2], one[3], bool(one[1]), statement))
    return found


async def build(db: Any, revision: str, indexes: Sequence[Index], look: Callable[[], Awaitable[Any]]) -> None:
    """Build those that are not there yet, on a connection without a transaction; `look` opens another one, to tell how far it is.

    Conflict when what is to be unique is not; nothing is left of it then.
    """
    await db.execute("SET lock_timeout = 0")  # nobody queues behind who waits for this kind of lock
    await db.execute("SET statement_timeout = 0")
    await db.execute(_ATTENTIVE)
    try:
        for index in indexes:
            valid = await db.fetchval(_VALID, index.name, index.table)
            if valid:
                continue
            if valid is False:
                log.warning("the index %s was left unfinished; it is built again", index.name)
                await _drop(db, index)
            log.info("the index %s of %s is built; servers and APIs go on meanwhile", index.name, revision)
            await _build(db, revision, index, look)
    finally:
        with contextlib.suppress(asyncpg.InterfaceError):  # it is closed
            await db.execute("RESET lock_timeout")
            await db.execute("RESET statement_timeout")


async def _build(db: Any, revision: str, index: Index, look: Callable[[], Awaitable[Any]]) -> None:
    watch = asyncio.create_task(_watch(db.get_server_pid(), index, look))
    try:
        await db.execute(index.sql)
    except asyncpg.UniqueViolationError as error:
        await _drop(db, index)
        raise Conflict(
            f"The index {index.name} of the step {revision} cannot be built, as rows of {index.table} are alike that have to"
            f" differ: {error.detail or error}"
        ) from error
    except asyncpg.PostgresError as error:
        if not db.is_closed() and not isinstance(error, asyncpg.DuplicateTableError):
            await _drop(db, index)
        raise
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def _drop(db: Any, index: Index) -> None:
    await db.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(index.name)}")


async def _watch(pid: int, index: Index, look: Callable[[], Awaitable[Any]]) -> None:
    """Tell now and then how far it is, and for whose transaction it waits."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            other = await look()
            try:
                row = await other.fetchrow(_PROGRESS, pid)
            finally:
                await other.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.info("the index %s is being built (how far it is cannot be asked: %s)", index.name, error)
            continue
        if row is None:
            continue
        waits = f", for {row['program'] or 'a program without a name'} (pid {row['pid']})" if row["pid"] else ""
        log.info(
            "the index %s: %s%s, %d of %d blocks",
            index.name,
            row["phase"],
            waits,
            row["blocks_done"],
            row["blocks_total"],
        )
