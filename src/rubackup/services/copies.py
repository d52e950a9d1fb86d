"""Copying and moving copies between pools: what an administrator or a rule asks for becomes a task of the target's media server.

Any copy can be copied, not only full ones: each restores by itself. What the task does is `media.copying`, what
becomes of the catalogue is `services.copying`. Design section 9.
"""

from __future__ import annotations

from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import TaskType
from rubackup.queue.ports import NewTask, Reservation
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import capacity, pool_fit, repository, scopes, tasks, unavailable
from rubackup.services.change import Change
from rubackup.services.fields import POOL, Problems, Row

_ID_DIGITS = 18
"""Longer numbers are no ids."""
_SOURCE = POOL + " x.id = $1"
_TOO_OLD = "SELECT $1::timestamptz + retention_period <= now() FROM pools WHERE id = $2"
_LOCKED = "SELECT coalesce($1::timestamptz > now(), false)"
_OFFLINE = """
SELECT m.hostname FROM media_servers m LEFT JOIN media_presence p ON p.media_server_id = m.id
WHERE m.id = ANY ($1::bigint[]) AND NOT coalesce(p.online, false) ORDER BY m.hostname"""


async def copy(change: Change, record_id: int, pool: str) -> int:
    """Queue the copying of a copy into another pool; the number of the task."""
    return await _queue(change, record_id, pool, TaskType.COPY)


async def move(change: Change, record_id: int, pool: str) -> int:
    """As `copy`; the copy leaves its pool when the new one was read back and is listed."""
    return await _queue(change, record_id, pool, TaskType.MOVE)


async def _queue(change: Change, record_id: int, pool: str, task_type: TaskType) -> int:
    """Invalid for an unknown pool; Conflict, with the reason, where the copy cannot go there."""
    db = change.db
    record = await repository.record_of(change, record_id)
    target = await _target(change, pool)
    source = await db.fetchrow(_SOURCE, record["pool_id"])
    if reason := await pool_fit.reason(db, source["id"], target["id"]):
        raise Conflict(reason)
    await unavailable.refuse(db, record_id)
    await _refuse_record(db, record, target, task_type)
    await _refuse_hosts(db, source, target)
    task_id = await PostgresQueue(db).add(_task(record, target, task_type, created_by=change.principal.name))
    action = "copying" if task_type is TaskType.COPY else "moving"
    await repository.note(change, record_id, task_id, action, f"To pool {target['name']}.")
    return task_id


async def by_rule(db: Connection, record: Row, pool_id: int, task_type: TaskType, kept: str) -> tuple[int | None, str]:
    """Queue what the rule of a copy asks for; the number of the task, or None and why it must wait.

    `kept`: of a second copy, how long it is kept from the creation of the copy on. Hosts that are offline are waited for.
    """
    full = await capacity.exceeded(db, record["client_id"]) if task_type is TaskType.COPY else ""
    if full:
        return None, full
    target = await db.fetchrow(_SOURCE, pool_id)
    parameters = {"retention": {"kept": kept}} if kept else {}
    from_rule = {name: record[name] for name in ("rule_id", "strategy_id", "strategy_rule_id")}
    task = _task(record, target, task_type, created_by="", parameters=parameters, **from_rule)
    return await PostgresQueue(db).add(task), ""


def _task(record: Row, target: Row, task_type: TaskType, **fields: Any) -> NewTask:
    """The task that copies or moves a copy into the pool `target`."""
    return NewTask(
        task_type=task_type.label,
        executor="media",
        client_id=record["client_id"],
        media_server_id=target["media_server_id"],
        pool_id=target["id"],
        record_id=record["id"],
        resource_type=record["resource_type"],
        resource=record["resource"],
        backup_type=record["backup_type"],
        crypto=record["crypto"],
        reservations=reservations(task_type.label, record["id"], record["pool_id"], target["id"]),
        **fields,
    )


def reservations(task_type: str, record_id: int, source_pool: int, target_pool: int) -> tuple[Reservation, ...]:
    """A copy that is copied may be read by others, one that is moved may not; both pools are shared."""
    return (
        Reservation("record", str(record_id), exclusive=task_type == TaskType.MOVE.label),
        Reservation("pool", str(source_pool), exclusive=False),
        Reservation("pool", str(target_pool), exclusive=False),
    )


async def _target(change: Change, pool: str) -> Row:
    """The pool of this name, else of this id; Invalid naming `pool` when the caller knows of none."""
    limit, problems = scopes.storage(change.principal), Problems()
    found = await problems.pool(change.db, pool, "pool", limit)
    if found is None and pool.isascii() and pool.isdigit() and len(pool) <= _ID_DIGITS:
        problems = Problems()
        found = await problems.pool(change.db, int(pool), "pool", limit)
    problems.raise_any()
    return found


async def _refuse_record(db: Connection, record: Row, target: Row, task_type: TaskType) -> None:
    if task_type is TaskType.MOVE and await db.fetchval(_LOCKED, record["locked_until"]):
        raise Conflict(f"Copies are locked against deletion: {record['id']}. A locked copy can be copied, not moved.")
    if await db.fetchval(_TOO_OLD, record["created_at"], target["id"]):
        raise Conflict(f"Pool {target['name']} does not keep copies as old as this one (retention_period).")
    full = await capacity.exceeded(db, record["client_id"]) if task_type is TaskType.COPY else ""
    if full:
        raise Conflict(full)


async def _refuse_hosts(db: Connection, source: Row, target: Row) -> None:
    for pool in (source, target):
        await tasks.refuse_in_service_mode(db, pool["media_hostname"] if pool["local_service_mode"] else None)
    servers = {source["media_server_id"], target["media_server_id"]}
    if len(servers) > 1 and (offline := await db.fetch(_OFFLINE, list(servers))):
        names = ", ".join(row["hostname"] for row in offline)
        raise Conflict(f"The pools are on two media servers, which must both be online; offline: {names}.")
