"""What is told when a copy needs packs that lie in the emergency storage, and where that storage is."""

from __future__ import annotations

from rubackup.catalog.database import Connection
from rubackup.domain.pools import cleared
from rubackup.services.sealed import Sealed

KEY = "emergency_storage_local_catalog"
_POOL = "SELECT pool_name FROM pools WHERE id = $1"
_EVENT = """
INSERT INTO events (kind, family, row_id, media_server_id, data)
SELECT 'emergency', 'pool_list', p.id, p.media_server_id, $2 FROM pools p WHERE p.id = $1"""
_PLACE = """
INSERT INTO global_configuration (key, value) VALUES ($1, to_jsonb($2::text)) ON CONFLICT (key) DO NOTHING"""


async def place(db: Connection, folder: str) -> None:
    """The installation's own folder for it, unless an administrator has named one, or none."""
    await db.execute(_PLACE, KEY, folder)


async def told(db: Connection, sealed: Sealed) -> str:
    """That a copy needs what lies in the emergency storage: how much, of which pool, where and why; '' when it needs nothing there."""
    if not sealed.emergency:
        return ""
    pool = await db.fetchval(_POOL, sealed.pool_id)
    where = f"the emergency storage of pool {pool}, {sealed.emergency}, until a cleaning finds room in the pool"
    parts = [
        f"{sealed.emergency_bytes} bytes that it needs lie in {where}.",
        f"Why: {sealed.emergency_reason}" if sealed.emergency_reason else "",
        cleared(sealed.emergency),
    ]
    return " ".join(part for part in parts if part)


async def event(db: Connection, record_id: int, sealed: Sealed, text: str) -> None:
    """Tell those who watch the pool."""
    data = {"record": record_id, "path": sealed.emergency, "bytes": sealed.emergency_bytes, "message": text}
    await db.execute(_EVENT, sealed.pool_id, data)
