"""Limits of bandwidth: windows of the day, and what several limits come to."""

from __future__ import annotations

import datetime as dt

import pytest

from rubackup.domain.bandwidth import FREE, Choice, Limit, Rates, holds, in_force


def at(text: str) -> dt.time:
    """A time of day."""
    return dt.time.fromisoformat(text)


def limit(backup: int, restore: int = 0, start: str = "00:00:00", end: str = "00:00:00") -> Limit:
    """A limit, all day unless told otherwise."""
    return Limit(backup, restore, at(start), at(end))


@pytest.mark.parametrize(
    ("start", "end", "now", "held"),
    [
        ("08:00:00", "18:00:00", "07:59:59.999999", False),
        ("08:00:00", "18:00:00", "08:00:00", True),
        ("08:00:00", "18:00:00", "17:59:59.999999", True),
        ("08:00:00", "18:00:00", "18:00:00", False),
        ("22:00:00", "06:00:00", "21:59:59", False),
        ("22:00:00", "06:00:00", "22:00:00", True),
        ("22:00:00", "06:00:00", "00:00:00", True),
        ("22:00:00", "06:00:00", "05:59:59", True),
        ("22:00:00", "06:00:00", "06:00:00", False),
        ("14:33:31", "14:33:31", "03:00:00", True),
        ("00:00:00", "00:00:00", "23:59:59", True),
    ],
)
def test_a_window_begins_with_its_start_and_is_over_at_its_end(start: str, end: str, now: str, *, held: bool) -> None:
    """Equal ends are the whole day, an end before the start is on the next day."""
    assert holds(limit(1, start=start, end=end), at(now)) is held


def test_of_several_limits_the_least_or_the_greatest_counts() -> None:
    """Each direction for itself, in bytes a second; what holds at another time does not count."""
    limits = [limit(100, 10), limit(200, 5), limit(1, 1, "01:00:00", "02:00:00")]
    assert in_force(limits, at("12:00:00"), Choice.MINIMUM) == Rates(100 * 1024, 5 * 1024)
    assert in_force(limits, at("12:00:00"), Choice.MAXIMUM) == Rates(200 * 1024, 10 * 1024)
    assert in_force(limits, at("01:30:00"), Choice.MINIMUM) == Rates(1024, 1024)


def test_nought_says_nothing_of_its_direction() -> None:
    """It neither limits nor lifts the limit of another row."""
    assert in_force([limit(0, 7), limit(9, 0)], at("12:00:00"), Choice.MAXIMUM) == Rates(9 * 1024, 7 * 1024)
    assert in_force([limit(0, 0)], at("12:00:00"), Choice.MINIMUM) == FREE
    assert in_force([], at("12:00:00"), Choice.MINIMUM) == FREE
