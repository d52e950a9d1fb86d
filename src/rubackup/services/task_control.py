"""What operators do with tasks of the queue: kill, pause, continue, restart, remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict, Forbidden, Invalid, NotFound, WrongState
from rubackup.domain.lookups import TaskStatus, TaskType
from rubackup.domain.tasks import FINAL, Verb
from rubackup.queue.ports import NewTask, Reservation
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import copies, jobs, repository, restores, scopes, task_log, tasks
from rubackup.services.change import Change

_READ = """
SELECT t.id, t.task_type, t.status, t.priority, t.executor, t.client_id, c.hwid, c.hostname, c.group_id,
    c.centralized_restore, coalesce(hp.media_server_id, t.media_server_id) AS media_server_id,
    coalesce(t.wanted_pool_id, t.pool_id) AS pool_id, t.pool_group_id, t.record_id, r.uuid::text AS record_uuid, r.pool_id AS record_pool_id, t.resource_type, t.resource, t.backup_type, t.crypto,
    t.storage_duration::text AS storage_duration, t.archiving, t.parameters, t.rule_id, t.strategy_id, t.strategy_rule_id, m.hostname AS media_hostname,
    m.local_service_mode, ({writable}) AS writable
FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id LEFT JOIN repository r ON r.id = t.record_id
LEFT JOIN pools hp ON hp.id = t.wanted_pool_id
LEFT JOIN media_servers m ON m.id = coalesce(hp.media_server_id, t.media_server_id)
WHERE t.id = ANY ($1::bigint[]) AND ({visible}) ORDER BY t.id FOR UPDATE OF t"""
_BY_STATUS = """
SELECT t.id FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id
WHERE t.status = $1 AND ({writable}) ORDER BY t.id FOR UPDATE OF t SKIP LOCKED"""
_GROUP, _MEDIA = "c.group_id", "t.media_server_id"
REMOVABLE = {
    "error": TaskStatus.ERROR, "killed": TaskStatus.KILLED, "obsoleted": TaskStatus.DONE,
    "broken": TaskStatus.BROKEN,
}  # fmt: skip
"""Words of DELETE /task_queue/{status}; the first three are the guide's."""


class TaskNumber(msgspec.Struct):
    """A task of the queue."""

    task_id: Annotated[int, Meta(description="Number of the task.", ge=1)]


class TaskNumbers(msgspec.Struct):
    """Tasks of the queue."""

    tasks_ids: Annotated[
        list[Annotated[int, Meta(ge=1)]],
        Meta(description="Numbers of the tasks: all of them or none.", min_length=1, max_length=1000),
    ]


async def kill(change: Change, wanted: TaskNumber) -> str:
    """End a task; a sentence. WrongState when it has ended already."""
    return await _operate(change, wanted.task_id, Verb.KILL, "killed")


async def pause(change: Change, wanted: TaskNumber) -> str:
    """Stop a task at its last checkpoint; a sentence."""
    return await _operate(change, wanted.task_id, Verb.PAUSE, "paused")


async def resume(change: Change, wanted: TaskNumber) -> str:
    """Let a paused task go on; a sentence."""
    return await _operate(change, wanted.task_id, Verb.CONTINUE, "continued")


async def _operate(change: Change, task_id: int, verb: Verb, word: str) -> str:
    (row,) = await _own(change, [task_id])
    text = f"{word.capitalize()} by {change.principal.name}."
    status = await PostgresQueue(change.db).operate(task_id, verb, text)
    await task_log.say(change.db, task_id, text)
    change.row_ids.append(task_id)
    change.before, change.after = {"status": row["status"]}, {"status": status.label}
    return f"Task {task_id} was {word}."


async def restart(change: Change, wanted: TaskNumbers) -> list[int]:
    """New tasks that do the same again; their numbers. WrongState unless all of the old ones have ended.

    NotFound and Forbidden as making them anew would have it: the caller must reach the copies too.
    """
    rows = await _own(change, wanted.tasks_ids)
    going = [row["id"] for row in rows if TaskStatus.by_label(row["status"]) not in FINAL]
    if going:
        raise WrongState(f"Only a task that has ended can be restarted; not ended: {_join(going)}.", ids=going)
    created = []
    for row in rows:
        await _check_copy(change, row)
        busy = row["media_hostname"] if row["local_service_mode"] else None
        await tasks.refuse_in_service_mode(change.db, busy)
        created.append(await PostgresQueue(change.db).add(_again(row, change.principal.name)))
    change.row_ids.extend(created)
    return created


async def _check_copy(change: Change, row: Any) -> None:
    if row["task_type"] == TaskType.BACKUP.label or row["record_uuid"] is None:
        return
    record = await repository.record_of(change, row["record_id"])
    if not scopes.changes_all(change.principal) and record["group_id"] not in change.principal.client_group_ids:
        raise Forbidden(f"The copy of task {row['id']} belongs to another client group; it can only be looked at.")
    if row["task_type"] == TaskType.RESTORE.label and row["client_id"] is not None:
        await restores.check_target(change, record, row)
        restores.check_centralized(row)


def _again(row: Any, created_by: str) -> NewTask:
    gone = _gone(row)
    if gone:
        raise Conflict(f"Task {row['id']} cannot be restarted: its {gone} does not exist any more.")
    fields = (
        "task_type", "executor", "priority", "client_id", "media_server_id", "pool_id", "pool_group_id", "record_id", "record_uuid",
        "resource_type", "resource", "backup_type", "crypto", "storage_duration", "archiving", "parameters",
        "rule_id", "strategy_id", "strategy_rule_id",
    )  # fmt: skip
    same = {name: row[name] for name in fields}
    if row["task_type"] == TaskType.BACKUP.label:
        same |= {"record_id": None, "record_uuid": None}
    elif jobs.is_copy(row):
        same["record_uuid"] = None
    return NewTask(**same, created_by=created_by, restarted_from=row["id"], reservations=_reservations(row))


def _gone(row: Any) -> str:
    if row["pool_id"] is None or row["media_server_id"] is None:
        return "pool"
    if row["executor"] == "client" and row["client_id"] is None:
        return "client"
    backup = row["task_type"] == TaskType.BACKUP.label
    return "copy" if not backup and row["record_uuid"] is None else ""


def _reservations(row: Any) -> tuple[Reservation, ...]:
    if row["task_type"] == TaskType.BACKUP.label:
        return tasks.backup_reservations(row["client_id"], row["resource_type"], row["resource"], row["pool_id"])
    if jobs.is_copy(row):
        return copies.reservations(row["task_type"], row["record_id"], row["record_pool_id"], row["pool_id"])
    return tasks.record_reservations(row["record_id"], row["pool_id"])


async def remove(change: Change, ids: Sequence[int]) -> None:
    """Remove tasks that no worker holds; Conflict names those at work."""
    await PostgresQueue(change.db).remove(ids)


async def remove_by_status(change: Change, word: str) -> str:
    """Remove every task that ended like this; a sentence. NotFound when there is none."""
    status = REMOVABLE.get(word.lower())
    if status is None:
        raise Invalid(fields={"status": f"must be one of: {', '.join(REMOVABLE)}."})
    limit = scopes.work(change.principal, _GROUP, _MEDIA, write=True)
    rows = await change.db.fetch(_BY_STATUS.format(writable=limit.numbered(2)), status.label, *limit.values)
    ids = [row["id"] for row in rows]
    if not ids:
        raise NotFound(f"There is no task with the status {word} in the queue.")
    await PostgresQueue(change.db).remove(ids)
    change.row_ids.extend(ids)
    return f"{len(ids)} tasks were removed from the queue."


async def _own(change: Change, ids: Sequence[int]) -> list[Any]:
    """The tasks, locked; NotFound names those that the caller may not see, Forbidden those that are not his."""
    wanted = sorted(set(ids))
    writable = scopes.work(change.principal, _GROUP, _MEDIA, write=True)
    visible = scopes.work(change.principal, _GROUP, _MEDIA)
    statement = _READ.format(writable=writable.numbered(2), visible=visible.numbered(2 + len(writable.values)))
    rows = await change.db.fetch(statement, wanted, *writable.values, *visible.values)
    missing = sorted(set(wanted) - {row["id"] for row in rows})
    if missing:
        raise NotFound(f"No such task in the queue: {_join(missing)}.", ids=missing)
    foreign = [row["id"] for row in rows if not row["writable"]]
    if foreign:
        raise Forbidden(f"Tasks of clients of other groups can only be looked at: {_join(foreign)}.")
    return list(rows)


def _join(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
