"""Running a rule of the global schedule: the task that it makes. Its ticks are another matter."""

from __future__ import annotations

from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import TaskStatus, TaskType
from rubackup.queue.ports import NewTask
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import rule_log, scopes, tasks
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Row

_READ = "SELECT s.*, c.resource_types, c.ciphers FROM global_schedule s JOIN clients c ON c.id = s.client_id WHERE s.id = $1"
_WAITING = "SELECT min(id) FROM task_queue WHERE rule_id = $1 AND task_type = $2 AND status = $3"
_GROUP = "SELECT name FROM dynamic_pool_groups WHERE id = $1"
_RESTORE_SCRIPT = """
SELECT coalesce(s.restore_script, u.restore_script) FROM repository r LEFT JOIN global_schedule s ON s.id = r.rule_id
LEFT JOIN strategy_rules u ON u.id = r.strategy_rule_id WHERE r.id = $1"""


async def execute(change: Change, rule_id: int) -> int:
    """Run a rule at once, whatever its status, schedule and validity; the number of its task.

    Conflict when the service mode, the pool or the client does not allow the backup, and while a task of the rule
    still waits to be started: another would make the same backup again. The kernel holds the rule meanwhile.
    """
    rule = await change.db.fetchrow(_READ, rule_id)
    pool = await _pool(change.db, rule)
    await tasks.refuse_place_in_service_mode(change.db, {**pool, "group_id": rule["pool_group_id"]})
    waiting = await change.db.fetchval(_WAITING, rule_id, TaskType.BACKUP.label, TaskStatus.NEW.label)
    if waiting is not None:
        raise Conflict(f"The task {waiting} of the rule waits already: it will make the same backup.")
    task_id = await PostgresQueue(change.db).add(task_of(rule, pool, change.principal.name))
    await rule_log.note(change, [rule_id], "executed", task_id=task_id)
    change.after = {"id": rule_id, "task": task_id}
    return task_id


async def _pool(db: Connection, rule: Row) -> Row:
    """The rule's pool, or one of its group; Conflict says what keeps the rule's backup from going into it."""
    problems = Problems()
    group = await db.fetchval(_GROUP, rule["pool_group_id"])
    where = rule["pool_id"] if group is None else group
    pool = await problems.place(db, where, "pool_id", scopes.EVERYTHING)
    if pool is None:
        raise Conflict(f"The rule cannot be executed. pool_id: {problems.fields['pool_id']}")
    await tasks.check_pool(db, problems, pool, rule["storage_duration"], "pool_id", "storage_duration")
    tasks.check_client_serves(problems, rule, rule["resource_type"], "resource_type")
    tasks.check_client_encrypts(problems, rule, rule["crypto"], "crypto")
    if problems.fields:
        told = " ".join(f"{field}: {text}" for field, text in problems.fields.items())
        raise Conflict(f"The rule cannot be executed. {told}")
    return pool


def task_of(rule: Row, pool: Row, created_by: str) -> NewTask:
    """The backup that a rule asks for."""
    return NewTask(
        task_type=TaskType.BACKUP.label,
        executor="client",
        priority=rule["priority"],
        client_id=rule["client_id"],
        media_server_id=pool["media_server_id"],
        pool_id=pool["id"],
        pool_group_id=rule["pool_group_id"],
        resource_type=rule["resource_type"],
        resource=rule["resource"],
        backup_type=rule["backup_type"],
        crypto=rule["crypto"],
        storage_duration=rule["storage_duration"],
        parameters=_parameters(rule),
        created_by=created_by,
        rule_id=rule["id"],
        reservations=tasks.backup_reservations(rule["client_id"], rule["resource_type"], rule["resource"], pool["id"]),
    )


def _parameters(rule: Row) -> dict[str, Any]:
    """Extension parameters, and the scripts that the client runs when the backup has ended."""
    wanted = {"normal": rule["notify_normal_script"], "exception": rule["notify_exception_script"]}
    scripts = {when: path for when, path in wanted.items() if path}
    parameters = {"module": rule["module_parameters"], "common": rule["common_parameters"]}
    return parameters | ({"scripts": scripts} if scripts else {})


async def restore_scripts(db: Connection, record_id: int) -> dict[str, Any]:
    """What the parameters of a restore of this copy hold of its rule: the script that follows; {} without one."""
    script = await db.fetchval(_RESTORE_SCRIPT, record_id)
    return {"scripts": {"restore": script}} if script else {}
