"""Verifications: what queues one, and what its outcome says about the copy.

With `dedup_verify_only_meta_data` contents are not read. Such a verification finds what is missing, but it makes
no copy Trusted: that word is kept for copies of which every byte was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import TaskType, VerificationStatus
from rubackup.domain.tasks import Verb
from rubackup.queue.ports import NewTask
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import configuration, key_holders, record_history, task_log, tasks

DAMAGED_NAMES = 1000
"""Lines of the task log that name damaged files; the rest is counted."""
_RECORD = f"""
SELECT r.id, r.uuid, r.client_id, r.pool_id, p.media_server_id, r.resource_type, r.resource, r.backup_type, r.crypto,
    p.pool_type = 'Client defined' OR (r.key_id <> '' AND {key_holders.HOLDS} AND $2) AS by_client
FROM repository r JOIN pools p ON p.id = r.pool_id LEFT JOIN clients c ON c.id = r.client_id WHERE r.id = $1"""  # noqa: S608 - a constant of ours
_DEPTH = "UPDATE task_queue SET parameters = parameters || $2 WHERE id = $1"
_FACTS = """
SELECT r.client_hwid, r.resource_type, r.resource, r.backup_type, r.files, r.size_bytes
FROM repository r JOIN task_queue t ON t.record_id = r.id WHERE t.id = $1"""
_DONE = """
SELECT (t.parameters ->> 'contents')::boolean AS contents, t.executor = 'media' AND r.key_id <> '' AS stored_only
FROM task_queue t JOIN repository r ON r.id = t.record_id WHERE t.id = $1"""
_VERIFIED = """
UPDATE repository r SET verification_status = $2, verified_at = now() FROM task_queue t
WHERE t.id = $1 AND r.id = t.record_id RETURNING r.id"""
_OF_TASK = "SELECT r.id FROM repository r JOIN task_queue t ON t.record_id = r.id WHERE t.id = $1"


async def queue(db: Connection, record_id: int, created_by: str, **from_rule: Any) -> int:
    """Queue the verification of a copy; the number of its task. `from_rule`: which rule asks for it, as a task says it.

    Contents of an encrypted copy are read by its client while that is online; else its media server only compares the sums
    of what is stored. A copy in a client's own pool is verified by that client, whenever it is online.
    """
    row = await db.fetchrow(_RECORD, record_id, await _reads_contents(db))
    task_id = await PostgresQueue(db).add(
        NewTask(
            task_type=TaskType.VERIFY.label,
            executor="client" if row["by_client"] else "media",
            client_id=row["client_id"],
            media_server_id=row["media_server_id"],
            pool_id=row["pool_id"],
            record_id=record_id,
            record_uuid=str(row["uuid"]),
            resource_type=row["resource_type"],
            resource=row["resource"],
            backup_type=row["backup_type"],
            crypto=row["crypto"],
            created_by=created_by,
            reservations=tasks.record_reservations(record_id, row["pool_id"]),
            **from_rule,
        )
    )
    await record_history.note(db, [record_id], "verification", task_id=task_id, user_name=created_by)
    return task_id


async def can_read(db: Connection, record: Any) -> bool:
    """Whether a verification that begins now has no need of a key."""
    return not record["key_id"] or not await _reads_contents(db)


async def _reads_contents(db: Connection) -> bool:
    return not await configuration.enabled(db, "dedup_verify_only_meta_data")


async def begin(db: Connection, task_id: int) -> dict[str, Any]:
    """Whether this attempt reads contents, as the configuration has it now, which is kept with the task; and what is
    said of the copy now, as `facts`.
    """
    depth = {"contents": await _reads_contents(db)}
    await db.execute(_DEPTH, task_id, depth)
    facts = await db.fetchrow(_FACTS, task_id)
    return {**depth, "facts": dict(facts)} if facts else depth


async def store(db: Connection, task_id: int, fence: int, damaged: Sequence[str], message: str = "") -> None:
    """The media server is through: Trusted, or Not Trusted with the names of damaged files. Damage ends it in Error.

    `message` is what it says of it; the copy's log keeps that, as it tells where the copy lies, too.

    A verification that read no contents and found nothing leaves the status as it was.
    """
    done = await db.fetchrow(_DONE, task_id)
    looked_only = done is not None and (done["contents"] is False or done["stored_only"])
    text = f"{len(damaged)} damaged files; the task log names them." if damaged else "Every checksum held."
    if looked_only and not damaged:
        text = "Manifest, index and packs are in place; contents were not read (dedup_verify_only_meta_data)."
        if done["contents"] is not False:
            text = (
                "Storage verified: every stored sum held. The contents are encrypted; only their client can read them."
            )
    await PostgresQueue(db).step(task_id, fence, Verb.FAIL if damaged else Verb.FINISH, message or text)
    for name in damaged[:DAMAGED_NAMES]:
        await task_log.say(db, task_id, f"Damaged: {name}", "error")
    if len(damaged) > DAMAGED_NAMES:
        await task_log.say(db, task_id, f"{len(damaged) - DAMAGED_NAMES} more damaged files are not named.", "error")
    if looked_only and not damaged:
        record_id = await db.fetchval(_OF_TASK, task_id)
        if record_id is not None:
            await record_history.note(db, [record_id], "verified", text, task_id=task_id)
        return
    found = VerificationStatus.NOT_TRUSTED if damaged else VerificationStatus.TRUSTED
    record_id = await db.fetchval(_VERIFIED, task_id, found.label)
    if record_id is not None:
        note = f"{found.label}: {text if damaged else message or text}"
        await record_history.note(db, [record_id], "verified", note, task_id=task_id)
        await record_history.tell(db, [record_id], "changed", {"verification_status": found.label})
