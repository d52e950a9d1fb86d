"""Running a rule of the global schedule at once: the tasks that it makes. Its launches by time are another matter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import TaskStatus, TaskType
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import schedule_notes, schedules, scopes, tasks, ticks
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Row
from rubackup.services.schedules import RULE, Backup, Origin

_READ = """
SELECT s.*, c.resource_types, c.ciphers FROM global_schedule s LEFT JOIN clients c ON c.id = s.client_id WHERE s.id = $1"""
_WAITING = """
SELECT client_id, min(id) AS task FROM task_queue WHERE rule_id = $1 AND task_type = $2 AND status = $3 GROUP BY client_id"""
_GROUP = "SELECT name FROM dynamic_pool_groups WHERE id = $1"
_RESTORE_SCRIPT = """
SELECT coalesce(s.restore_script, u.restore_script) FROM repository r LEFT JOIN global_schedule s ON s.id = r.rule_id
LEFT JOIN strategy_rules u ON u.id = r.strategy_rule_id WHERE r.id = $1"""


async def execute(change: Change, rule_id: int) -> list[int]:
    """Run a rule at once, whatever its status, schedule and validity, which stay as they are; the numbers of its tasks.

    A rule of a client group makes one for each client in it. Conflict when the service mode, the pool or the client does
    not allow the backup, and while a task of the rule still waits to be started for each client: another would make the
    same backup again. The kernel holds the rule meanwhile.
    """
    rule = await change.db.fetchrow(_READ, rule_id)
    pool = await _pool(change.db, rule)
    await tasks.refuse_place_in_service_mode(change.db, {**pool, "group_id": rule["pool_group_id"]})
    origin = Origin(RULE, rule_id, rule["backup_type"])
    targets = (await schedules.targets(change.db, [origin]))[origin]
    if not targets:
        raise Conflict("The rule's client group has no clients.")
    targets = await _without_waiting(change.db, rule_id, targets)
    there = {"pool_id": pool["id"], "media_server_id": pool["media_server_id"]}
    now = dt.datetime.now(dt.UTC)
    backups = [Backup(origin, now, {**row, **there}) for row in targets]
    task_ids = await PostgresQueue(change.db).add_many([ticks.task_of(one, change.principal.name) for one in backups])
    await schedule_notes.forced(change.db, backups, task_ids, change.principal.name)
    change.after = {"id": rule_id, "task": task_ids[0]} if len(task_ids) == 1 else {"id": rule_id, "tasks": task_ids}
    return task_ids


async def _without_waiting(db: Connection, rule_id: int, targets: Sequence[Row]) -> list[Row]:
    """The clients for which no task of the rule waits; Conflict when one waits for each."""
    rows = await db.fetch(_WAITING, rule_id, TaskType.BACKUP.label, TaskStatus.NEW.label)
    waiting: dict[int, int] = {row["client_id"]: row["task"] for row in rows}
    left = [row for row in targets if row["client_id"] not in waiting]
    if not left:
        raise Conflict(f"The task {min(waiting.values())} of the rule waits already: it will make the same backup.")
    return left


async def _pool(db: Connection, rule: Row) -> Row:
    """The rule's pool, or one of its group; Conflict says what keeps the rule's backup from going into it."""
    problems = Problems()
    group = await db.fetchval(_GROUP, rule["pool_group_id"])
    where = rule["pool_id"] if group is None else group
    pool = await problems.place(db, where, "pool_id", scopes.EVERYTHING)
    if pool is None:
        raise Conflict(f"The rule cannot be executed. pool_id: {problems.fields['pool_id']}")
    await tasks.check_pool(db, problems, pool, rule["storage_duration"], "pool_id", "storage_duration")
    if rule["client_id"] is not None:
        tasks.check_client_serves(problems, rule, rule["resource_type"], "resource_type")
        tasks.check_client_encrypts(problems, rule, rule["crypto"], "crypto")
    if problems.fields:
        told = " ".join(f"{field}: {text}" for field, text in problems.fields.items())
        raise Conflict(f"The rule cannot be executed. {told}")
    return pool


async def restore_scripts(db: Connection, record_id: int) -> dict[str, Any]:
    """What the parameters of a restore of this copy hold of its rule: the script that follows; {} without one."""
    script = await db.fetchval(_RESTORE_SCRIPT, record_id)
    return {"scripts": {"restore": script}} if script else {}
