"""What keeps a pool from being deleted, by name."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.tasks import FINAL

NAMED = 5
"""So many uses of a kind are named; a pool of a million copies is told about just as fast."""

USES: tuple[str, ...] = (
    "SELECT 'copy ' || r.id FROM repository r WHERE r.pool_id = p.id ORDER BY r.id",
    """SELECT 'unfinished task ' || t.id FROM task_queue t
       WHERE t.pool_id = p.id AND t.status <> ALL ($2::text[]) ORDER BY t.id""",
    "SELECT 'storage ' || s.path FROM storage_local_catalogs s WHERE s.pool_id = p.id ORDER BY s.id",
    "SELECT 'block device ' || s.device FROM storage_block_devices s WHERE s.pool_id = p.id ORDER BY s.id",
    """SELECT 'client-defined storage ' || s.id FROM client_defined_storages s
       WHERE p.id IN (s.pool_id, s.metadata_fs_pool_id) ORDER BY s.id""",
    "SELECT 'cloud ' || s.name FROM storage_clouds s WHERE s.pool_id = p.id ORDER BY s.id",
    "SELECT 'pool ' || o.pool_name || ' (metadata)' FROM pools o WHERE o.meta_data_pool_id = p.id ORDER BY o.id",
    "SELECT 'pool substitution ' || s.id FROM pool_substitutions s WHERE p.id IN (s.pool_id, s.substitution_id)",
    """SELECT 'dynamic pool group ' || g.name FROM dynamic_pool_groups_records r
       JOIN dynamic_pool_groups g ON g.id = r.group_id WHERE r.pool_id = p.id ORDER BY g.id""",
    """SELECT 'rule ' || s.id FROM global_schedule s
       WHERE p.id IN (s.pool_id, s.move_copy_pool_id, s.second_copy_pool_id) ORDER BY s.id""",
    "SELECT 'tape library ' || l.id FROM tape_libraries l WHERE l.pool_id = p.id ORDER BY l.id",
    "SELECT 'cartridge ' || c.volume_tag FROM tape_cartridges c WHERE c.pool_id = p.id ORDER BY c.volume_tag",
    "SELECT 'ls_pool of client ' || c.id FROM clients c WHERE c.ls_pool_id = p.id ORDER BY c.id",
)
"""For pool `p` each kind of use, as a text that names one; `$2` are the final states of tasks."""

_USED = """
SELECT p.pool_name, u.what FROM pools p CROSS JOIN LATERAL ({uses}) u (what)
WHERE p.id = ANY ($1::bigint[]) ORDER BY p.id"""


async def refuse_used(db: Connection, ids: Sequence[int]) -> None:
    """Conflict that names what uses the pools, when anything does."""
    uses = " UNION ALL ".join(f"({use} LIMIT {NAMED})" for use in USES)
    used: dict[str, list[str]] = {}
    for row in await db.fetch(_USED.format(uses=uses), list(ids), [status.label for status in FINAL]):
        used.setdefault(row["pool_name"], []).append(row["what"])
    if used:
        raise Conflict(" ".join(f"Pool {name} is used by: {', '.join(what)}." for name, what in used.items()))
