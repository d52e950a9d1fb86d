"""The log of the global schedule: what was done to rules, and what they did. Lines survive their rule."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.services.change import Change

_NOTE = """
INSERT INTO global_schedule_log
    (rule_id, rule_name, client_id, client, client_group_id, task_id, user_name, action, text)
SELECT s.id, s.name, c.id, c.hostname || ' (' || c.hwid || ')', c.group_id, $2, $3, $4, $5
FROM global_schedule s JOIN clients c ON c.id = s.client_id WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, data)
SELECT $2, 'global_schedule', s.id, c.group_id, $3
FROM global_schedule s JOIN clients c ON c.id = s.client_id WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id"""


async def note(
    change: Change, rule_ids: Sequence[int], action: str, text: str = "", *, task_id: int | None = None
) -> None:
    """A line for each of these rules, while they are there: created, changed, deleted, executed or status."""
    await change.db.execute(_NOTE, list(rule_ids), task_id, change.principal.name, action, text)


async def tell(change: Change, rule_ids: Sequence[int], kind: str) -> None:
    """An event for each of these rules, while they are there."""
    await change.db.execute(_EVENT, list(rule_ids), kind, {})
