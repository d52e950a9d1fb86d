"""Deleting copies: what goes with them, and what keeps one from being deleted.

Each copy restores by itself, so a chain is no more than a row of copies that name their parents. With
`repository_remove_chain` those that build on a deleted copy go with it; else they stay, and their chain is
broken. Archives go only when they are named. Design sections 8 and 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict, NotFound
from rubackup.domain.lookups import VerificationStatus
from rubackup.domain.pools import NOT_RECONCILED
from rubackup.domain.tasks import FINAL
from rubackup.services import configuration, record_history, scopes
from rubackup.services.change import Change

AT_ONCE = 1000
_BROKEN_REASON = "A copy that it builds on was deleted (auto_delete_archive_from_broken_chain)."

_DELETING = """
SELECT r.id, r.uuid, r.pool_id, r.client_hostname, r.client_hwid, r.resource_type, r.resource, r.backup_type,
    r.created_at
FROM repository r WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id FOR UPDATE"""
_CHAIN = """
WITH RECURSIVE chain AS (
    SELECT r.id FROM repository r WHERE r.parent_id = ANY ($1::bigint[]) AND NOT r.archiving
    UNION
    SELECT r.id FROM repository r JOIN chain ON r.parent_id = chain.id WHERE NOT r.archiving
)
SELECT r.id, {writable} AS writable
FROM chain JOIN repository r ON r.id = chain.id LEFT JOIN clients c ON c.id = r.client_id
JOIN pools p ON p.id = r.pool_id WHERE r.id <> ALL ($1::bigint[]) ORDER BY r.id"""
_UNRECONCILED = """
SELECT DISTINCT p.pool_name FROM repository r JOIN pools p ON p.id = r.pool_id JOIN pool_state s ON s.pool_id = p.id
WHERE r.id = ANY ($1::bigint[]) AND NOT s.reconciled ORDER BY 1"""
_LOCKED = "SELECT id FROM repository WHERE id = ANY ($1::bigint[]) AND locked_until > now() ORDER BY id"
_YOUNG = """
SELECT id FROM repository WHERE id = ANY ($1::bigint[]) AND created_at > now() - make_interval(days => $2) ORDER BY id"""
_IN_USE = """
SELECT r.id, min(t.id) AS task_id FROM repository r CROSS JOIN LATERAL (
    SELECT q.id FROM task_queue q WHERE q.record_id = r.id AND q.status <> ALL ($2::text[])
    UNION ALL
    SELECT q.id FROM task_queue q WHERE q.parent_uuid = r.uuid
        AND q.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')
) t WHERE r.id = ANY ($1::bigint[]) GROUP BY r.id ORDER BY r.id"""
_LAST = """
SELECT DISTINCT r.{rule} AS rule, r.id FROM repository r JOIN {table} g ON g.id = r.{rule} WHERE r.id = ANY ($1::bigint[])
    AND NOT EXISTS (SELECT 1 FROM repository o WHERE o.{rule} = r.{rule} AND o.client_hwid = r.client_hwid
        AND o.id <> ALL ($1::bigint[]) AND o.verification_status <> $2)
ORDER BY r.id"""
"""A rule of a client group keeps the last copy of each client."""
_LOCK_RULES = """
SELECT 1 FROM {table} g WHERE g.id IN (SELECT r.{rule} FROM repository r WHERE r.id = ANY ($1::bigint[]))
ORDER BY g.id FOR NO KEY UPDATE"""
"""Two who delete copies of one rule at the same time would each count on what the other deletes."""
_BREAK = """
WITH RECURSIVE chain AS (
    SELECT r.id FROM repository r WHERE r.parent_id = ANY ($1::bigint[])
    UNION
    SELECT r.id FROM repository r JOIN chain ON r.parent_id = chain.id
)
UPDATE repository SET chain_broken = true FROM chain WHERE repository.id = chain.id AND NOT repository.chain_broken"""
_BROKEN = """
SELECT r.id FROM repository r WHERE r.chain_broken AND NOT r.archiving
    AND (r.locked_until IS NULL OR r.locked_until <= now())
ORDER BY random() LIMIT $1 FOR UPDATE SKIP LOCKED"""
"""By chance, so that those that must stay for another reason do not keep the others from their turn."""
_KEEPS_LAST = {
    "rule_id": ("dont_delete_last_gs_rule_archive", "rule", "global_schedule"),
    "strategy_rule_id": ("dont_delete_last_strategy_rule_archive", "strategy rule", "strategy_rules"),
}
"""By column: the key that keeps the last copy of such a rule, what it is called, and where it is; one that is gone keeps none."""


async def delete_records(change: Change, ids: Sequence[int]) -> None:
    """Delete all of these copies, and with `repository_remove_chain` those that build on them, or none.

    NotFound names missing ids; Conflict names copies that a task needs, that are locked or too young, or the
    last ones of their rule.
    """
    db = change.db
    wanted = sorted(set(ids))
    rows = await db.fetch(_DELETING, wanted)
    missing = sorted(set(wanted) - {row["id"] for row in rows})
    if missing:
        raise NotFound(f"No such copies in the repository: {_join(missing)}.", ids=missing)
    chain = await _chain(change, wanted) if await configuration.enabled(db, "repository_remove_chain") else []
    rows += await db.fetch(_DELETING, chain)
    going = wanted + chain
    await refuse(db, going)
    change.row_ids.extend(going)
    change.before = change.before or [{k: str(v) for k, v in row.items() if k != "pool_id"} for row in rows]
    await db.execute(_BREAK, going)
    user = change.principal.name
    if chain:
        await record_history.note(
            db, chain, "chain", f"Deleted with a copy that it builds on: {_join(wanted)}.", user_name=user
        )
    await record_history.bury(db, going, "deleted", user_name=user)


async def _chain(change: Change, wanted: list[int]) -> list[int]:
    """Copies that build on these, archives and what builds on them left out; Conflict when one is not the caller's."""
    limit = scopes.work(change.principal, "coalesce(c.group_id, r.client_group_id)", "p.media_server_id", write=True)
    rows = await change.db.fetch(_CHAIN.format(writable=limit.numbered(2)), wanted, *limit.values)
    if not all(row["writable"] for row in rows):
        raise Conflict("Copies of another client group build on these; repository_remove_chain would delete them, too.")
    return [row["id"] for row in rows]


async def refuse(db: Connection, ids: Sequence[int]) -> None:
    """Conflict when one of these copies must not be deleted now."""
    if pools := await db.fetch(_UNRECONCILED, ids):
        raise Conflict(f"Pool {', '.join(row['pool_name'] for row in pools)}: {NOT_RECONCILED}")
    locked = [row["id"] for row in await db.fetch(_LOCKED, ids)]
    if locked:
        raise Conflict(f"Copies are locked against deletion: {_join(locked)}.", ids=locked)
    days = await configuration.number(db, "mandatory_storage_time")
    young = [row["id"] for row in await db.fetch(_YOUNG, ids, days)] if days else []
    if young:
        raise Conflict(f"No copy may be deleted before it is {days} days old: {_join(young)}.", ids=young)
    if used := await in_use(db, ids):
        named = ", ".join(f"{copy_id} (task {task_id})" for copy_id, task_id in used.items())
        raise Conflict(f"Copies are in use: {named}.", ids=list(used))
    for column, (key, _name, _table) in _KEEPS_LAST.items():
        if await configuration.enabled(db, key):
            await _refuse_last(db, ids, column, key)


async def in_use(db: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Which of these copies an unfinished task reads, or a running backup builds on, each with its first task."""
    rows = await db.fetch(_IN_USE, list(ids), [status.label for status in FINAL])
    return {row["id"]: row["task_id"] for row in rows}


async def _refuse_last(db: Connection, ids: Sequence[int], column: str, key: str) -> None:
    _, name, table = _KEEPS_LAST[column]
    await db.execute(_LOCK_RULES.format(rule=column, table=table), ids)
    last: list[Any] = await db.fetch(_LAST.format(rule=column, table=table), ids, VerificationStatus.NOT_TRUSTED.label)
    if last:
        named = ", ".join(f"{row['id']} ({name} {row['rule']})" for row in last)
        raise Conflict(f"No good copy of a rule would be left ({key}): {named}.", ids=[row["id"] for row in last])


async def remove_broken(db: Connection) -> int:
    """Delete copies whose chain is broken, where `auto_delete_archive_from_broken_chain` says so; how many.

    What must not be deleted stays for a later run.
    """
    if not await configuration.enabled(db, "auto_delete_archive_from_broken_chain"):
        return 0
    removed = 0
    for row in await db.fetch(_BROKEN, AT_ONCE):
        try:
            await refuse(db, [row["id"]])
        except Conflict:
            continue
        await record_history.bury(db, [row["id"]], "deleted", _BROKEN_REASON)
        removed += 1
    return removed


def _join(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
