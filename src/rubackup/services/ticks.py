"""The scheduler's tick: what is due is launched, each launch exactly once. Design: `docs/design/scheduler.md`.

One tick is one transaction that checks the epoch: the row of a launch, its tasks, its lines and the next instant are
written together or not at all. Only what is due is read, by an index.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain import schedule
from rubackup.domain.lookups import TaskType
from rubackup.queue.ports import NewTask
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import configuration, schedule_notes, schedules, tasks
from rubackup.services.leadership import check_epoch
from rubackup.services.schedules import Backup, Origin

log = logging.getLogger(__name__)

LAUNCHES = 250
"""Of one tick; what is left follows at once."""
TASKS_AT_ONCE = 1000
LOOK_SECONDS = 30.0
"""How long the scheduler rests at most: hints may be lost, and the clock may be set."""
LEAST_SECONDS = 0.05
"""How long it rests at least, when what is due is held by who is just changing it."""
SETTLE_SECONDS = 15.0
"""After a change of leader agents get so long to come back before a client counts as offline."""
CLOCK_BACK = dt.timedelta(hours=1)
"""A clock that was set back by more has made launches up to then that are yet to come."""
CREATE = "create new task"

_FRESH_PLANS = "SET LOCAL plan_cache_mode = force_custom_plan"
"""The checks of foreign keys keep a plan from when the queue was all but empty: 10,000 launches at once took half a minute by it."""
_STATE = "SELECT zone, ticked_at, coalesce($1::timestamptz, clock_timestamp()) AS now FROM schedule_state"
_TICKED = "UPDATE schedule_state SET zone = $1, ticked_at = $2"
_ANOTHER_ZONE = """
UPDATE schedule_launches SET due_at = '-infinity', after_at = greatest(after_at, $1)
WHERE due_at IS NULL OR due_at > $1"""
_CLOCK_BACK = "UPDATE schedule_launches SET due_at = '-infinity', after_at = $1 WHERE after_at > $1"
_DUE = """
SELECT id, origin, origin_id, leg, after_at, due_at = '-infinity' AS unplanned FROM schedule_launches
WHERE due_at <= $1 ORDER BY leg <> 'full', due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED"""
"""Full ones first, so that a partial one always finds the full one that covers it. Who holds a row is changing its schedule."""
_NEXT = (
    "SELECT extract(epoch FROM min(due_at) - $1::timestamptz)::float8 FROM schedule_launches WHERE due_at > '-infinity'"
)
_LAUNCHED = """
INSERT INTO schedule_ticks (origin, origin_id, leg, due_at, at, epoch)
SELECT origin, origin_id, leg, due_at, $5, $6
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[]) AS w (origin, origin_id, leg, due_at)
ON CONFLICT DO NOTHING RETURNING origin, origin_id, leg, due_at"""
_ADVANCED = """
UPDATE schedule_launches l SET after_at = w.after_at, due_at = w.due_at
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS w (id, after_at, due_at) WHERE l.id = w.id"""
_FULLS = """
SELECT w.due_at, w.client_id, w.resource_type, w.resource
FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[]) AS w (due_at, client_id, resource_type, resource)
WHERE EXISTS (
    SELECT 1 FROM global_schedule s JOIN schedule_ticks k ON k.origin = 'rule' AND k.origin_id = s.id
    WHERE s.client_id = w.client_id AND s.resource_type = w.resource_type AND s.resource = w.resource
        AND k.leg = 'full' AND k.due_at = w.due_at
) OR EXISTS (
    SELECT 1 FROM clients c JOIN global_schedule s ON s.client_group_id = c.group_id
    JOIN schedule_ticks k ON k.origin = 'rule' AND k.origin_id = s.id
    WHERE c.id = w.client_id AND s.resource_type = w.resource_type AND s.resource = w.resource
        AND k.leg = 'full' AND k.due_at = w.due_at
) OR EXISTS (
    SELECT 1 FROM strategy_rules r JOIN schedule_ticks k ON k.origin = 'strategy' AND k.origin_id = r.strategy_id
    WHERE r.client_id = w.client_id AND r.resource_type = w.resource_type AND r.resource = w.resource
        AND k.leg = 'full' AND k.due_at = w.due_at)"""
"""Of the subjects of partial backups those that a full one has at the same instant, made now or by a tick before."""
_WAITING = """
SELECT w.rule_id, w.strategy_rule_id, w.client_id, w.leg, q.id
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS w (rule_id, strategy_rule_id, client_id, leg)
CROSS JOIN LATERAL (
    SELECT t.id FROM task_queue t
    WHERE t.client_id = w.client_id AND t.status = 'New' AND t.attempt = 0 AND t.task_type = $5 AND t.backup_type = w.leg
        AND t.rule_id IS NOT DISTINCT FROM w.rule_id AND t.strategy_rule_id IS NOT DISTINCT FROM w.strategy_rule_id
    ORDER BY t.id LIMIT 1) q"""
"""Backups that wait since an earlier launch and were never begun."""
_OLD = "DELETE FROM schedule_ticks WHERE ctid IN (SELECT ctid FROM schedule_ticks WHERE due_at < now() - $1::interval LIMIT $2)"
KEPT = dt.timedelta(days=31)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick did, and when the next is due."""

    launches: int = 0
    tasks: int = 0
    wait_seconds: float = LOOK_SECONDS
    """0: at once."""


class _Plan(NamedTuple):
    """What becomes of a launch row: launched at an instant or not, and due next."""

    id: int
    origin: Origin
    at: dt.datetime | None
    after: dt.datetime
    due: dt.datetime | None


async def tick(
    database: Database,
    epoch: int,
    zone: dt.tzinfo,
    *,
    now: dt.datetime | None = None,
    settled: bool = True,
    limit: int = LAUNCHES,
) -> Tick:
    """Launch what is due by the catalogue's clock, or by `now`; Fenced when another server leads.

    Of several missed launches of one schedule the latest is made. `settled`: whether agents had the time to connect.
    Nothing is launched in the service mode; what was due then has been missed when it ends.
    """
    async with database.transaction() as db:
        await db.execute(_FRESH_PLANS)
        await check_epoch(db, epoch)
        if await configuration.enabled(db, "service_mode"):
            return Tick()
        always = await configuration.value(db, "create_new_task_if_client_offline") == CREATE
        if not (always or settled):
            return Tick(wait_seconds=1.0)
        now = await _begin(db, zone, now)
        rows = await db.fetch(_DUE, now, limit)
        plans = await _plans(db, rows, now, zone)
        backups = await _launched(db, plans, now, epoch)
        made = await _make(db, backups, always=always)
        await db.execute(_ADVANCED, [p.id for p in plans], [p.after for p in plans], [p.due for p in plans])
        wait = 0.0 if len(rows) == limit else await _wait(db, now)
        return Tick(launches=sum(plan.at is not None for plan in plans), tasks=made, wait_seconds=wait)


async def _begin(db: Connection, zone: dt.tzinfo, now: dt.datetime | None) -> dt.datetime:
    """The instant of the tick. Another zone, or a clock that was set back, has every next launch found anew."""
    state = await db.fetchrow(_STATE, now)
    found: dt.datetime = state["now"]
    if state["zone"] != str(zone):
        await db.execute(_ANOTHER_ZONE, found)
    elif state["ticked_at"] > found + CLOCK_BACK:
        log.warning("the clock was set back from %s to %s: launches are found anew", state["ticked_at"], found)
        await db.execute(_CLOCK_BACK, found)
    await db.execute(_TICKED, str(zone), found)
    return found


async def _wait(db: Connection, now: dt.datetime) -> float:
    seconds: float | None = await db.fetchval(_NEXT, now)
    return LOOK_SECONDS if seconds is None else min(max(seconds, LEAST_SECONDS), LOOK_SECONDS)


async def _plans(db: Connection, rows: Sequence[Any], now: dt.datetime, zone: dt.tzinfo) -> list[_Plan]:
    known = await schedules.load(db, [_origin(row) for row in rows])
    return [_plan(row, known.get(_origin(row)), now, zone) for row in rows]


def _origin(row: Any) -> Origin:
    return Origin(row["origin"], row["origin_id"], row["leg"])


def _plan(row: Any, found: schedule.Schedule | None, now: dt.datetime, zone: dt.tzinfo) -> _Plan:
    origin, after = _origin(row), row["after_at"]
    if found is None:
        return _Plan(row["id"], origin, None, after, None)
    try:
        at = schedule.last(found, after, now, zone)
        return _Plan(row["id"], origin, at, at or after, schedule.first(found, at or max(after, now), zone))
    except Exception:
        # What the API takes can be read. One row that cannot be must not stop all others.
        log.exception("the schedule of %s %d (%s) cannot be read; it launches nothing until it is edited", *origin)
        return _Plan(row["id"], origin, None, after, None)


async def _launched(db: Connection, plans: Sequence[_Plan], now: dt.datetime, epoch: int) -> list[Backup]:
    """Note the launches, and what they back up; one that was noted before is not made again."""
    due = [(plan.origin, plan.at) for plan in plans if plan.at is not None]
    if not due:
        return []
    rows = await db.fetch(
        _LAUNCHED, [o.kind for o, _at in due], [o.id for o, _at in due], [o.leg for o, _at in due],
        [at for _o, at in due], now, epoch,
    )  # fmt: skip
    launches = [(_origin(row), row["due_at"]) for row in rows]
    found = await schedules.targets(db, [origin for origin, _at in launches])
    return schedules.in_order(Backup(origin, at, row) for origin, at in launches for row in found[origin])


async def _make(db: Connection, backups: Sequence[Backup], *, always: bool) -> int:
    """Queue the tasks of these backups, and say why others have none; how many tasks."""
    fulls = await _fulls(db, [one for one in backups if one.origin.leg != schedules.FULL])
    waiting = await _waiting(db, [one for one in backups if not one.row["online"]]) if always else {}
    wanted, skipped = list[Backup](), list[tuple[Backup, str]]()
    for one in backups:
        if schedules.covered(one, fulls):
            skipped.append((one, schedule_notes.COVERED))
        elif not (always or one.row["online"]):
            skipped.append((one, schedule_notes.OFFLINE.format(client=one.row["client"])))
        elif not one.row["online"] and (task := waiting.get(_wish(one))):
            skipped.append((one, schedule_notes.WAITING.format(task=task, client=one.row["client"])))
        else:
            wanted.append(one)
    for start in range(0, len(wanted), TASKS_AT_ONCE):
        part = wanted[start : start + TASKS_AT_ONCE]
        ids = await PostgresQueue(db).add_many([task_of(one) for one in part])
        await schedule_notes.executed(db, part, ids)
    await schedule_notes.skipped(db, skipped)
    return len(wanted)


def _wish(one: Backup) -> tuple[int | None, int | None, int, str]:
    """Rule, rule of a strategy, client, leg: what two launches of one schedule have in common."""
    rule_id = None if one.origin.kind == schedules.STRATEGY else one.origin.id
    return rule_id, one.row["strategy_rule_id"], one.row["client_id"], one.origin.leg


async def _waiting(db: Connection, backups: Sequence[Backup]) -> dict[Any, int]:
    """The tasks that earlier launches of these have left waiting for their clients."""
    if not backups:
        return {}
    columns = [list(column) for column in zip(*map(_wish, backups), strict=True)]
    rows = await db.fetch(_WAITING, *columns, TaskType.BACKUP.label)
    return {(row["rule_id"], row["strategy_rule_id"], row["client_id"], row["leg"]): row["id"] for row in rows}


async def _fulls(db: Connection, partial: Sequence[Backup]) -> frozenset[Any]:
    """The subjects of full backups that are due together with these."""
    if not partial:
        return frozenset()
    columns = [list(column) for column in zip(*(one.subject for one in partial), strict=True)]
    return frozenset(tuple(row) for row in await db.fetch(_FULLS, *columns))


def task_of(backup: Backup, created_by: str = "") -> NewTask:
    """The task of a backup; without `created_by` the system's own."""
    row, strategy = backup.row, backup.origin.kind == schedules.STRATEGY
    return NewTask(
        task_type=TaskType.BACKUP.label,
        executor="client",
        priority=row["priority"],
        client_id=row["client_id"],
        media_server_id=row["media_server_id"],
        pool_id=row["pool_id"],
        pool_group_id=row["pool_group_id"],
        resource_type=row["resource_type"],
        resource=row["resource"],
        backup_type=backup.origin.leg,
        crypto=row["crypto"],
        storage_duration=row["storage_duration"],
        parameters=schedules.parameters_of(row),
        created_by=created_by,
        rule_id=None if strategy else backup.origin.id,
        strategy_id=backup.origin.id if strategy else None,
        strategy_rule_id=row["strategy_rule_id"],
        reservations=tasks.backup_reservations(row["client_id"], row["resource_type"], row["resource"], row["pool_id"]),
    )


async def forget_old(db: Connection, limit: int) -> int:
    """Remove the rows of launches that are older than a month; how many."""
    tag: str = await db.execute(_OLD, KEPT, limit)
    return int(tag.rpartition(" ")[2])
