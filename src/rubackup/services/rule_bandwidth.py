"""Limits of the bandwidth of rules of the global schedule, each for a part of the day; ours, in the form of the clients' limits.

A limit holds for the tasks of its rule on each client: for its backups, and for restores of their copies to that client.
How limits act: `services.bandwidth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.services import bandwidth, scopes
from rubackup.services.bandwidth import BACKUP, END, RESTORE, START, time_of_day
from rubackup.services.change import Change
from rubackup.services.fields import Problems, given, update_columns

_INSERT = """
INSERT INTO rule_bandwidth (rule_id, backup_bandwidth, restore_bandwidth, window_start, window_end)
VALUES ($1, $2, $3, $4, $5) RETURNING id"""
_RULE = """
SELECT s.id, coalesce(c.group_id, s.client_group_id) AS group_id
FROM global_schedule s LEFT JOIN clients c ON c.id = s.client_id
WHERE s.id = $1 AND ({limit}) FOR KEY SHARE OF s"""
_GROUPS = """
SELECT b.id, coalesce(c.group_id, s.client_group_id) AS group_id
FROM rule_bandwidth b JOIN global_schedule s ON s.id = b.rule_id LEFT JOIN clients c ON c.id = s.client_id
WHERE b.id = ANY ($1::bigint[]) ORDER BY b.id"""

_ID = Meta(description="Id of the rule of the global schedule.", ge=1)


class NewRuleBandwidth(msgspec.Struct, kw_only=True):
    """A limit to be made."""

    rule: Annotated[int, _ID]
    backup_bandwidth: Annotated[int, BACKUP] = 0
    restore_bandwidth: Annotated[int, RESTORE] = 0
    window_start: Annotated[str, START] = "00:00:00"
    window_end: Annotated[str, END] = "00:00:00"


class RuleBandwidthChange(msgspec.Struct, kw_only=True):
    """What to change of a limit."""

    rule: Annotated[int, _ID] | UnsetType = UNSET
    backup_bandwidth: Annotated[int, BACKUP] | UnsetType = UNSET
    restore_bandwidth: Annotated[int, RESTORE] | UnsetType = UNSET
    window_start: Annotated[str, START] | UnsetType = UNSET
    window_end: Annotated[str, END] | UnsetType = UNSET


async def create(change: Change, new: NewRuleBandwidth) -> int:
    """A new limit; the id."""
    problems = Problems()
    rule = await _rule(change, problems, new.rule)
    start = time_of_day(problems, new.window_start, "data.window_start")
    end = time_of_day(problems, new.window_end, "data.window_end")
    problems.raise_any()
    limit_id: int = await change.db.fetchval(
        _INSERT, rule["id"], new.backup_bandwidth, new.restore_bandwidth, start, end
    )
    await change.event("created", "rule_bandwidth", limit_id, client_group_id=rule["group_id"])
    await change.wake(bandwidth.CHANNEL)
    return limit_id


async def update(change: Change, limit_id: int, wanted: RuleBandwidthChange) -> None:
    """Change what is given."""
    problems, before = Problems(), await _groups(change.db, [limit_id])
    columns = given(backup_bandwidth=wanted.backup_bandwidth, restore_bandwidth=wanted.restore_bandwidth)
    if wanted.rule is not UNSET and (rule := await _rule(change, problems, wanted.rule)):
        columns["rule_id"] = rule["id"]
    for name in ("window_start", "window_end"):
        if (text := getattr(wanted, name)) is not UNSET:
            columns[name] = time_of_day(problems, text, f"data.{name}")
    problems.raise_any()
    await update_columns(change.db, "rule_bandwidth", limit_id, columns)
    for group in {row["group_id"] for row in (*before, *await _groups(change.db, [limit_id]))}:
        await change.event("changed", "rule_bandwidth", limit_id, client_group_id=group)
    await change.wake(bandwidth.CHANNEL)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete limits."""
    rows = await _groups(change.db, ids)
    await change.db.execute("DELETE FROM rule_bandwidth WHERE id = ANY ($1::bigint[])", list(ids))
    for row in rows:
        await change.event("deleted", "rule_bandwidth", row["id"], client_group_id=row["group_id"])
    await change.wake(bandwidth.CHANNEL)


async def _rule(change: Change, problems: Problems, rule_id: int) -> Any:
    """The rule with its client group; None after a note."""
    limit = scopes.clients(change.principal, "coalesce(c.group_id, s.client_group_id)", write=True)
    row = await change.db.fetchrow(_RULE.format(limit=limit.numbered(2)), rule_id, *limit.values)
    if row is None:
        problems.add("data.rule", "unknown rule.")
    return row


async def _groups(db: Connection, ids: Sequence[int]) -> Any:
    return await db.fetch(_GROUPS, list(ids))
