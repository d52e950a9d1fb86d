"""Instants as callers write them: ISO 8601; one without a zone is the server's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 8999
"""Years at the ends of what clocks and calendars can count leave no room for zones and spans of time; the last instant of year 9999 is
`infinity` for the database's driver."""
_PLUS_LOST = re.compile(r"([0-9])[ ]([0-9][0-9]:?[0-9][0-9])$")


def parse_instant(text: str, zone: tzinfo | None = None) -> datetime | None:
    """The aware instant in UTC, or None when the text is none.

    `zone` None is the host's local zone. A `+` that a query decoded into a blank is put back.
    """
    candidate = text.strip()
    if "T" in candidate:
        candidate = _PLUS_LOST.sub(r"\1+\2", candidate)
    if len(candidate) < 10:
        return None
    try:
        instant = datetime.fromisoformat(candidate)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone) if zone is not None else instant.astimezone()
        return instant.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def parse_given(text: str, zone: tzinfo | None = None) -> datetime | None:
    """As `parse_instant`, of what is to be kept or reckoned with: None, too, before 1970 and after 8999."""
    found = parse_instant(text, zone)
    return found if found is not None and FIRST_YEAR <= found.year <= LAST_YEAR else None
