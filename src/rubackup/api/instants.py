"""Instants as callers write them: ISO 8601; one without a zone is the server's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

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
