"""When a schedule launches: cron fields in local time, or a period in elapsed time, within a validity.

Pure: the zone and every instant are given. The rules of both clock changes stand in `docs/design/scheduler.md`;
what a cron field means is cronsim's.
"""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from cronsim import CronSim

_TICK = dt.timedelta(microseconds=1)
_MINUTE = dt.timedelta(minutes=1)
_SECOND = dt.timedelta(seconds=1)
_MONTH_SECONDS = 31 * 86_400
"""No month is longer, so that a guess by it never lies beyond the launch that is looked for."""


@dataclass(frozen=True)
class Period:
    """An interval between launches: calendar months in UTC, then seconds."""

    months: int
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a rule or a leg of a strategy says on when it launches.

    `period`, where there is one, wins over `cron` (five fields) and counts from `start`, without that from `created`.
    Launches are after `since`, from `start` on and before `end`.
    """

    cron: str
    period: Period | None
    created: dt.datetime
    since: dt.datetime
    start: dt.datetime | None = None
    end: dt.datetime | None = None


def first(schedule: Schedule, after: dt.datetime, zone: dt.tzinfo) -> dt.datetime | None:
    """The first launch later than `after`, in UTC; None when there is none."""
    return next(_launches(schedule, after, zone), None)


def last(schedule: Schedule, after: dt.datetime, until: dt.datetime, zone: dt.tzinfo) -> dt.datetime | None:
    """The latest launch that is later than `after` and not later than `until`; None when there is none."""
    after = _from(schedule, after)
    if schedule.end is not None:
        until = min(until, schedule.end - _TICK)
    found = _last_period(schedule, until) if schedule.period else _last_cron(schedule.cron, until, zone)
    return None if found is None or found <= after else found


def due(schedule: Schedule, after: dt.datetime, until: dt.datetime, zone: dt.tzinfo) -> Iterator[dt.datetime]:
    """Every launch that is later than `after` and not later than `until`, in order."""
    return itertools.takewhile(lambda found: found <= until, _launches(schedule, after, zone))


def _launches(schedule: Schedule, after: dt.datetime, zone: dt.tzinfo) -> Iterator[dt.datetime]:
    after = _from(schedule, after)
    found = _by_period(schedule, after) if schedule.period else _by_cron(schedule.cron, after, zone)
    end = schedule.end
    return found if end is None else itertools.takewhile(lambda at: at < end, found)


def _from(schedule: Schedule, after: dt.datetime) -> dt.datetime:
    """The instant that launches come after: `start` itself may be one."""
    after = max(after, schedule.since)
    return after if schedule.start is None else max(after, schedule.start - _TICK)


# --- cron fields: local time ---


def instant(wall: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The instant of a local time: the first of two, and the moment of the change for one that is left out."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)
    if _wall(early, zone) == wall:
        return early
    before = wall.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    return _change_between(min(before, early), max(before, early), zone)


def _change_between(low: dt.datetime, high: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The first instant after `low` with the offset that holds at `high`; the offset changes once between them."""
    offset, seconds = high.astimezone(zone).utcoffset(), int((high - low).total_seconds())
    least, most = 0, seconds
    while most - least > 1:
        middle = (least + most) // 2
        if (low + middle * _SECOND).astimezone(zone).utcoffset() == offset:
            most = middle
        else:
            least = middle
    return low + most * _SECOND


def _wall(at: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _by_cron(cron: str, after: dt.datetime, zone: dt.tzinfo) -> Iterator[dt.datetime]:
    try:
        # Local times run on without the changes here: of those that come twice the second has no launch, and those that
        # are left out are all the same instant.
        for wall in CronSim(cron, _wall(after, zone).replace(second=0, microsecond=0)):
            if (found := instant(wall, zone)) > after:
                yield found
                after = found
    except OverflowError:  # beyond the last year that there is
        return


def _last_cron(cron: str, until: dt.datetime, zone: dt.tzinfo) -> dt.datetime | None:
    local = until.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    if local.fold:  # all local times of the hour that comes twice have had their first instant already
        wall += _offset(local.replace(fold=0)) - _offset(local)
    try:
        for one in CronSim(cron, wall.replace(second=0, microsecond=0) + _MINUTE, reverse=True):
            if (found := instant(one, zone)) <= until:
                return found
    except OverflowError:
        return None
    return None


def _offset(local: dt.datetime) -> dt.timedelta:
    return local.utcoffset() or dt.timedelta()


# --- periods: elapsed time ---


def _by_period(schedule: Schedule, after: dt.datetime) -> Iterator[dt.datetime]:
    number = _number_before(schedule, after)
    while (found := _launch(schedule, number)) is not None:
        if found > after:
            yield found
        number += 1


def _last_period(schedule: Schedule, until: dt.datetime) -> dt.datetime | None:
    number, found = _number_before(schedule, until), None
    while (launch := _launch(schedule, number)) is not None and launch <= until:
        number, found = number + 1, launch
    return found


def _number_before(schedule: Schedule, at: dt.datetime) -> int:
    """A number whose launch is not later than `at`, or 0."""
    assert schedule.period is not None
    origin = schedule.start or schedule.created
    period = schedule.period.months * _MONTH_SECONDS + schedule.period.seconds
    return max(0, (at - origin) // dt.timedelta(seconds=period))


def _launch(schedule: Schedule, number: int) -> dt.datetime | None:
    """The launch with this number, from 0; None beyond the last year that there is."""
    assert schedule.period is not None
    origin = (schedule.start or schedule.created).astimezone(dt.UTC)
    months = origin.year * 12 + origin.month - 1 + number * schedule.period.months
    year, month = months // 12, months % 12 + 1
    if year > dt.MAXYEAR:
        return None
    day = min(origin.day, calendar.monthrange(year, month)[1])
    try:
        return origin.replace(year=year, month=month, day=day) + number * schedule.period.seconds * _SECOND
    except OverflowError:
        return None
