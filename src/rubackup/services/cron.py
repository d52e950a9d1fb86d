"""Cron fields of rules, strategies and reports, as the guide writes them; what they mean is cronsim's.

A field is an integer, null or `"*"` (any), or a cron list, range or step as a string. The catalogue
holds text, null for any. Design section 5.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated

from cronsim import CronSim, CronSimError
from msgspec import Meta

from rubackup.services.fields import Problems

Field = int | str | None
FIELDS = {"min": (0, 59), "hour": (0, 23), "dom": (1, 31), "mon": (1, 12), "dow": (0, 7)}
"""The five fields in cron's order, with the numbers that each takes."""
_MEANING = {
    "min": "Minute", "hour": "Hour", "dom": "Day of the month", "mon": "Month", "dow": "Day of the week, Sunday 0 and 7"
}  # fmt: skip
_ALLOWED = re.compile(r"[0-9A-Za-z*,/#-]{1,100}")
_START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def meta(name: str) -> Meta:
    """The description of a field in a body or a row."""
    low, high = FIELDS[name]
    return Meta(
        description=f"{_MEANING[name]}: an integer from {low} to {high}, null or '*' for any, or a cron list, range or step."
    )


Min = Annotated[Field, meta("min")]
Hour = Annotated[Field, meta("hour")]
Dom = Annotated[Field, meta("dom")]
Mon = Annotated[Field, meta("mon")]
Dow = Annotated[Field, meta("dow")]


def expression(fields: Mapping[str, str | None]) -> str:
    """The five fields, as the catalogue holds them, as one cron expression."""
    return " ".join(fields.get(name) or "*" for name in FIELDS)


def check(problems: Problems, name: str, value: Field, field: str) -> str | None:
    """One field as the catalogue takes it: text, a number without leading zeros, None for any and after a note."""
    if value is None or value == "*":
        return None
    low, high = FIELDS[name]
    text = str(value).strip()
    if not _ALLOWED.fullmatch(text) or not _comes(expression({name: text})):
        problems.add(
            field, f"must be an integer from {low} to {high}, null, '*', or a cron list, range or step of these."
        )
        return None
    return str(int(text)) if text.isdigit() else text


def check_whole(problems: Problems, fields: Mapping[str, str | None], field: str) -> None:
    """Note under `field` when the fields, each good by itself, name no instant (the 31st of February)."""
    if not _comes(expression(fields)):
        problems.add(field, "names no instant together with the other cron fields.")


def _comes(text: str) -> bool:
    try:
        next(CronSim(text, _START))
    except (CronSimError, StopIteration):
        return False
    return True
