"""Who is told that a task has ended: a row of `notifications` in the transaction of the task's last move.

A task that came from somewhere which says whom to tell makes at most one row of each kind: `normal` when it is Done,
`exception` when it is Error or Broken or when its copy is not where it should be, `verify` for a verification that ended
in either way. A task that an operator killed tells nobody. Sending is for others: a row begins as New.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rubackup.domain.lookups import NotificationStatus, TaskStatus, TaskType

Connection = Any


class Origin(NamedTuple):
    """Where tasks come from: a table with `name`, `notify_<kind>_group_id` and `notify_<kind>_cc`, and who names it."""

    table: str
    column: str
    word: str


ORIGINS = (Origin("global_schedule", "rule_id", "rule"), Origin("backup_strategies", "strategy_id", "strategy"))
"""Every table whose rows say whom to tell."""

_TOLD = frozenset({TaskStatus.DONE, TaskStatus.ERROR, TaskStatus.BROKEN})
_KINDS = ("normal", "exception", "verify")
_WHOM = " UNION ALL ".join(
    f"SELECT t.id AS task_id, '{one.word}' AS word, o.name AS origin, "  # noqa: S608 - names of the code
    + ", ".join(f"o.notify_{kind}_group_id AS {kind}_group_id, o.notify_{kind}_cc AS {kind}_cc" for kind in _KINDS)
    + f" FROM task_queue t JOIN {one.table} o ON o.id = t.{one.column} WHERE t.id = $1"
    for one in ORIGINS
)
_READ = f"""
SELECT w.*, t.task_type, t.message, t.resource_type, t.resource, t.backup_type, t.client_id, t.media_server_id, t.rule_id,
    t.strategy_id, t.started_at, t.finished_at, c.group_id AS client_group_id, p.pool_name,
    coalesce(c.hostname || ' (' || c.hwid || ')', '') AS client,
    (SELECT id FROM user_groups WHERE name = 'Nobody') AS nobody_id
FROM ({_WHOM}) w JOIN task_queue t ON t.id = w.task_id LEFT JOIN clients c ON c.id = t.client_id
LEFT JOIN pools p ON p.id = t.pool_id LIMIT 1"""  # noqa: S608 - names of the code
_WRITE = """
INSERT INTO notifications (kind, status, user_group_id, cc, subject, text, task_id, client, client_id, client_group_id,
    media_server_id, rule_id, strategy_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING RETURNING id"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
VALUES ('created', 'notifications', $1, $2, $3, jsonb_build_object('kind', $4::text))"""


async def ended(db: Connection, task_id: int, status: TaskStatus) -> None:
    """Note that the task has ended in this state; its row has that state already."""
    if status not in _TOLD:
        return
    task = await db.fetchrow(_READ, task_id)
    if task is None:
        return
    await _note(db, task, _kind(task["task_type"], status), _subject(task, status.label), status)


async def warned(db: Connection, task_id: int, what: str) -> None:
    """Note for those who want to know of failures that a task is Done, but not as it should be; its message says how."""
    task = await db.fetchrow(_READ, task_id)
    if task is not None:
        await _note(db, task, "exception", _subject(task, f"Done, {what}"), TaskStatus.DONE)


async def _note(db: Connection, task: Any, kind: str, subject: str, status: TaskStatus) -> None:
    group_id, cc = task[f"{kind}_group_id"], task[f"{kind}_cc"]
    if group_id in {None, task["nobody_id"]} and not cc.strip():
        return
    notice_id = await db.fetchval(
        _WRITE, kind, NotificationStatus.NEW.label, group_id, cc, subject, _text(task, status), task["task_id"],
        task["client"], task["client_id"], task["client_group_id"], task["media_server_id"], task["rule_id"],
        task["strategy_id"],
    )  # fmt: skip
    if notice_id is not None:
        await db.execute(_EVENT, notice_id, task["client_group_id"], task["media_server_id"], kind)


def _kind(task_type: str, status: TaskStatus) -> str:
    if task_type == TaskType.VERIFY.label:
        return "verify"
    return "normal" if status is TaskStatus.DONE else "exception"


def _subject(task: Any, how: str) -> str:
    """One line: what of whom, and how it ended."""
    whose = f" of {task['client']}" if task["client"] else ""
    line = f"{task['task_type']} {how}: {task['resource']}{whose}"
    return " ".join(line.split())


def _text(task: Any, status: TaskStatus) -> str:
    facts = {
        "Task": f"{task['task_id']} ({task['task_type']}{_typed(task['backup_type'])}), {status.label}",
        f"{task['word'].capitalize()}": task["origin"],
        "Client": task["client"],
        "Resource": f"{task['resource_type']}: {task['resource']}",
        "Pool": task["pool_name"],
        "Started": _instant(task["started_at"]),
        "Ended": _instant(task["finished_at"]),
        "Message": task["message"],
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items() if value)


def _typed(backup_type: str) -> str:
    return f", {backup_type}" if backup_type else ""


def _instant(at: Any) -> str:
    return at.isoformat(timespec="seconds") if at is not None else ""
