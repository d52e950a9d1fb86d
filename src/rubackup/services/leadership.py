"""Which server leads. Design section 7: only the leader schedules and dispatches.

The leader holds an advisory lock on a connection of its own; when that connection dies,
PostgreSQL frees the lock and another server may take over. Each take-over raises the epoch,
which every dispatching transaction checks, so a leader that has not noticed its loss writes nothing.
A leader that hangs keeps its connections: it says on the one with the lock every few seconds that it lives
(`held`), and whoever finds it silent ends that connection for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from rubackup.catalog.database import Connection, Database
from rubackup.catalog.faults import DRIVER_ERRORS, translated
from rubackup.catalog.locks import LEADER_LOCK
from rubackup.domain.errors import Fenced

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
SILENT_SECONDS = 15.0
"""A leader that has not asked so long for what it holds hangs: it asks every two seconds, and waits at most five for the answer."""
TERMS_KEPT = 1000
"""Take-overs that are remembered; a pool that has missed more of them has to be reconciled."""

_TAKE = """
WITH taken AS (
    UPDATE leadership SET epoch = epoch + 1, server_hwid = $1, taken_at = now() RETURNING epoch
), gone AS (
    DELETE FROM leadership_terms l USING taken t WHERE l.epoch <= t.epoch - $2 OR l.epoch > t.epoch
)
INSERT INTO leadership_terms (epoch) SELECT epoch FROM taken
ON CONFLICT (epoch) DO UPDATE SET term = gen_random_uuid() RETURNING epoch"""
_TERMS = "SELECT epoch, term FROM leadership_terms ORDER BY epoch"
_END_SILENT = """
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = $1 AND l.objsubid = 1
    AND a.state = 'idle' AND a.state_change < clock_timestamp() - make_interval(secs => $2)"""
_END_STUCK = """
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
WHERE l.relation = 'leadership'::regclass AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND a.pid <> pg_backend_pid() AND a.state = 'idle in transaction'
    AND a.state_change < clock_timestamp() - make_interval(secs => $1)"""
"""Transactions of a server that hung in the middle of one; they keep the epoch from being raised."""
_EPOCH = "SELECT epoch FROM leadership FOR SHARE"


class Leadership:
    """This server's claim to lead; used by one task at a time."""

    def __init__(self, database: Database, silent_seconds: float = SILENT_SECONDS) -> None:
        self._database = database
        self._silent_seconds = silent_seconds
        self._connection: Connection | None = None

    async def take(self, server_hwid: str) -> int | None:
        """The new epoch, or None while another server leads; Unavailable when the catalogue does not answer."""
        await self.release()
        connection = await self._database.direct()
        try:
            with translated():
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
                    if await connection.fetchval(_END_SILENT, LEADER_LOCK, self._silent_seconds):
                        log.warning(
                            "the leading server is silent for %g s: it is made to give up", self._silent_seconds
                        )
                    return None
                await connection.execute(_END_STUCK, self._silent_seconds)
                epoch: int = await connection.fetchval(_TAKE, server_hwid, TERMS_KEPT)
            self._connection, connection = connection, None
            return epoch
        finally:
            if connection is not None:
                connection.terminate()

    async def held(self) -> bool:
        """Whether the lock's connection still answers."""
        if self._connection is None or self._connection.is_closed():
            return False
        try:
            await asyncio.wait_for(self._connection.execute("SELECT 1"), ANSWER_SECONDS)
        except DRIVER_ERRORS:
            return False
        return True

    async def release(self) -> None:
        """Let another server lead; does nothing when this one does not."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(*DRIVER_ERRORS):
            await connection.close(timeout=ANSWER_SECONDS)
        connection.terminate()


async def terms(database: Database) -> list[tuple[int, str]]:
    """Epoch and random name of the last take-overs, oldest first: what pools know their catalogue by."""
    async with database.connection() as db:
        return [(row["epoch"], row["term"].hex) for row in await db.fetch(_TERMS)]


async def check_epoch(connection: Connection, epoch: int) -> None:
    """Fenced when another server has taken over since; otherwise none does until the transaction ends."""
    found = await connection.fetchval(_EPOCH)
    if found != epoch:
        raise Fenced("Another server leads now.", epoch=found)
