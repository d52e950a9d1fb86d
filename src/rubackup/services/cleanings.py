"""Cleanings of pools: what queues one, what it is told, and when the next is due.

There are two kinds of work, each with its own period in days: `blocks` frees the space of deleted copies
(`dedup_clean_unused_blocks`, `dedup_clean_period`), `storages` tidies the folders (`filesystems_clean_period`).
One task does what is due of both. Design section 8; how: `docs/design/chunkstore.md`, Garbage collection.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import TaskType, VerificationStatus
from rubackup.domain.pools import CLIENT_DEFINED, NOT_RECONCILED, NOT_WRITTEN, WRITTEN
from rubackup.domain.tasks import FINAL
from rubackup.queue.ports import NewTask, Reservation
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import client_pools, configuration, record_history, storage_kinds, tasks
from rubackup.services.change import Change

BLOCKS, STORAGES = "blocks", "storages"
AT_ONCE = 100
UNFINISHED = 10_000
"""Tasks that an order names at most; beyond it names none, and everything that was sent stays."""
RETRY = "1 day"
"""How long after one that failed the next is queued by itself."""
_OVER = [status.label for status in FINAL]
_WRITERS = [TaskType.BACKUP.label, TaskType.COPY.label, TaskType.MOVE.label]

_DUE = f"""
SELECT p.id, p.media_server_id, p.pool_type, array_agg(k.kind) AS kinds
FROM pools p JOIN media_servers m ON m.id = p.media_server_id AND NOT m.local_service_mode
CROSS JOIN (VALUES ('{BLOCKS}', $1::int), ('{STORAGES}', $2::int)) AS k (kind, days)
LEFT JOIN pool_cleanings c ON c.pool_id = p.id AND c.kind = k.kind
WHERE p.pool_type = ANY ($3::text[]) AND k.days > 0
    AND NOT EXISTS (SELECT 1 FROM pool_state s WHERE s.pool_id = p.id AND NOT s.reconciled)
    AND {storage_kinds.COUNT} > 0
    AND coalesce(c.done_at, p.created_at) <= now() - make_interval(days => k.days)
    AND coalesce(c.queued_at <= now() - $4::text::interval, true)
    AND (p.pool_type = '{CLIENT_DEFINED}' OR NOT EXISTS (
        SELECT 1 FROM task_queue t WHERE t.pool_id = p.id AND t.task_type = 'Clean' AND t.status <> ALL ($5::text[])))
GROUP BY p.id ORDER BY p.id LIMIT $6"""  # noqa: S608 - names of the code
_QUEUED = """
INSERT INTO pool_cleanings (pool_id, kind, queued_at) SELECT $1, kind, now() FROM unnest($2::text[]) AS k (kind)
ON CONFLICT (pool_id, kind) DO UPDATE SET queued_at = excluded.queued_at"""
_DONE = """
UPDATE pool_cleanings c SET done_at = now() FROM task_queue t
WHERE t.id = $1 AND c.pool_id = t.pool_id AND (t.parameters ->> c.kind)::boolean"""
_DAMAGED = """
UPDATE repository r SET verification_status = $3, verified_at = now() FROM task_queue t
WHERE t.id = $1 AND r.pool_id = t.pool_id AND r.uuid = ANY ($2::uuid[]) AND r.verification_status IS DISTINCT FROM $3
RETURNING r.id"""
_UUID = re.compile("[0-9a-f]{32}")
_LACKS = "The copy names chunks that no pack of the pool has (found by a cleaning)."
_POOL = """
SELECT p.id, p.pool_name, p.pool_type, p.media_server_id, m.hostname AS media_hostname, m.local_service_mode,
    coalesce(s.reconciled, true) AS reconciled
FROM pools p JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN pool_state s ON s.pool_id = p.id WHERE p.id = $1 FOR NO KEY UPDATE OF p"""
_RUNNING = "SELECT min(id) FROM task_queue WHERE pool_id = $1 AND task_type = 'Clean' AND status <> ALL ($2::text[])"
_UNFINISHED = """
SELECT id FROM task_queue WHERE pool_id = $1 AND fence > 0 AND status <> ALL ($2::text[]) AND task_type = ANY ($3::text[])
ORDER BY id LIMIT $4"""


async def clean(change: Change, pool_id: int) -> list[int]:
    """Queue a cleaning of a pool of both kinds; the numbers of its tasks: one, or one for each client that keeps something in it.

    Conflict while one is queued or runs, in service mode, and for a type of pool that this version does not write to.
    """
    pool = await change.db.fetchrow(_POOL, pool_id)
    if pool["pool_type"] not in WRITTEN:
        raise Conflict(NOT_WRITTEN.format(pool["pool_type"]))
    if not pool["reconciled"]:
        raise Conflict(NOT_RECONCILED)
    await tasks.refuse_in_service_mode(change.db, pool["media_hostname"] if pool["local_service_mode"] else None)
    if pool["pool_type"] == CLIENT_DEFINED:
        found = await _queue_clients(
            change.db, pool_id, pool["media_server_id"], [BLOCKS, STORAGES], change.principal.name
        )
        if not found:
            raise Conflict(f"No client keeps anything in pool {pool['pool_name']} that is not being cleaned already.")
        change.after = {"tasks": found}
        await change.wake("tasks")
        return found
    if running := await change.db.fetchval(_RUNNING, pool_id, _OVER):
        raise Conflict(f"Pool {pool['pool_name']} is being cleaned already (task {running}).", task_id=running)
    task_id = await _queue(change.db, pool_id, pool["media_server_id"], [BLOCKS, STORAGES], change.principal.name)
    change.after = {"task": task_id}
    await change.wake("tasks")
    return [task_id]


async def queue_due(db: Connection) -> int:
    """Queue a cleaning of each pool whose time has come; how many."""
    blocks = await configuration.enabled(db, "dedup_clean_unused_blocks")
    days = await configuration.number(db, "dedup_clean_period") if blocks else 0
    tidy_days = await configuration.number(db, "filesystems_clean_period")
    due = await db.fetch(_DUE, days, tidy_days, list(WRITTEN), RETRY, _OVER, AT_ONCE)
    for row in due:
        queue = _queue_clients if row["pool_type"] == CLIENT_DEFINED else _queue
        await queue(db, row["id"], row["media_server_id"], row["kinds"], "")
    return len(due)


async def _queue_clients(
    db: Connection, pool_id: int, media_server_id: int, kinds: list[str], created_by: str
) -> list[int]:
    """A cleaning by each client that keeps something in the pool; the numbers of the tasks."""
    clients = await client_pools.concerned(db, pool_id, _OVER)
    await db.execute(_QUEUED, pool_id, kinds)
    return [await _queue(db, pool_id, media_server_id, kinds, created_by, client_id) for client_id in clients]


async def _queue(
    db: Connection, pool_id: int, media_server_id: int, kinds: list[str], created_by: str, client_id: int | None = None
) -> int:
    key = str(pool_id) if client_id is None else f"{pool_id}:{client_id}"
    task_id = await PostgresQueue(db).add(
        NewTask(
            task_type=TaskType.CLEAN.label,
            executor="media" if client_id is None else "client",
            client_id=client_id,
            media_server_id=media_server_id,
            pool_id=pool_id,
            parameters={kind: kind in kinds for kind in (BLOCKS, STORAGES)},
            created_by=created_by,
            reservations=(
                Reservation("cleaning", key, exclusive=True),
                Reservation("pool", str(pool_id), exclusive=False),
            ),
        )
    )
    await db.execute(_QUEUED, pool_id, kinds)
    return task_id


async def begin(db: Connection, pool_id: int) -> dict[str, Any]:
    """What an attempt is told beside its kinds: whether to overwrite, and which tasks keep what they have sent.

    A task that is handed out after this is protected by its running session.
    """
    found = [row["id"] for row in await db.fetch(_UNFINISHED, pool_id, _OVER, _WRITERS, UNFINISHED + 1)]
    return {
        "zeroing": await configuration.enabled(db, "delete_archives_with_zeroing"),
        "unfinished": found if len(found) <= UNFINISHED else None,
    }


async def done(db: Connection, task_id: int, damaged: Sequence[str] = ()) -> None:
    """The media server is through: the next is due a period later. Copies with these uuids turned out to lack chunks."""
    await db.execute(_DONE, task_id)
    uuids = [uuid.UUID(one) for one in damaged if _UUID.fullmatch(one)]
    rows = await db.fetch(_DAMAGED, task_id, uuids, VerificationStatus.NOT_TRUSTED.label) if uuids else []
    if ids := [row["id"] for row in rows]:
        await record_history.note(db, ids, "verified", _LACKS, task_id=task_id)
        await record_history.tell(db, ids, "changed", {"verification_status": VerificationStatus.NOT_TRUSTED.label})
