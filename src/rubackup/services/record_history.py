"""What is written down about copies: lines of their log, events, and the tombstones of those that go.

A row goes at once; its tombstone stays until the pool has written its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection, notify

_LOG = """
INSERT INTO repository_log (record_id, record_uuid, client_group_id, pool_id, task_id, user_name, action, text)
SELECT r.id, r.uuid, r.client_group_id, r.pool_id, $2::bigint, $3, $4, $5
FROM repository r WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
SELECT $2, 'repository', r.id, r.client_group_id, p.media_server_id, $3
FROM repository r JOIN pools p ON p.id = r.pool_id WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id"""
_BURY = """
INSERT INTO record_tombstones (uuid, pool_id, client_hwid)
SELECT r.uuid, r.pool_id, CASE WHEN p.pool_type = 'Client defined' THEN r.client_hwid ELSE '' END
FROM repository r JOIN pools p ON p.id = r.pool_id WHERE r.id = ANY ($1::bigint[])"""
_DELETE = "DELETE FROM repository WHERE id = ANY ($1::bigint[])"


async def note(db: Connection, ids: Sequence[int], action: str, text: str = "", **who: Any) -> None:
    """A line of the repository's log for each copy; `who`: task_id and user_name."""
    await db.execute(_LOG, list(ids), who.get("task_id"), who.get("user_name", ""), action, text)


async def tell(db: Connection, ids: Sequence[int], kind: str, data: dict[str, Any] | None = None) -> None:
    """An event for each copy."""
    await db.execute(_EVENT, list(ids), kind, data or {})


async def bury(db: Connection, ids: Sequence[int], action: str, text: str = "", **who: Any) -> None:
    """Take copies out of the catalogue and have their pools forget them; nothing is checked here."""
    wanted = list(ids)
    await db.execute(_BURY, wanted)
    await note(db, wanted, action, text, **who)
    await tell(db, wanted, "deleted")
    await db.execute(_DELETE, wanted)
    await notify(db, "records")
