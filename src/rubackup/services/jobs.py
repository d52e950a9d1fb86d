"""A claimed task with everything that an order for it needs.

What a backup, or a task that copies, writes gets a new uuid at each attempt, and the record that it builds on is
chosen then; both are stored on the task, so `job_of` gives the same job again for as long as the task is held.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Fenced, Invalid
from rubackup.domain.lookups import BackupType, TaskStatus, TaskType, VerificationStatus
from rubackup.domain.pools import CLIENT_DEFINED, OWNERS_ONLY
from rubackup.domain.tasks import HELD
from rubackup.queue.ports import Held
from rubackup.services import (
    capacity,
    cleanings,
    client_pools,
    configuration,
    retention_room,
    task_log,
    verifications,
)
from rubackup.services.client_pools import ClientPoolRow

POOL_OF = "CASE WHEN t.task_type IN ('Copy', 'Move') THEN t.pool_id ELSE coalesce(r.pool_id, t.pool_id) END"
"""The pool that a task `t` with the record `r` works on: where a copy of a copy goes, else where the copy is."""
_LOAD = f"""
SELECT t.id, t.status, t.fence, t.attempt, t.task_type, t.executor, t.client_id, t.record_id, t.crypto, t.parameters,
    t.record_uuid AS own_uuid, t.parent_uuid, t.backup_type, t.strategy_id,
    coalesce(nullif(t.resource_type, ''), r.resource_type, '') AS resource_type,
    coalesce(nullif(t.resource, ''), r.resource, '') AS resource,
    coalesce(t.rule_id, r.rule_id, 0) AS rule_id, r.uuid AS record_uuid, coalesce(r.key_id, '') AS key_id, c.hwid AS client_hwid, c.hostname AS client_hostname, coalesce(c.fingerprint, '') AS client_key,
    p.id AS pool_id, p.uuid AS pool_uuid, p.pool_name, p.compression_type, m.id AS media_id, m.hwid AS media_hwid,
    coalesce(m.fingerprint, '') AS media_key, coalesce(sm.fingerprint, '') AS source_media_key, m.hostname AS media_hostname, m.data_endpoint, m.local_service_mode, l.epoch,
    r.client_hwid AS owner_hwid, r.parent_uuid AS source_parent, r.locked_until > now() AS source_locked,
    p.pool_type, sp.pool_type AS source_pool_type,
    r.created_at + p.retention_period <= now() AS source_too_old, r.pool_id AS source_pool_id, sm.id AS source_media_id,
    sm.hwid AS source_media_hwid, sm.hostname AS source_media_hostname, sm.data_endpoint AS source_endpoint
FROM task_queue t
LEFT JOIN clients c ON c.id = t.client_id
LEFT JOIN repository r ON r.id = t.record_id
LEFT JOIN pools p ON p.id = {POOL_OF}
LEFT JOIN media_servers m ON m.id = p.media_server_id
LEFT JOIN pools sp ON sp.id = r.pool_id
LEFT JOIN media_servers sm ON sm.id = sp.media_server_id
CROSS JOIN leadership l
WHERE t.id = ANY ($1::bigint[])"""  # noqa: S608 - a constant of ours
_PARENT = """
SELECT uuid FROM repository
WHERE client_hwid = $1 AND client_id = $8 AND resource_type = $2 AND resource = $3 AND pool_id = $4 AND crypto = $5
    AND verification_status <> $6 AND ($7 OR backup_type = 'full') AND NOT archiving AND unavailable = ''
ORDER BY created_at DESC, id DESC LIMIT 1"""
_PARENTS_COPY = """
SELECT uuid FROM repository WHERE pool_id = $1 AND copied_from_uuid = $2 AND client_hwid = $3
    AND verification_status <> $4
ORDER BY id DESC LIMIT 1"""
_STORE_ATTEMPT = """
UPDATE task_queue SET record_uuid = $2, parent_uuid = $3, backup_type = $4, message = $5 WHERE id = $1"""

Row = Any


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the server needs to build an order. UUIDs are hex without dashes, '' where there is none."""

    task_id: int
    fence: int
    attempt: int
    epoch: int
    task_type: str
    executor: str
    client_hwid: str
    client_hostname: str
    media_hwid: str
    data_endpoint: str
    pool_id: int
    pool_uuid: str
    compression: str
    resource_type: str
    resource: str
    backup_type: str
    crypto: str
    record_uuid: str
    parent_uuid: str
    parameters: dict[str, Any]
    share: bool
    """Whether chunks of other clients may be taken over after proof."""
    source_pool_id: int = 0
    """Of tasks that copy: where the source is, and who serves it; `client_hwid` is the copy's owner then."""
    source_uuid: str = ""
    source_media_hwid: str = ""
    source_endpoint: str = ""
    key_id: str = ""
    """Of the record that the task works on: which key opens it."""
    client_key: str = ""
    """Fingerprints of the keys with which these hosts are authorised: a hardware id alone can be told by anybody."""
    media_key: str = ""
    source_media_key: str = ""
    own: ClientPoolRow | None = None
    """The client's own pool, where the copy is or goes; the media server keeps its manifest."""
    rule_id: int = 0
    """The rule of the global schedule that the task, or else its record, is of; 0 for none."""

    @property
    def source_is_elsewhere(self) -> bool:
        """Whether the source of a copy is served by another media server than the target."""
        return self.source_media_hwid not in {"", self.media_hwid}


async def load(db: Connection, tasks: Sequence[int]) -> dict[int, Row]:
    """The tasks with client, record, pool and media server, by task id."""
    return {row["id"]: row for row in await db.fetch(_LOAD, list(tasks))}


def lacking(row: Row) -> str:
    """Why the task can never run, as a sentence; '' when it can."""
    if row["pool_id"] is None:
        return "The pool of the task does not exist any more."
    if row["executor"] == "client" and row["client_hwid"] is None:
        return "The client of the task does not exist any more."
    if not is_backup(row) and not is_cleaning(row) and row["record_uuid"] is None:
        return "The copy is not in the repository any more."
    if (
        row["pool_type"] == CLIENT_DEFINED
        and not is_backup(row)
        and row["client_hwid"] != (row["owner_hwid"] or row["client_hwid"])
    ):
        return OWNERS_ONLY
    return _copy_lacks(row) if is_copy(row) else ""


def _copy_lacks(row: Row) -> str:
    if CLIENT_DEFINED in {row["pool_type"], row["source_pool_type"]}:
        return OWNERS_ONLY
    if row["source_pool_id"] == row["pool_id"]:
        return f"The copy is in pool {row['pool_name']} already."
    if row["task_type"] == TaskType.MOVE.label and row["source_locked"]:
        return "The copy is locked against deletion, so it cannot be moved."
    if row["source_too_old"]:
        return f"Pool {row['pool_name']} does not keep copies as old as this one (retention_period)."
    return ""


async def refused(db: Connection, row: Row, zone: dt.tzinfo | None = None) -> str:
    """Why the task must not begin now, as a sentence; '' when it may. Copies that have ended make room; days are `zone`'s."""
    if not is_backup(row) and row["task_type"] != TaskType.COPY.label:
        return ""
    full = await capacity.exceeded(db, row["client_id"])
    if is_backup(row):
        full = full or await retention_room.make(db, capacity.RULE, row["rule_id"] or None, zone)
        full = full or await retention_room.make(db, capacity.STRATEGY, row["strategy_id"], zone)
    return full


def is_copy(row: Row) -> bool:
    """Whether the task copies or moves a copy into another pool."""
    return row["task_type"] in {TaskType.COPY.label, TaskType.MOVE.label}


def is_cleaning(row: Row) -> bool:
    """Whether the task frees what no copy in a pool needs."""
    return bool(row["task_type"] == TaskType.CLEAN.label)


def is_backup(row: Row) -> bool:
    """Whether the task makes a copy."""
    return bool(row["task_type"] == TaskType.BACKUP.label)


async def begin(db: Connection, held: Held, row: Row) -> Job:
    """The job of a task that was just claimed."""
    if is_copy(row):
        parent = await _parents_copy(db, row)
        record = uuid.uuid4()
        await db.execute(_STORE_ATTEMPT, held.task_id, record, parent, row["backup_type"], "")
        return _copy_job(row, held.fence, held.attempt, record, parent)
    if row["task_type"] == TaskType.VERIFY.label:
        row = {**row, "parameters": row["parameters"] | await verifications.begin(db, held.task_id)}
    if is_cleaning(row):
        row = {**row, "parameters": row["parameters"] | await cleanings.begin(db, row["pool_id"])}
    share = await configuration.enabled(db, "dedup_provide_common_hash_table")
    if not is_backup(row):
        job = _job(row, held.fence, held.attempt, row["record_uuid"], None, row["backup_type"], share)
        return await _with_own(db, row, job)
    parent, backup_type = await _parent(db, row)
    message = ""
    if backup_type != row["backup_type"]:
        message = f"There is no full copy of this resource in the pool yet; the {row['backup_type']} backup becomes a full one."
        await task_log.say(db, held.task_id, message)
    record = uuid.uuid4()
    await db.execute(_STORE_ATTEMPT, held.task_id, record, parent, backup_type, message)
    return await _with_own(db, row, _job(row, held.fence, held.attempt, record, parent, backup_type, share))


async def _parent(db: Connection, row: Row) -> tuple[uuid.UUID | None, str]:
    """The record to build on and the type that the copy gets.

    A record found damaged is never built on, nor an archive, nor one that another host made under the same hardware id.
    """
    if row["backup_type"] == BackupType.FULL.label:
        return None, BackupType.FULL.label
    found: uuid.UUID | None = await db.fetchval(
        _PARENT, row["client_hwid"], row["resource_type"], row["resource"], row["pool_id"], row["crypto"],
        VerificationStatus.NOT_TRUSTED.label, row["backup_type"] == BackupType.INCREMENTAL.label, row["client_id"],
    )  # fmt: skip
    return (found, row["backup_type"]) if found else (None, BackupType.FULL.label)


async def _parents_copy(db: Connection, row: Row) -> uuid.UUID | None:
    """The copy in the target pool of the record that the source builds on."""
    if row["source_parent"] is None:
        return None
    found: uuid.UUID | None = await db.fetchval(
        _PARENTS_COPY, row["pool_id"], row["source_parent"], row["owner_hwid"], VerificationStatus.NOT_TRUSTED.label
    )
    return found


async def job_of(db: Connection, task_id: int, fence: int) -> Job:
    """The job of a task that is held under this fence; Fenced otherwise."""
    row = (await load(db, [task_id])).get(task_id)
    if row is None or row["fence"] != fence or TaskStatus.by_label(row["status"]) not in HELD:
        raise Fenced(task_id=task_id)
    if problem := lacking(row):
        raise Invalid(problem)
    if is_copy(row):
        return _copy_job(row, fence, row["attempt"], row["own_uuid"], row["parent_uuid"])
    share = await configuration.enabled(db, "dedup_provide_common_hash_table")
    record = row["own_uuid"] if is_backup(row) else row["record_uuid"]
    return await _with_own(
        db, row, _job(row, fence, row["attempt"], record, row["parent_uuid"], row["backup_type"], share)
    )


async def _with_own(db: Connection, row: Row, job: Job) -> Job:
    """The job with the client's own pool, if that is where the copy is or goes."""
    if row["pool_type"] != CLIENT_DEFINED:
        return job
    return msgspec.structs.replace(job, own=await client_pools.of_pool(db, row["pool_id"]))


def _job(
    row: Row,
    fence: int,
    attempt: int,
    record: uuid.UUID | None,
    parent: uuid.UUID | None,
    backup_type: str,
    share: bool,
) -> Job:
    return Job(
        task_id=row["id"],
        fence=fence,
        attempt=attempt,
        epoch=row["epoch"],
        task_type=row["task_type"],
        executor=row["executor"],
        client_hwid=row["client_hwid"] or "",
        client_hostname=row["client_hostname"] or "",
        media_hwid=row["media_hwid"],
        data_endpoint=row["data_endpoint"],
        pool_id=row["pool_id"],
        pool_uuid=row["pool_uuid"].hex,
        compression=row["compression_type"],
        resource_type=row["resource_type"],
        resource=row["resource"],
        backup_type=backup_type,
        crypto=row["crypto"],
        record_uuid=record.hex if record else "",
        parent_uuid=parent.hex if parent else "",
        parameters=row["parameters"],
        share=share,
        key_id=row["key_id"],
        client_key=row["client_key"],
        media_key=row["media_key"],
        rule_id=row["rule_id"],
    )


def _copy_job(row: Row, fence: int, attempt: int, record: uuid.UUID, parent: uuid.UUID | None) -> Job:
    return msgspec.structs.replace(
        _job(row, fence, attempt, record, parent, row["backup_type"], share=False),
        client_hwid=row["owner_hwid"],
        source_pool_id=row["source_pool_id"],
        source_uuid=row["record_uuid"].hex,
        source_media_hwid=row["source_media_hwid"],
        source_media_key=row["source_media_key"],
        source_endpoint=row["source_endpoint"],
    )
