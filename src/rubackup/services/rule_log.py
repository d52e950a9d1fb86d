"""The log of the global schedule: what was done to rules, and what they did. Lines survive their rule."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.services.change import Change

OWNER = (
    "LEFT JOIN clients c ON c.id = s.client_id JOIN client_groups og ON og.id = coalesce(s.client_group_id, c.group_id)"
)
"""Joins of a rule `s`: its client `c`, if it is one client's, and the group `og` that it belongs to."""
WHOSE = "coalesce(c.hostname || ' (' || c.hwid || ')', og.name)"
"""Whose rule it is: a client as `hostname (hwid)`, or the name of a group."""

_NOTE = f"""
INSERT INTO global_schedule_log
    (rule_id, rule_name, client_id, client, client_group_id, user_name, action, text)
SELECT s.id, s.name, c.id, {WHOSE}, og.id, $2, $3, $4
FROM global_schedule s {OWNER} WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id"""  # noqa: S608 - constants of the code
_EVENT = f"""
INSERT INTO events (kind, family, row_id, client_group_id, data)
SELECT $2, 'global_schedule', s.id, og.id, $3
FROM global_schedule s {OWNER} WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id"""  # noqa: S608 - constants of the code


async def note(change: Change, rule_ids: Sequence[int], action: str, text: str = "") -> None:
    """A line for each of these rules, while they are there: created, changed, deleted or status."""
    await change.db.execute(_NOTE, list(rule_ids), change.principal.name, action, text)


async def tell(change: Change, rule_ids: Sequence[int], kind: str) -> None:
    """An event for each of these rules, while they are there."""
    await change.db.execute(_EVENT, list(rule_ids), kind, {})
