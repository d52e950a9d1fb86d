"""What becomes of the catalogue when a copy was copied or moved into another pool.

Runs in the transaction that ends the task (`records.seal`): the new row is there, and the source of a move is
gone, together or not at all.
"""

from __future__ import annotations

import uuid
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import TaskType, VerificationStatus
from rubackup.domain.tasks import FINAL
from rubackup.services import configuration, record_history, task_log
from rubackup.services.sealed import Sealed

_INSERT = """
INSERT INTO repository (uuid, parent_id, parent_uuid, task_id, client_id, client_hostname, client_hwid,
    client_group_id, pool_id, resource_type, resource, backup_type, crypto, archiving, size_bytes, stored_bytes,
    files, files_failed, created_at, store_until, locked_until, rule_id, strategy_id, strategy_rule_id,
    chain_broken, copied_from, copied_from_uuid, verification_status, verified_at, key_id, secondary, informed_at,
    second_copied_at)
SELECT $2, p.id, $3, t.id, s.client_id, s.client_hostname, s.client_hwid, s.client_group_id, t.pool_id,
    s.resource_type, s.resource, s.backup_type, s.crypto, s.archiving, s.size_bytes, $4, s.files, s.files_failed,
    s.created_at, kept.until, CASE WHEN $5 THEN kept.until END, s.rule_id, s.strategy_id, s.strategy_rule_id,
    s.chain_broken, s.id, s.uuid, $6, now(), s.key_id, s.secondary OR NOT moved, CASE WHEN moved THEN s.informed_at END,
    CASE WHEN moved THEN s.second_copied_at END
FROM task_queue t JOIN repository s ON s.id = t.record_id JOIN pools o ON o.id = t.pool_id
LEFT JOIN repository p ON p.uuid = $3
CROSS JOIN LATERAL (SELECT t.task_type = 'Move' AS moved, least(
    CASE WHEN t.parameters ? 'retention' THEN s.created_at + (t.parameters #>> '{retention,kept}')::interval
        ELSE s.store_until END, s.created_at + o.retention_period) AS until) kept
WHERE t.id = $1 RETURNING id"""
_SECOND = """
UPDATE repository r SET second_copied_at = now(), retention_tried_at = NULL FROM task_queue t
WHERE t.id = $1 AND r.id = t.record_id AND t.task_type = 'Copy' AND t.parameters ? 'retention'"""
_LOCK = "SELECT 1 FROM repository WHERE id = $1 FOR UPDATE"
_POOL = "SELECT pool_name FROM pools WHERE id = $1"
_WAITING = """
UPDATE task_queue t SET record_id = $2,
    record_uuid = CASE WHEN t.task_type = ANY ($5::text[]) THEN t.record_uuid ELSE r.uuid END,
    pool_id = CASE WHEN t.task_type = ANY ($5::text[]) THEN t.pool_id ELSE r.pool_id END,
    media_server_id = CASE WHEN t.task_type = ANY ($5::text[]) THEN t.media_server_id ELSE p.media_server_id END
FROM repository r JOIN pools p ON p.id = r.pool_id
WHERE r.id = $2 AND t.record_id = $1 AND t.id <> $3 AND t.status <> ALL ($4::text[]) RETURNING t.id"""
_RESERVED = """
UPDATE task_reservations SET key = $2 WHERE kind = 'record' AND key = $1 AND task_id = ANY ($3::bigint[])"""


async def insert(db: Connection, sealed: Sealed, task: Any) -> int:
    """The row of the record that a task copied; a moved one's source is buried, and who waits for it is led on.

    Everything was read back before the record was sealed, so the copy begins as Trusted.
    """
    await db.execute(_LOCK, task["record_id"])  # from here on nobody makes a task for a source that goes
    record, parent = uuid.UUID(sealed.record), uuid.UUID(sealed.parent) if sealed.parent else None
    immutable = await configuration.enabled(db, "immutable_archives")
    trusted = VerificationStatus.TRUSTED.label
    new: int = await db.fetchval(_INSERT, task["id"], record, parent, sealed.stored_bytes, immutable, trusted)
    pool, source = await db.fetchval(_POOL, task["pool_id"]), task["record_id"]
    if task["task_type"] == TaskType.MOVE.label:
        await _lead_on(db, task["id"], source, new)
        await record_history.bury(db, [source], "moved", f"To pool {pool} as copy {new}.", task_id=task["id"])
    else:
        await db.execute(_SECOND, task["id"])
        await record_history.note(db, [source], "copied", f"To pool {pool} as copy {new}.", task_id=task["id"])
    return new


async def _lead_on(db: Connection, task_id: int, source: int, new: int) -> None:
    """Tasks that wait for the source work on the moved copy."""
    final = [status.label for status in FINAL]
    copies = [TaskType.COPY.label, TaskType.MOVE.label]
    waiting = [row["id"] for row in await db.fetch(_WAITING, source, new, task_id, final, copies)]
    await db.execute(_RESERVED, str(source), str(new), waiting)
    for other in waiting:
        await task_log.say(db, other, f"Copy {source} was moved meanwhile: the task works on copy {new} now.")
