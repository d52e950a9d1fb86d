"""Schedules to choose from: what the product is told, as text, and what that means, in numbers."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from random import Random
from typing import Any

from year.model import When

Columns = dict[str, Any]
"""Of a rule; a strategy's have the prefix of a leg before the first six."""
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)

MINUTES = [("0", {0}), ("30", {30}), ("0,30", {0, 30}), ("*/30", {0, 30})]
HOURS = [
    ("1", {1}), ("2", {2}), ("2", {2}), ("2", {2}), ("3", {3}), ("0", {0}), ("23", {23}), ("1-3", {1, 2, 3}),
    ("*/12", {0, 12}), ("2,14", {2, 14}), ("1-23/11", {1, 12, 23}),
]  # fmt: skip
DAYS = [(None, None)] * 8 + [("1", {1}), ("1,15", {1, 15}), ("31", {31}), ("28-31", {28, 29, 30, 31})]
MONTHS = [(None, None)] * 9 + [("3,10", {3, 10}), ("*/2", {1, 3, 5, 7, 9, 11}), ("2", {2})]
WEEKDAYS = [(None, None)] * 6 + [("0", {0}), ("7", {0}), ("1-5", {1, 2, 3, 4, 5}), ("SAT,sun", {6, 0})]
PERIODS = [
    ("6 hours", 0, 6 * HOUR), ("1 day", 0, DAY), ("1 Week", 0, 7 * DAY), ("1 mons", 1, dt.timedelta()),
    ("1 day 12:00:00", 0, 36 * HOUR), ("1 month 2 days", 1, 2 * DAY),
]  # fmt: skip


def _numbers(found: set[int] | None) -> frozenset[int] | None:
    return None if found is None else frozenset(found)


def plan(toss: Random, now: dt.datetime) -> tuple[Columns, When]:
    """A schedule; its validity, when it has one, is around `now`."""
    if toss.random() < 0.1:
        text, months, every = toss.choice(PERIODS)
        start = now.replace(hour=0, minute=15, second=0, microsecond=0) + toss.randrange(24) * HOUR
        columns: Columns = {"periodic_launch": text, "min": None, "hour": None, "dom": None, "mon": None, "dow": None}
        when = When(every_months=months, every=every, start=start)
    else:
        pairs = [toss.choice(choices) for choices in (MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS)]
        columns = dict(zip(("min", "hour", "dom", "mon", "dow"), (text for text, _numbers in pairs), strict=True))
        columns["periodic_launch"] = None
        when = When(*(_numbers(found) for _text, found in pairs))
        if toss.random() < 0.1:
            when = replace(when, start=now + toss.randrange(1, 20) * DAY)
    if toss.random() < 0.1:
        when = replace(when, end=(when.start or now) + toss.randrange(5, 200) * DAY)
    return columns | {"validity_start_period": when.start, "validity_end_period": when.end}, when
