"""The repository of copies: what media servers have sealed, have to forget, and have to keep.

A copy is listed only after its media server sealed it, and forgotten there only after the
catalogue committed its tombstone. Deleting is `services.deletion`. Design section 8.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from rubackup.catalog.database import Connection, Database, notify
from rubackup.domain.errors import NotFound
from rubackup.domain.lookups import TaskStatus, TaskType
from rubackup.domain.tasks import HELD, Verb
from rubackup.queue import notices
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import configuration, copying, emergency, jobs, presence, record_history, task_log, verifications
from rubackup.services.sealed import Sealed

__all__ = [
    "Sealed", "finished_verification", "lock_told", "seal", "tombstone_done", "untold_locks", "waiting_tombstones",
    "whereabouts",
]  # fmt: skip

TOMBSTONES_AT_ONCE = 1000

_SEALING_TASK = """
SELECT t.id, t.status, t.fence, t.task_type, t.record_uuid, t.record_id, t.pool_id, t.created_by,
    coalesce(s.client_hwid, c.hwid) AS owner, s.locked_until > now() AS locked,
    CASE WHEN p.pool_type = 'Client defined' THEN '' ELSE m.hwid END AS media_hwid
FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id JOIN pools p ON p.id = t.pool_id
JOIN media_servers m ON m.id = p.media_server_id
LEFT JOIN repository s ON s.id = t.record_id AND t.task_type IN ('Copy', 'Move')
WHERE t.id = $1 FOR NO KEY UPDATE OF t"""
_KNOWN = "SELECT id FROM repository WHERE uuid = $1"
_INSERT = """
INSERT INTO repository (uuid, parent_id, parent_uuid, task_id, client_id, client_hostname, client_hwid,
    client_group_id, pool_id, resource_type, resource, backup_type, crypto, archiving, size_bytes, stored_bytes,
    files, files_failed, created_at, store_until, locked_until, rule_id, strategy_id, strategy_rule_id, file_list,
    key_id)
SELECT $2, r.id, $3, t.id, c.id, c.hostname, c.hwid, c.group_id, t.pool_id, $4, $5, $6, t.crypto, t.archiving,
    $7, $8, $9, $10, made.at, made.until, CASE WHEN $12 THEN made.until END,
    t.rule_id, t.strategy_id, t.strategy_rule_id, coalesce(t.parameters #> '{module,file_list}' <> 'false', true), $13
FROM task_queue t JOIN clients c ON c.id = t.client_id JOIN pools p ON p.id = t.pool_id
LEFT JOIN repository r ON r.uuid = $3
CROSS JOIN LATERAL (SELECT greatest(t.created_at, least(now(), $11)) AS at) begun
CROSS JOIN LATERAL (
    SELECT begun.at, least(begun.at + t.storage_duration, begun.at + p.retention_period) AS until) made
WHERE t.id = $1 RETURNING id"""
_FIGURES = """
UPDATE task_progress SET files_done = $2, files_total = $2, bytes_done = $3, bytes_total = $3 WHERE task_id = $1"""
_HOLDS_KEY = """
UPDATE clients SET key_ids = ARRAY[$2] || key_ids
WHERE hwid = $1 AND NOT $2 = ANY (key_ids) AND cardinality(key_ids) < $3"""
"""A client that has just encrypted with a key has it, though it may not have told so yet."""
_TASK_RECORD = "UPDATE task_queue SET record_id = $2 WHERE id = $1"
_WAITING = """
SELECT t.pool_id, t.uuid FROM record_tombstones t JOIN pools p ON p.id = t.pool_id
JOIN media_servers m ON m.id = p.media_server_id
WHERE m.hwid = $1 AND t.client_hwid = '' AND t.acknowledged_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM task_queue q WHERE q.parent_uuid = t.uuid
        AND q.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission'))
ORDER BY t.created_at, t.uuid LIMIT $2"""
_ACKNOWLEDGE = "UPDATE record_tombstones SET acknowledged_at = now() WHERE uuid = $1 AND acknowledged_at IS NULL"
_WHEREABOUTS = """
SELECT m.hwid AS media_hwid, m.data_endpoint AS endpoint, m.fingerprint AS media_key, c.fingerprint AS client_key FROM repository r JOIN clients c ON c.id = r.client_id JOIN pools p ON p.id = r.pool_id
JOIN media_servers m ON m.id = p.media_server_id
WHERE r.pool_id = $1 AND r.uuid = $2 AND r.client_hwid = $3 AND c.hwid = $3"""
_UNTOLD_LOCKS = """
SELECT r.id, r.pool_id, r.uuid, r.locked_until FROM repository r JOIN pools p ON p.id = r.pool_id
JOIN media_servers m ON m.id = p.media_server_id
WHERE m.hwid = $1 AND p.pool_type <> 'Client defined' AND r.locked_until IS NOT NULL AND r.locked_until IS DISTINCT FROM r.pool_locked_until
ORDER BY r.id LIMIT $2"""
_LOCK_TOLD = "UPDATE repository SET pool_locked_until = $2 WHERE id = $1"


class Whereabouts(NamedTuple):
    """Where a record is, and the keys with which that media server and its client are authorised."""

    media_hwid: str
    endpoint: str
    media_key: str
    client_key: str


async def seal(database: Database, sealed: Sealed) -> bool:
    """Whether the record is kept: it is in the catalogue now, and its task is Done.

    Kept when it is in the catalogue already, or when its task is still held under the same
    fence; a task that was killed or handed on meanwhile has another. Repeating it changes nothing.
    The source of a move goes in the same transaction.
    """
    record = uuid.UUID(sealed.record)
    async with database.transaction() as db:
        task = await db.fetchrow(_SEALING_TASK, sealed.task_id)
        if await db.fetchval(_KNOWN, record) is not None:
            return True
        if task is None or not _belongs(task, sealed, record):
            return False
        if jobs.is_copy(task):
            record_id = await copying.insert(db, sealed, task)
            text = f"Copy {task['record_id']} became copy {record_id}: {_summary(sealed)}"
        else:
            record_id = await _insert(db, sealed, record)
            text = f"Copy {record_id}: {_summary(sealed)}"
        spared = await emergency.told(db, sealed)
        text = f"{text} {spared}".rstrip()
        await record_history.note(db, [record_id], "created", _summary(sealed), task_id=sealed.task_id)
        await record_history.tell(db, [record_id], "created")
        await PostgresQueue(db).step(sealed.task_id, sealed.fence, Verb.FINISH, text)
        await db.execute(_FIGURES, sealed.task_id, sealed.files, sealed.size_bytes)
        await task_log.say(db, sealed.task_id, f"{text} It is in the repository.", "warning" if spared else "info")
        if spared:
            await notices.warned(db, sealed.task_id, "in the emergency storage")
            await emergency.event(db, record_id, sealed, spared)
        await _follow_up(db, record_id, task)
        return True


async def _insert(db: Connection, sealed: Sealed, record: uuid.UUID) -> int:
    """The row of a backup's record."""
    parent = uuid.UUID(sealed.parent) if sealed.parent else None
    immutable = await configuration.enabled(db, "immutable_archives")
    record_id: int = await db.fetchval(
        _INSERT, sealed.task_id, record, parent, sealed.resource_type, sealed.resource, sealed.backup_type,
        sealed.size_bytes, sealed.stored_bytes, sealed.files, sealed.files_failed, sealed.sealed_at, immutable,
        sealed.key_id,
    )  # fmt: skip
    await db.execute(_TASK_RECORD, sealed.task_id, record_id)
    if sealed.key_id:
        await db.execute(_HOLDS_KEY, sealed.client_hwid, sealed.key_id, presence.KEYS)
    return record_id


async def _follow_up(db: Connection, record_id: int, task: Any) -> None:
    """A verification, where one is wanted, and the pool hears of locks. A copy of a copy was read back already."""
    if not jobs.is_copy(task) and await configuration.enabled(db, "verify_archive_after_creation"):
        verification = await verifications.queue(db, record_id, task["created_by"])
        await task_log.say(db, task["id"], f"Task {verification} verifies the copy (verify_archive_after_creation).")
    await notify(db, "records")


def _belongs(task: Any, sealed: Sealed, record: uuid.UUID) -> bool:
    if jobs.is_copy(task) and (task["owner"] is None or (task["task_type"] == TaskType.MOVE.label and task["locked"])):
        return False  # the source is gone, or must stay
    return bool(
        (jobs.is_backup(task) or jobs.is_copy(task))
        and task["fence"] == sealed.fence
        and TaskStatus.by_label(task["status"]) in HELD
        and task["record_uuid"] == record
        and task["pool_id"] == sealed.pool_id
        and task["owner"] == sealed.client_hwid
        and task["media_hwid"] == sealed.media_hwid
    )


def _summary(sealed: Sealed) -> str:
    failed = f"; {sealed.files_failed} could not be read, the task log names them" if sealed.files_failed else ""
    return f"{sealed.files} files, {sealed.size_bytes} bytes, {sealed.stored_bytes} new in the pool{failed}."


async def waiting_tombstones(database: Database, media_hwid: str) -> list[tuple[int, str]]:
    """(pool id, uuid) of records that the media server has to forget, oldest first, at most 1,000."""
    async with database.connection() as db:
        rows = await db.fetch(_WAITING, media_hwid, TOMBSTONES_AT_ONCE)
    return [(row["pool_id"], row["uuid"].hex) for row in rows]


async def tombstone_done(database: Database, record: str) -> None:
    """The media server has written the tombstone; a repeat changes nothing."""
    async with database.connection() as db:
        await db.execute(_ACKNOWLEDGE, uuid.UUID(record))


async def whereabouts(database: Database, pool_id: int, record: str, client_hwid: str) -> Whereabouts:
    """The media server of a client's record; NotFound when the client has no such record."""
    try:
        wanted = uuid.UUID(record)
    except ValueError:
        raise NotFound(f"There is no record {record}.") from None
    async with database.connection() as db:
        row = await db.fetchrow(_WHEREABOUTS, pool_id, wanted, client_hwid)
    if row is None:
        raise NotFound(f"There is no record {record} of client {client_hwid}.")
    return Whereabouts(**row)


async def untold_locks(database: Database, media_hwid: str) -> list[tuple[int, int, str, dt.datetime]]:
    """(id, pool id, uuid, until) of copies whose lock the media server has not been told, at most 1,000."""
    async with database.connection() as db:
        rows = await db.fetch(_UNTOLD_LOCKS, media_hwid, TOMBSTONES_AT_ONCE)
    return [(row["id"], row["pool_id"], row["uuid"].hex, row["locked_until"]) for row in rows]


async def lock_told(database: Database, record_id: int, until: dt.datetime) -> None:
    """The pool keeps the copy until then; a lock that was extended meanwhile is told once more."""
    async with database.connection() as db:
        await db.execute(_LOCK_TOLD, record_id, until)


async def finished_verification(
    database: Database, task_id: int, fence: int, damaged: Sequence[str], message: str = ""
) -> None:
    """The media server has verified the record (`verifications.store`)."""
    async with database.transaction() as db:
        await verifications.store(db, task_id, fence, damaged, message)
