"""What must be launched, told by a model that reads no code of the product.

A schedule is given in numbers, beside the text that the product gets; the model never reads that text.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from year.clocks import Walls

Numbers = frozenset[int] | None
"""None: any."""
FULL, INCREMENTAL, DIFFERENTIAL = "full", "incremental", "differential"
Task = tuple[str, int, int, int, str, str]
"""rule or strategy, its id, the strategy's rule or 0, client, backup type, resource."""
Launch = tuple[str, int, str, dt.datetime, dt.datetime]
"""rule or strategy, its id, backup type, when it was due, when it was launched."""


@dataclass(frozen=True)
class When:
    """A schedule in numbers: fields of the local time, or months and elapsed time from an origin."""

    minutes: Numbers = None
    hours: Numbers = None
    days: Numbers = None
    months: Numbers = None
    weekdays: Numbers = None
    """Sunday is 0."""
    every_months: int = 0
    every: dt.timedelta = dt.timedelta()
    start: dt.datetime | None = None
    end: dt.datetime | None = None

    def launches(self, created: dt.datetime, since: dt.datetime, until: dt.datetime, walls: Walls) -> list[dt.datetime]:
        """Every instant after `since` and up to `until`, in order."""
        periodic = self.every_months or self.every
        found = self._periodic(self.start or created, until) if periodic else self._local(walls)
        return sorted({one for one in found if since < one <= until and self._valid(one)})

    def _valid(self, at: dt.datetime) -> bool:
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)

    def _periodic(self, origin: dt.datetime, until: dt.datetime) -> Iterator[dt.datetime]:
        at, number = origin, 0
        while at <= until:
            yield at
            number += 1
            at = _months_later(origin, number * self.every_months) + number * self.every

    def _local(self, walls: Walls) -> Iterator[dt.datetime]:
        hours = range(24) if self.hours is None else self.hours
        minutes = range(60) if self.minutes is None else self.minutes
        times = [dt.time(hour, minute) for hour in hours for minute in minutes]
        for day, clock in walls.items():
            if self._names(day):
                yield from (clock[time] for time in times if time in clock)

    def _names(self, day: dt.date) -> bool:
        if not _in(day.month, self.months):
            return False
        by_day, by_weekday = _in(day.day, self.days), _in(day.isoweekday() % 7, self.weekdays)
        if self.days is not None and self.weekdays is not None:
            return by_day or by_weekday
        return by_day and by_weekday


def _in(number: int, numbers: Numbers) -> bool:
    return numbers is None or number in numbers


def _months_later(origin: dt.datetime, months: int) -> dt.datetime:
    total = origin.month - 1 + months
    year, month, day = origin.year + total // 12, total % 12 + 1, origin.day
    while True:
        try:
            return origin.replace(year=year, month=month, day=day)
        except ValueError:  # this month is shorter
            day -= 1


@dataclass
class Timeline:
    """The launches of one schedule, and how many of them are over."""

    launches: list[dt.datetime]
    over: int = 0

    def latest(self, now: dt.datetime) -> dt.datetime | None:
        """Of those that have come since the last look the latest."""
        before, self.over = self.over, bisect.bisect_right(self.launches, now)
        return self.launches[self.over - 1] if self.over > before else None


@dataclass
class Rule:
    """A rule: of a client, or of a client group."""

    client: int
    group: int
    resource: str
    leg: str
    timeline: Timeline | None = None
    """None: it does not run."""


@dataclass
class Strategy:
    """A strategy: a timeline for each leg that is enabled, and what its rules back up."""

    legs: dict[str, Timeline] = field(default_factory=dict)
    members: dict[int, tuple[int, str]] = field(default_factory=dict)
    """By the id of its rule: client and resource."""


@dataclass
class Model:
    """The installation as the scheduler must see it."""

    rules: dict[int, Rule] = field(default_factory=dict)
    strategies: dict[int, Strategy] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)
    """By client."""
    online: set[int] = field(default_factory=set)
    always: bool = True
    """Whether offline clients get tasks."""
    fulls: dict[dt.datetime, set[tuple[str, int]]] = field(default_factory=dict)
    """What made full backups, by the instant at which they were due."""
    skipped: Counter[str] = field(default_factory=Counter)

    def tick(self, now: dt.datetime) -> tuple[list[Launch], Counter[Task]]:
        """What a tick at this instant launches, and which tasks that makes."""
        due = list(self._due(now))
        for kind, number, leg, at in due:
            if leg == FULL:
                self.fulls.setdefault(at, set()).add((kind, number))
        tasks: Counter[Task] = Counter()
        for kind, number, leg, at in due:
            for member, client, resource in self._targets(kind, number):
                if leg != FULL and (client, resource) in self._full_at(at):
                    self.skipped["covered"] += 1
                elif not self.always and client not in self.online:
                    self.skipped["offline"] += 1
                else:
                    tasks[kind, number, member, client, leg, resource] += 1
        return [(*one, now) for one in due], tasks

    def _due(self, now: dt.datetime) -> Iterator[tuple[str, int, str, dt.datetime]]:
        for number, rule in self.rules.items():
            if rule.timeline and (at := rule.timeline.latest(now)):
                yield "rule", number, rule.leg, at
        for number, strategy in self.strategies.items():
            for leg, timeline in strategy.legs.items():
                if at := timeline.latest(now):
                    yield "strategy", number, leg, at

    def _targets(self, kind: str, number: int) -> Iterator[tuple[int, int, str]]:
        if kind == "strategy":
            strategy = self.strategies.get(number, Strategy())
            yield from ((member, client, resource) for member, (client, resource) in strategy.members.items())
        elif rule := self.rules.get(number):
            clients = (
                [rule.client] if rule.client else [one for one, group in self.groups.items() if group == rule.group]
            )
            yield from ((0, client, rule.resource) for client in clients)

    def _full_at(self, at: dt.datetime) -> set[tuple[int, str]]:
        return {
            (client, resource)
            for kind, number in self.fulls.get(at, ())
            for _member, client, resource in self._targets(kind, number)
        }
