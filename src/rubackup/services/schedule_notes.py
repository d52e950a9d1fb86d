"""What the scheduler says of its launches: lines of the global schedule's log, and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection, notify
from rubackup.services.change import EVENTS_CHANNEL
from rubackup.services.schedules import RULE, Backup

COVERED = "No task: a full backup of the same resource was due at the same time."
OFFLINE = "No task: the client {client} was offline (create_new_task_if_client_offline)."
WAITING = "No task: task {task} of the same rule still waits for the client {client}, which is offline."
_LINES = """
INSERT INTO global_schedule_log
    (rule_id, rule_name, client_id, client, client_group_id, task_id, action, text, user_name)
SELECT w.rule_id, w.rule_name, w.client_id, w.client, w.client_group_id, w.task_id, $7, w.text, $9
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $8::text[])
    AS w (rule_id, rule_name, client_id, client, client_group_id, task_id, text)"""
_REMOVE = """
DELETE FROM global_schedule_log WHERE id IN (
    SELECT id FROM global_schedule_log WHERE user_name = '' AND action IN ('executed', 'skipped')
        AND at < now() - make_interval(days => $1) ORDER BY at LIMIT $2)"""
KEPT_DAYS = 400
"""So long lines about launches are kept; what users did to rules stays."""
_EVENTS = """
INSERT INTO events (kind, family, row_id, client_group_id, strategy_id, data)
SELECT 'skipped', w.family, w.row_id, w.client_group_id, w.strategy_id,
    jsonb_build_object('due_at', w.due_at, 'client', w.client, 'resource', w.resource, 'text', w.text)
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
    AS w (family, row_id, client_group_id, strategy_id, due_at, client, resource, text)"""


async def executed(db: Connection, backups: Sequence[Backup], task_ids: Sequence[int]) -> None:
    """A line for each backup of a rule whose task was made by time."""
    made = [
        (one, task_id, f"Due at {_instant(one)}.")
        for one, task_id in zip(backups, task_ids, strict=True)
        if one.origin.kind == RULE
    ]
    await _lines(db, "executed", made)


async def forced(db: Connection, backups: Sequence[Backup], task_ids: Sequence[int], user_name: str) -> None:
    """A line for each backup of a rule that a user has executed."""
    made = [(one, task_id, "") for one, task_id in zip(backups, task_ids, strict=True)]
    await _lines(db, "executed", made, user_name)


async def skipped(db: Connection, backups: Sequence[tuple[Backup, str]]) -> None:
    """An event for each backup that has no task, and for those of rules a line, with the reason."""
    if not backups:
        return
    await _lines(
        db,
        "skipped",
        [(one, None, f"Due at {_instant(one)}. {text}") for one, text in backups if one.origin.kind == RULE],
    )
    await db.execute(
        _EVENTS,
        ["global_schedule" if one.origin.kind == RULE else "strategy_rules" for one, _text in backups],
        [one.origin.id if one.origin.kind == RULE else one.row["strategy_rule_id"] for one, _text in backups],
        [one.row["group_id"] for one, _text in backups],
        [None if one.origin.kind == RULE else one.origin.id for one, _text in backups],
        [_instant(one) for one, _text in backups],
        [one.row["client"] for one, _text in backups],
        [one.row["resource"] for one, _text in backups],
        [text for _one, text in backups],
    )
    await notify(db, EVENTS_CHANNEL)


async def remove_old(db: Connection, limit: int) -> None:
    """Remove lines about launches whose time is over, at most `limit`."""
    await db.execute(_REMOVE, KEPT_DAYS, limit)


async def _lines(
    db: Connection, action: str, lines: Sequence[tuple[Backup, int | None, str]], user_name: str = ""
) -> None:
    if not lines:
        return
    columns: list[list[Any]] = [
        [one.origin.id for one, _task, _text in lines],
        [one.row["name"] for one, _task, _text in lines],
        [one.row["client_id"] for one, _task, _text in lines],
        [one.row["client"] for one, _task, _text in lines],
        [one.row["group_id"] for one, _task, _text in lines],
        [task for _one, task, _text in lines],
    ]
    await db.execute(_LINES, *columns, action, [text for _one, _task, text in lines], user_name)


def _instant(backup: Backup) -> str:
    return backup.at.isoformat().replace("+00:00", "Z")
