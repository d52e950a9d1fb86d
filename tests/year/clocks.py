"""The clock on the wall: at which instant each local minute counts. Reads no code of the product.

It watches the clock minute by minute. What the clock leaps over counts when it leaps; what it shows twice counts the first
time.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

MINUTE = dt.timedelta(minutes=1)


Walls = dict[dt.date, dict[dt.time, dt.datetime]]


def walls(start: dt.datetime, end: dt.datetime, zone: ZoneInfo) -> Walls:
    """For each local minute of the span, by its day, its instant in UTC."""
    found: Walls = {}
    moment = start
    shown = moment.astimezone(zone).replace(tzinfo=None) - MINUTE
    while moment < end:
        now = moment.astimezone(zone).replace(tzinfo=None)
        while shown < now:
            shown += MINUTE
            found.setdefault(shown.date(), {}).setdefault(shown.time(), moment)
        moment += MINUTE
    return found
