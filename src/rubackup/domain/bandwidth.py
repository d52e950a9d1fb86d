"""Limits of bandwidth within the day: which of them hold at a time, and what several of them come to.

Administrators say KiB (1,024 bytes) per second; what flows is counted in bytes per second. 0 says nothing of
its direction: such a limit limits nothing, and takes nothing from others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

KIB = 1024


class Choice(Enum):
    """Which of several limits that hold at a time counts."""

    MINIMUM = "minimum"
    MAXIMUM = "maximum"


class Limit(NamedTuple):
    """A row of client_bandwidth or rule_bandwidth: KiB per second, within local times of day."""

    backup: int
    restore: int
    start: dt.time
    end: dt.time


class Rates(NamedTuple):
    """Bytes per second that backups and restores may take; 0: as many as they can."""

    backup: int = 0
    restore: int = 0


FREE = Rates()
"""No limit holds."""


def holds(limit: Limit, now: dt.time) -> bool:
    """Whether a time of day lies in the limit's window: its start does, its end does not.

    A window that ends when it starts is the whole day, one that ends before it starts spans midnight.
    """
    if limit.start == limit.end:
        return True
    if limit.start < limit.end:
        return limit.start <= now < limit.end
    return now >= limit.start or now < limit.end


def in_force(limits: Iterable[Limit], now: dt.time, choice: Choice) -> Rates:
    """What limits that may overlap come to at a time of day."""
    held = [limit for limit in limits if holds(limit, now)]
    pick = min if choice is Choice.MINIMUM else max
    return Rates(*(pick((rate for rate in way if rate), default=0) * KIB for way in _ways(held)))


def _ways(limits: list[Limit]) -> tuple[list[int], list[int]]:
    return [limit.backup for limit in limits], [limit.restore for limit in limits]
