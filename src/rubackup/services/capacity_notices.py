"""Who is told that the storage_capacity of a rule or a strategy comes to its end.

That is when its copies take so much that the next backup is not begun. Told at most once in each
`..._storage_capacity_notification_period`, as long as that lasts, while the capacities are enforced.
"""

from __future__ import annotations

import datetime as dt

from rubackup.catalog.database import Connection, Database
from rubackup.domain.lookups import NotificationStatus
from rubackup.services import capacity, configuration
from rubackup.services.capacity import GIGABYTE, RULE, STRATEGY, Limit
from rubackup.services.leadership import check_epoch

AT_ONCE = 100
_FULL = """
SELECT o.id FROM {table} o WHERE o.storage_capacity > 0 AND (o.capacity_told_at IS NULL OR o.capacity_told_at <= $1)
    AND (SELECT coalesce(sum(r.stored_bytes), 0) FROM repository r WHERE r.{column} = o.id)
        >= (o.storage_capacity - $2) * $3::bigint
ORDER BY o.id LIMIT $4 FOR NO KEY UPDATE OF o SKIP LOCKED"""
_TOLD = "UPDATE {table} SET capacity_told_at = $2 WHERE id = $1"
_NOTIFY = """
INSERT INTO notifications (kind, status, user_group_id, cc, subject, text, client, client_id, client_group_id, {column})
SELECT 'capacity', $2, o.notify_end_storage_capacity_group_id, o.notify_end_storage_capacity_cc,
    'The storage_capacity of {word} ' || o.name || ' comes to its end', $3, {client}, o.id
FROM {table} o {join} WHERE o.id = $1 AND (o.notify_end_storage_capacity_cc <> ''
    OR coalesce(o.notify_end_storage_capacity_group_id <> (SELECT id FROM user_groups WHERE name = 'Nobody'), false))"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, strategy_id, data)
SELECT 'capacity', '{table}', o.id, {group}, {strategy}, $2 FROM {table} o {join} WHERE o.id = $1"""
_PARTS = {
    RULE.word: {
        "join": "LEFT JOIN clients c ON c.id = o.client_id", "group": "coalesce(c.group_id, o.client_group_id)", "strategy": "NULL::bigint",
        "client": "coalesce(c.hostname || ' (' || c.hwid || ')', ''), c.id, coalesce(c.group_id, o.client_group_id)",
    },
    STRATEGY.word: {"join": "", "group": "NULL::bigint", "strategy": "o.id", "client": "'', NULL, NULL"},
}  # fmt: skip


async def tell(database: Database, epoch: int | None = None, *, now: dt.datetime | None = None) -> int:
    """Tell of each rule and strategy that is full and was not told of lately; how many. `now` None: the catalogue's clock.

    Fenced when `epoch` is given and another server leads. Nothing in service mode.
    """
    told = 0
    for limit in (RULE, STRATEGY):
        async with database.transaction() as db:
            if epoch is not None:
                await check_epoch(db, epoch)
            if await configuration.enabled(db, limit.switch) and not await configuration.enabled(db, "service_mode"):
                told += await _tell(db, limit, now or await db.fetchval("SELECT now()"))
    return told


async def _tell(db: Connection, limit: Limit, now: dt.datetime) -> int:
    names = {"table": limit.table, "column": limit.column, "word": limit.word, **_PARTS[limit.word]}
    since = now - dt.timedelta(minutes=await configuration.number(db, limit.period))
    reserve = await configuration.number(db, limit.reserve)
    rows = await db.fetch(_FULL.format(**names), since, reserve, GIGABYTE, AT_ONCE)
    for row in rows:
        text = await capacity.over(db, limit, row["id"])
        await db.execute(_TOLD.format(**names), row["id"], now)
        await db.execute(_NOTIFY.format(**names), row["id"], NotificationStatus.NEW.label, text)
        await db.execute(_EVENT.format(**names), row["id"], {"message": text})
    return len(rows)
