"""The repository of copies: sealing, verification, deletion.

A copy is listed only after its media server sealed it, and forgotten there only after the
catalogue committed its tombstone. Design section 8.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from rubackup.catalog.database import Connection, Database, notify
from rubackup.domain.errors import Conflict, NotFound
from rubackup.domain.lookups import TaskStatus, VerificationStatus
from rubackup.domain.tasks import FINAL, HELD, Verb
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import task_log
from rubackup.services.change import Change

TOMBSTONES_AT_ONCE = 1000
DAMAGED_NAMES = 1000
"""Lines of the task log that name damaged files; the rest is counted."""

_SEALING_TASK = """
SELECT t.status, t.fence, t.task_type, t.record_uuid, t.pool_id, t.created_at, c.hwid AS client_hwid,
    m.hwid AS media_hwid
FROM task_queue t JOIN clients c ON c.id = t.client_id JOIN pools p ON p.id = t.pool_id
JOIN media_servers m ON m.id = p.media_server_id
WHERE t.id = $1 FOR NO KEY UPDATE OF t"""
_KNOWN = "SELECT id FROM repository WHERE uuid = $1"
_INSERT = """
INSERT INTO repository (uuid, parent_id, parent_uuid, task_id, client_id, client_hostname, client_hwid,
    client_group_id, pool_id, resource_type, resource, backup_type, crypto, archiving, size_bytes, stored_bytes,
    files, files_failed, created_at, store_until, rule_id, strategy_id, strategy_rule_id, file_list)
SELECT $2, r.id, $3, t.id, c.id, c.hostname, c.hwid, c.group_id, t.pool_id, $4, $5, $6, t.crypto, t.archiving,
    $7, $8, $9, $10, made.at, made.at + t.storage_duration,
    t.rule_id, t.strategy_id, t.strategy_rule_id, coalesce(t.parameters #> '{module,file_list}' <> 'false', true)
FROM task_queue t JOIN clients c ON c.id = t.client_id LEFT JOIN repository r ON r.uuid = $3
CROSS JOIN LATERAL (SELECT greatest(t.created_at, least(now(), $11)) AS at) made
WHERE t.id = $1 RETURNING id"""
_LOG = """
INSERT INTO repository_log (record_id, record_uuid, client_group_id, pool_id, task_id, user_name, action, text)
SELECT r.id, r.uuid, r.client_group_id, r.pool_id, $2::bigint, $3, $4, $5
FROM repository r WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
SELECT $2, 'repository', r.id, r.client_group_id, p.media_server_id, $3
FROM repository r JOIN pools p ON p.id = r.pool_id WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id"""
_FIGURES = """
UPDATE task_progress SET files_done = $2, files_total = $2, bytes_done = $3, bytes_total = $3 WHERE task_id = $1"""
_TASK_RECORD = "UPDATE task_queue SET record_id = $2 WHERE id = $1"
_WAITING = """
SELECT t.pool_id, t.uuid FROM record_tombstones t JOIN pools p ON p.id = t.pool_id
JOIN media_servers m ON m.id = p.media_server_id
WHERE m.hwid = $1 AND t.acknowledged_at IS NULL ORDER BY t.created_at, t.uuid LIMIT $2"""
_ACKNOWLEDGE = "UPDATE record_tombstones SET acknowledged_at = now() WHERE uuid = $1 AND acknowledged_at IS NULL"
_VERIFIED = """
UPDATE repository r SET verification_status = $2, verified_at = now() FROM task_queue t
WHERE t.id = $1 AND r.id = t.record_id RETURNING r.id"""
_DELETING = """
SELECT r.id, r.uuid, r.pool_id, r.client_hostname, r.client_hwid, r.resource_type, r.resource, r.backup_type,
    r.created_at, r.locked_until > now() AS locked
FROM repository r WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id FOR UPDATE"""
_IN_USE = """
SELECT r.id, min(t.id) AS task_id FROM repository r CROSS JOIN LATERAL (
    SELECT q.id FROM task_queue q WHERE q.record_id = r.id AND q.status <> ALL ($2::text[])
    UNION ALL
    SELECT q.id FROM task_queue q WHERE q.parent_uuid = r.uuid
        AND q.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')
) t WHERE r.id = ANY ($1::bigint[]) GROUP BY r.id ORDER BY r.id"""
_BURY = """
INSERT INTO record_tombstones (uuid, pool_id) SELECT uuid, pool_id FROM repository WHERE id = ANY ($1::bigint[])"""
_DELETE = "DELETE FROM repository WHERE id = ANY ($1::bigint[])"


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that a media server has made durable. UUIDs as hex, '' for no parent."""

    task_id: int
    fence: int
    pool_id: int
    media_hwid: str
    record: str
    parent: str
    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    files: int
    files_failed: int
    size_bytes: int
    stored_bytes: int
    sealed_at: dt.datetime


async def seal(database: Database, sealed: Sealed) -> bool:
    """Whether the record is kept: it is in the catalogue now, and its task is Done.

    Kept when it is in the catalogue already, or when its task is still held under the same
    fence; a task that was killed or handed on meanwhile has another. Repeating it changes nothing.
    """
    record = uuid.UUID(sealed.record)
    async with database.transaction() as db:
        task = await db.fetchrow(_SEALING_TASK, sealed.task_id)
        if await db.fetchval(_KNOWN, record) is not None:
            return True
        if task is None or not _belongs(task, sealed, record):
            return False
        parent = uuid.UUID(sealed.parent) if sealed.parent else None
        record_id = await db.fetchval(
            _INSERT, sealed.task_id, record, parent, sealed.resource_type, sealed.resource, sealed.backup_type,
            sealed.size_bytes, sealed.stored_bytes, sealed.files, sealed.files_failed, sealed.sealed_at,
        )  # fmt: skip
        text = _summary(sealed)
        await db.execute(_TASK_RECORD, sealed.task_id, record_id)
        await db.execute(_LOG, [record_id], sealed.task_id, "", "created", text)
        await db.execute(_EVENT, [record_id], "created", {})
        await PostgresQueue(db).step(sealed.task_id, sealed.fence, Verb.FINISH, f"Copy {record_id}: {text}")
        await db.execute(_FIGURES, sealed.task_id, sealed.files, sealed.size_bytes)
        await task_log.say(db, sealed.task_id, f"Copy {record_id} is in the repository: {text}")
        return True


def _belongs(task: Any, sealed: Sealed, record: uuid.UUID) -> bool:
    return bool(
        task["task_type"] == "Backup"
        and task["fence"] == sealed.fence
        and TaskStatus.by_label(task["status"]) in HELD
        and task["record_uuid"] == record
        and task["pool_id"] == sealed.pool_id
        and task["client_hwid"] == sealed.client_hwid
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


async def finished_verification(
    database: Database, task_id: int, fence: int, damaged: Sequence[str], message: str = ""
) -> None:
    """The media server has read the whole record again: Trusted, or Not Trusted with the names of damaged files."""
    async with database.transaction() as db:
        await store_verification(db, task_id, fence, damaged, message)


async def store_verification(
    db: Connection, task_id: int, fence: int, damaged: Sequence[str], message: str = ""
) -> None:
    """As `finished_verification`, in the caller's transaction. Damage ends the task in Error."""
    found = VerificationStatus.NOT_TRUSTED if damaged else VerificationStatus.TRUSTED
    text = f"{len(damaged)} damaged files; the task log names them." if damaged else "Every checksum held."
    await PostgresQueue(db).step(task_id, fence, Verb.FAIL if damaged else Verb.FINISH, message or text)
    for name in damaged[:DAMAGED_NAMES]:
        await task_log.say(db, task_id, f"Damaged: {name}", "error")
    if len(damaged) > DAMAGED_NAMES:
        await task_log.say(db, task_id, f"{len(damaged) - DAMAGED_NAMES} more damaged files are not named.", "error")
    record_id = await db.fetchval(_VERIFIED, task_id, found.label)
    if record_id is not None:
        await db.execute(_LOG, [record_id], task_id, "", "verified", f"{found.label}: {text}")
        await db.execute(_EVENT, [record_id], "changed", {"verification_status": found.label})


async def delete_records(change: Change, ids: Sequence[int]) -> None:
    """Delete all of these records or none.

    NotFound names missing ids; Conflict names records that a task needs or that are locked. Records
    that were built on them stay restorable: each manifest names all of its chunks.
    """
    db = change.db
    wanted = sorted(set(ids))
    rows = await db.fetch(_DELETING, wanted)
    missing = sorted(set(wanted) - {row["id"] for row in rows})
    if missing:
        raise NotFound(f"No such copies in the repository: {_join(missing)}.", ids=missing)
    locked = [row["id"] for row in rows if row["locked"]]
    if locked:
        raise Conflict(f"Copies are locked against deletion: {_join(locked)}.", ids=locked)
    used = await db.fetch(_IN_USE, wanted, [status.label for status in FINAL])
    if used:
        named = ", ".join(f"{row['id']} (task {row['task_id']})" for row in used)
        raise Conflict(f"Copies are in use: {named}.", ids=[row["id"] for row in used])
    change.row_ids.extend(wanted)
    change.before = change.before or [
        {k: str(v) for k, v in row.items() if k not in {"locked", "pool_id"}} for row in rows
    ]
    await db.execute(_BURY, wanted)
    await db.execute(_LOG, wanted, None, change.principal.name, "deleted", "")
    await db.execute(_EVENT, wanted, "deleted", {})
    await db.execute(_DELETE, wanted)
    await notify(db, "records")


def _join(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
