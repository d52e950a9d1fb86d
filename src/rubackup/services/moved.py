"""What the catalogue says of folders below one that lies elsewhere now: a state that was renamed, or carried to another host."""

from __future__ import annotations

from collections.abc import Callable

from rubackup.catalog.database import Connection
from rubackup.services.emergency import KEY

_STORAGES = """
SELECT s.id, s.path FROM storage_local_catalogs s JOIN media_servers m ON m.id = s.media_server_id
WHERE m.hwid = $1 AND starts_with(s.path, $2 || '/') ORDER BY s.id"""
_PATH = "UPDATE storage_local_catalogs SET path = $2 WHERE id = $1"
_EMERGENCY = "SELECT value #>> '{}' FROM global_configuration WHERE key = $1"
_PLACE = "UPDATE global_configuration SET value = to_jsonb($2::text) WHERE key = $1"


async def follow(
    db: Connection, hwid: str, old: str, new: str, is_folder: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """Let storages of this media server that lay below `old` be found below `new`, and so the emergency storage; before and after.

    Only what is there now and no longer here: a state that was copied leaves the first one its storages.
    """
    moved = []
    async with db.transaction():
        for row in await db.fetch(_STORAGES, hwid, old):
            path = new + row["path"][len(old) :]
            if is_folder(path) and not is_folder(row["path"]):
                await db.execute(_PATH, row["id"], path)
                moved.append((row["path"], path))
        place = await db.fetchval(_EMERGENCY, KEY)
        if place and place.startswith(old + "/") and not is_folder(place):
            await db.execute(_PLACE, KEY, new + place[len(old) :])
            moved.append((place, new + place[len(old) :]))
    return moved
