"""Copies that cannot be read as long as folders of their pool are away: marked in the repository, and unmarked when those are back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Conflict
from rubackup.services import record_history

MARKED_AGAIN_MINUTES = 10
"""Backups may send again what was lost with a folder, so copies are asked after now and then while one is away."""

_POOLS = """
SELECT s.pool_id FROM pool_state s JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = p.media_server_id
WHERE m.hwid = $1 AND (s.away <> s.away_marked
    OR (s.away <> '{}' AND s.away_marked_at < now() - make_interval(mins => $2)))
ORDER BY s.pool_id"""
_AWAY = "SELECT away FROM pool_state WHERE pool_id = $1 FOR UPDATE"
_MARK = """
UPDATE repository SET unavailable = $3
WHERE pool_id = $1 AND uuid = ANY ($2::uuid[]) AND unavailable <> $3 RETURNING id"""
_UNMARK = """
UPDATE repository SET unavailable = ''
WHERE pool_id = $1 AND unavailable <> '' AND uuid <> ALL ($2::uuid[]) RETURNING id"""
_MARKED = "UPDATE pool_state SET away_marked = $2, away_marked_at = now() WHERE pool_id = $1"


async def pools(database: Database, media_hwid: str) -> list[int]:
    """Pools of a media server whose folders went away, or came back, since copies were marked last."""
    async with database.connection() as db:
        return [row["pool_id"] for row in await db.fetch(_POOLS, media_hwid, MARKED_AGAIN_MINUTES)]


async def mark(database: Database, pool_id: int, records: Sequence[str]) -> None:
    """The pool says that these records, and no others, need what is away."""
    async with database.transaction() as db:
        away: list[str] = await db.fetchval(_AWAY, pool_id) or []
        names = [uuid.UUID(record) for record in records] if away else []
        text = ", ".join(away)
        marked = [row["id"] for row in await db.fetch(_MARK, pool_id, names, text)]
        back = [row["id"] for row in await db.fetch(_UNMARK, pool_id, names)]
        await db.execute(_MARKED, pool_id, away)
        if marked:
            await record_history.note(db, marked, "changed", f"It cannot be read as long as {text} is away.")
            await record_history.tell(db, marked, "changed", {"unavailable": text})
        if back:
            await record_history.note(db, back, "changed", "It can be read again: what it needs is back.")
            await record_history.tell(db, back, "changed", {"unavailable": ""})


async def refuse(db: Connection, record_id: int) -> None:
    """Conflict when a copy cannot be read now, as folders of its pool are away."""
    away = await db.fetchval("SELECT unavailable FROM repository WHERE id = $1", record_id)
    if away:
        raise Conflict(f"Copy {record_id} cannot be read now: it needs what lies in a storage that is away: {away}.")
