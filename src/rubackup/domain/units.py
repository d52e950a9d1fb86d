"""Intervals and sizes as the guide writes them."""

from __future__ import annotations

import re
from datetime import timedelta

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
_PART = re.compile(r"(\d{1,6})\s*([a-z]+)")


def parse_interval(text: str, field: str) -> str:
    """A PostgreSQL interval such as `1 day` or `1 Years`, normalised to `1 days` for the catalogue.

    Raises Invalid that names `field` for anything else, negative and zero intervals too.
    """
    rest = text.strip().lower()
    parts: list[str] = []
    total = 0
    while rest:
        match = _PART.match(rest)
        unit = _UNITS.get(match[2]) or _UNITS.get(match[2].removesuffix("s")) if match else None
        if not match or not unit:
            break
        parts.append(f"{int(match[1])} {unit}")
        total += int(match[1])
        rest = rest[match.end() :].lstrip(" ,")
    if rest or not total:
        raise Invalid(fields={field: "must be an interval such as '30 min', '1 day' or '1 Years'."})
    return " ".join(parts)


def format_interval(value: timedelta) -> str:
    """A time span without months as `N days HH:MM:SS`, parts that are zero left out."""
    seconds = int(value.total_seconds())
    days, seconds = divmod(seconds, 86_400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if not days:
        return clock
    return f"{days} days" if clock == "00:00:00" else f"{days} days {clock}"
