"""Whether pools can do without storages that are to leave them: their media servers are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rubackup.domain.errors import Conflict
from rubackup.domain.tasks import HELD, WAITING
from rubackup.services.change import Change

_LOCK = """
SELECT p.id FROM pools p WHERE p.id IN (SELECT pool_id FROM {family} WHERE id = ANY ($1::bigint[]))
ORDER BY p.id FOR UPDATE"""
_KEEPS = """(SELECT o.pool_name FROM pools o WHERE o.meta_data_pool_id = p.id OR EXISTS (
    SELECT 1 FROM client_defined_storages d WHERE d.pool_id = o.id AND d.metadata_fs_pool_id = p.id)
    ORDER BY o.id LIMIT 1)"""
"""A pool whose metadata is kept in pool `p`."""
_IN_USE = """
SELECT * FROM (
    SELECT s.id, {label} AS label, s.pool_id, p.pool_name, m.hwid, {keeps} AS keeps_for,
        NOT EXISTS (SELECT 1 FROM {family} o WHERE o.pool_id = p.id AND o.id <> ALL ($1::bigint[])) AS last,
        EXISTS (SELECT 1 FROM repository r WHERE r.pool_id = p.id) AS copies,
        EXISTS (SELECT 1 FROM task_queue t WHERE t.pool_id = p.id AND t.status = ANY ($2::text[])) AS held,
        EXISTS (SELECT 1 FROM task_queue t WHERE t.pool_id = p.id AND t.status = ANY ($3::text[])) AS waiting
    FROM {family} s JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = p.media_server_id
    WHERE s.id = ANY ($1::bigint[])
) x WHERE copies OR held OR keeps_for IS NOT NULL ORDER BY id"""


async def refuse_needed(change: Change, family: str, label: str, ids: Sequence[int], what: str = "deleted") -> None:
    """Conflict when the pool of a storage `s` of this family cannot do without it; no new task of the pool begins meanwhile.

    Of a pool with copies, running tasks or metadata of other pools, only a storage that nothing of the pool lies in can
    go, and not the last one as long as another pool's metadata is kept there. `label` (SQL) names it.
    """
    await change.db.fetch(_LOCK.format(family=family), list(ids))
    held, waiting = ([status.label for status in statuses] for statuses in (HELD, WAITING))
    asked = _IN_USE.format(family=family, label=label, keeps=_KEEPS)
    for row in await change.db.fetch(asked, list(ids), held, waiting):
        reason = await _reason(change, row)
        if not reason and row["last"] and row["keeps_for"] is not None and what == "deleted":
            reason = f"It is the last one, and the metadata of pool {row['keeps_for']} is kept in this pool."
        if reason:
            raise Conflict(f"The storage {row['label']} of pool {row['pool_name']} cannot be {what}: {reason}")


async def _reason(change: Change, row: Mapping[str, Any]) -> str:
    """Why the pool of a storage cannot do without it; '' when it can."""
    need = await change.hosts.storage_need(row["hwid"], row["pool_id"], row["id"])
    if need.in_pool and not need.reason and (row["held"] or row["waiting"]):
        return "Tasks of the pool run or wait."
    return need.reason
