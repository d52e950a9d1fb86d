"""Intervals and sizes as the guide writes them."""

from __future__ import annotations

import re

from rubackup.domain.errors import Invalid

_UNITS = {
    "second": "seconds", "sec": "seconds", "s": "seconds",
    "minute": "minutes", "min": "minutes", "m": "minutes",
    "hour": "hours", "h": "hours",
    "day": "days", "d": "days",
    "week": "weeks", "w": "weeks",
    "month": "months", "mon": "months",
    "year": "years", "yr": "years", "y": "years",
}  # fmt: skip
_PART = re.compile(r"([0-9]{1,6})\s*([a-z]+)")
_CLOCK = re.compile(r"([0-9]{1,6}):([0-5][0-9]):([0-5][0-9])")
_SECONDS = {
    "seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 7 * 86_400, "months": 30 * 86_400,
    "years": 365 * 86_400,
}  # fmt: skip
_MONTHS = {"months": 1, "years": 12}
MAX_YEARS = 1000
"""Longer intervals are refused: an instant that far from now has no calendar date in the catalogue."""


def parse_interval(text: str, field: str) -> str:
    """A PostgreSQL interval such as `1 day` or `1 Years`, normalised to `1 days` for the catalogue.

    What PostgreSQL prints is taken back, a clock at the end (`1 day 02:30:00`) too. What is given twice is added
    up (`1 day 2 days` is `3 days`): PostgreSQL refuses a unit that is repeated.
    Raises Invalid that names `field` for anything else: negative, zero and above 1,000 years, too.
    """
    parts = _interval_parts(text.strip().lower())
    total = sum(number * _SECONDS[unit] for number, unit in parts)
    if not 0 < total <= MAX_YEARS * _SECONDS["years"]:
        raise Invalid(fields={field: "must be an interval such as '30 min', '1 day' or '1 Years'."})
    sums: dict[str, int] = {}
    for number, unit in parts:
        sums[unit] = sums.get(unit, 0) + number
    return " ".join(f"{number} {unit}" for unit, number in sums.items())


def months_and_seconds(text: str) -> tuple[int, int]:
    """An interval that `parse_interval` takes, as calendar months and seconds; (0, 0) for anything else."""
    sums = {"months": 0, "seconds": 0}
    for number, unit in _interval_parts(text.strip().lower()):
        if unit in _MONTHS:
            sums["months"] += number * _MONTHS[unit]
        else:
            sums["seconds"] += number * _SECONDS[unit]
    return sums["months"], sums["seconds"]


def _interval_parts(rest: str) -> list[tuple[int, str]]:
    """Numbers with their units; none when the text is no interval."""
    parts: list[tuple[int, str]] = []
    while rest:
        if clock := _CLOCK.fullmatch(rest):
            return [*parts, *zip(map(int, clock.groups()), ("hours", "minutes", "seconds"), strict=True)]
        match = _PART.match(rest)
        unit = _UNITS.get(match[2]) or _UNITS.get(match[2].removesuffix("s")) if match else None
        if not match or not unit:
            return []
        parts.append((int(match[1]), unit))
        rest = rest[match.end() :].lstrip(" ,")
    return parts
