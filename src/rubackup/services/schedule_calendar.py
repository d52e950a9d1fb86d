"""The calendar of the global schedule and of strategies: which backups a span of time would bring. A dry run.

It reads and reckons with the scheduler's own code (`domain.schedule`, `services.schedules`). Design:
`docs/design/scheduler.md`, The calendar.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection
from rubackup.domain import schedule
from rubackup.domain.errors import Invalid
from rubackup.domain.permissions import Principal
from rubackup.services import rule_log, schedule_notes, schedules, scopes
from rubackup.services.fields import Row
from rubackup.services.schedules import FULL, STRATEGY, Backup, Origin

MOST_DAYS = 31
MOST_BACKUPS = 20_000
"""Of one calendar: about two seconds of work."""
FIRST_DAY, LAST_DAY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
_ZONE = "SELECT zone, clock_timestamp() AS now FROM schedule_state"
_RULES = f"""
SELECT l.origin, l.origin_id, l.leg FROM schedule_launches l JOIN global_schedule s ON s.id = l.origin_id {rule_log.OWNER}
WHERE l.origin = 'rule' AND ({{limit}})"""  # noqa: S608 - constants of the code
_STRATEGIES = """
SELECT l.origin, l.origin_id, l.leg FROM schedule_launches l JOIN backup_strategies b ON b.id = l.origin_id
WHERE l.origin = 'strategy' AND EXISTS (
    SELECT 1 FROM strategy_rules r JOIN clients c ON c.id = r.client_id WHERE r.strategy_id = b.id AND ({limit}))"""
_FULLS = """
SELECT l.origin, l.origin_id, l.leg FROM global_schedule s
JOIN schedule_launches l ON l.origin = 'rule' AND l.origin_id = s.id AND l.leg = 'full'
WHERE s.client_id = ANY ($1::bigint[])
    OR s.client_group_id IN (SELECT c.group_id FROM clients c WHERE c.id = ANY ($1::bigint[]))
UNION
SELECT l.origin, l.origin_id, l.leg FROM strategy_rules r
JOIN schedule_launches l ON l.origin = 'strategy' AND l.origin_id = r.strategy_id AND l.leg = 'full'
WHERE r.client_id = ANY ($1::bigint[])"""


class Span(msgspec.Struct, kw_only=True):
    """Which launches are wanted, and which page of them."""

    start: Annotated[dt.datetime | None, Meta(description="Launches from this instant on; left out: from now on.")] = (
        msgspec.field(default=None, name="from")
    )
    end: Annotated[
        dt.datetime | None,
        Meta(description=f"Launches before this instant, at most {MOST_DAYS} days later; left out: a day later."),
    ] = msgspec.field(default=None, name="to")
    page: Annotated[int, Meta(description="Page, from 1.", ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(description="Launches a page.", ge=1, le=1000)] = 50


class LaunchRow(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that a rule or a strategy would make."""

    at: Annotated[dt.datetime, Meta(description="When it is launched, in UTC.")]
    local: Annotated[dt.datetime, Meta(description="The same instant in the zone of the schedule.")]
    zone: Annotated[str, Meta(description="That zone: an IANA name.")]
    rule: Annotated[str | None, Meta(description="Name of the rule; null: it is a strategy's.")]
    rule_ref: Annotated[int | None, Meta(description="Id of the rule of the global schedule.")]
    strategy: Annotated[str | None, Meta(description="Name of the strategy; null: it is a rule's.")]
    strategy_ref: Annotated[int | None, Meta(description="Id of the strategy.")]
    strategy_rule_ref: Annotated[int | None, Meta(description="Id of the strategy's rule.")]
    client: Annotated[str, Meta(description="The client as `hostname (hwid)`.")]
    client_ref: Annotated[int, Meta(description="Id of the client.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What is backed up.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    left_out: Annotated[str, Meta(description="Why there will be no task; empty: there will be one.")]


async def show(
    db: Connection, principal: Principal, span: Span, fallback: dt.tzinfo | None
) -> tuple[list[LaunchRow], int]:
    """The page of the calendar that is asked for, in order of instants, and how many there are in all.

    Only what the caller may see of schedules that run now; a launch that lies before the rule's last edit is none.
    `fallback` is the zone as long as no server has led yet. Invalid names `from` and `to`.
    """
    state = await db.fetchrow(_ZONE)
    start, end = _checked(span, state["now"])
    zone = _zone(state["zone"], fallback)
    origins, limits = await _in_scope(db, principal)
    targets = {
        origin: [row for row in rows if row["visible"]]
        for origin, rows in (await schedules.targets(db, origins, *limits)).items()
    }
    others = await _other_fulls(db, targets)
    known = await schedules.load(db, [*targets, *others])
    backups, fulls = await asyncio.to_thread(_reckon, known, targets, others, (start, end), zone)
    shown = schedules.in_order(backups)[(span.page - 1) * span.limit : span.page * span.limit]
    return [_row(one, zone, left_out=schedules.covered(one, fulls)) for one in shown], len(backups)


def _checked(span: Span, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    fields = {
        name: f"must lie between {FIRST_DAY.year} and {LAST_DAY.year}."
        for name, at in (("from", span.start), ("to", span.end))
        if at is not None and not FIRST_DAY <= at <= LAST_DAY
    }
    if fields:
        raise Invalid(fields=fields)
    start = span.start or now
    end = span.end or start + dt.timedelta(days=1)
    if end <= start:
        raise Invalid(fields={"to": "must be later than from."})
    if end - start > dt.timedelta(days=MOST_DAYS):
        raise Invalid(fields={"to": f"must be at most {MOST_DAYS} days later than from."})
    return start, end


def _zone(name: str, fallback: dt.tzinfo | None) -> dt.tzinfo:
    """The zone that the leading server reckons with, as far as this host knows it."""
    try:
        return ZoneInfo(name) if name else fallback or dt.UTC
    except (ZoneInfoNotFoundError, ValueError):
        return fallback or dt.UTC


async def _in_scope(db: Connection, principal: Principal) -> tuple[list[Origin], tuple[scopes.Limit, scopes.Limit]]:
    owner = scopes.clients(principal, "og.id")
    rules = scopes.clients(principal, "c.group_id")
    strategies = scopes.strategy_rules(principal, "b.id", "c.group_id")
    rows = [
        *await db.fetch(_RULES.format(limit=owner.numbered(1)), *owner.values),
        *await db.fetch(_STRATEGIES.format(limit=strategies.numbered(1)), *strategies.values),
    ]
    return [Origin(*row) for row in rows], (rules, strategies)


async def _other_fulls(db: Connection, targets: Mapping[Origin, Sequence[Row]]) -> dict[Origin, list[Row]]:
    """Full backups of the same clients that the caller may not see: they cover partial ones all the same."""
    clients = {row["client_id"] for origin, rows in targets.items() if origin.leg != FULL for row in rows}
    if not clients:
        return {}
    origins = [Origin(*row) for row in await db.fetch(_FULLS, list(clients))]
    return await schedules.targets(db, [origin for origin in origins if origin not in targets])


def _reckon(
    known: Mapping[Origin, schedule.Schedule],
    targets: Mapping[Origin, Sequence[Row]],
    others: Mapping[Origin, Sequence[Row]],
    span: tuple[dt.datetime, dt.datetime],
    zone: dt.tzinfo,
) -> tuple[list[Backup], set[object]]:
    """The backups that can be seen, and the subjects of all full ones; Invalid when there are too many."""
    backups: list[Backup] = []
    fulls: set[object] = set()
    for one in _all(known, {**targets, **others}, span, zone):
        if one.origin.leg == FULL:
            fulls.add(one.subject)
        if one.origin in targets:
            backups.append(one)
        if len(backups) > MOST_BACKUPS or len(fulls) > 2 * MOST_BACKUPS:
            raise Invalid(
                fields={"to": f"more than {MOST_BACKUPS} launches lie between from and to: name an earlier instant."}
            )
    return backups, fulls


def _all(
    known: Mapping[Origin, schedule.Schedule],
    targets: Mapping[Origin, Sequence[Row]],
    span: tuple[dt.datetime, dt.datetime],
    zone: dt.tzinfo,
) -> Iterator[Backup]:
    tick = dt.timedelta(microseconds=1)
    for origin, rows in targets.items():
        if rows and origin in known:
            for at in schedule.due(known[origin], span[0] - tick, span[1] - tick, zone):
                yield from (Backup(origin, at, row) for row in rows)


def _row(backup: Backup, zone: dt.tzinfo, *, left_out: bool) -> LaunchRow:
    row, origin = backup.row, backup.origin
    strategy = origin.kind == STRATEGY
    return LaunchRow(
        at=backup.at, local=backup.at.astimezone(zone), zone=str(zone),
        rule=None if strategy else row["name"], rule_ref=None if strategy else origin.id,
        strategy=row["name"] if strategy else None, strategy_ref=origin.id if strategy else None,
        strategy_rule_ref=row["strategy_rule_id"], client=row["client"], client_ref=row["client_id"],
        resource_type=row["resource_type"], resource=row["resource"], backup_type=origin.leg,
        left_out=schedule_notes.COVERED if left_out else "",
    )  # fmt: skip
