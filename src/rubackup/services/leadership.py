"""Which server leads. Design section 7: only the leader schedules and dispatches.

The leader holds an advisory lock on a connection of its own; when that connection dies,
PostgreSQL frees the lock and another server may take over. Each take-over raises the epoch,
which every dispatching transaction checks, so a leader that has not noticed its loss writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib

from rubackup.catalog.database import DRIVER_ERRORS, Connection, Database, translated
from rubackup.domain.errors import Fenced

LEADER_LOCK = 0x52_42_4C_45_41  # "RBLEA"
ANSWER_SECONDS = 5.0
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
_EPOCH = "SELECT epoch FROM leadership FOR SHARE"


class Leadership:
    """This server's claim to lead; used by one task at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    async def take(self, server_hwid: str) -> int | None:
        """The new epoch, or None while another server leads; Unavailable when the catalogue does not answer."""
        await self.release()
        connection = await self._database.direct()
        try:
            with translated():
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
                    return None
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
