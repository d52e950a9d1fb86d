"""Fields that rules, strategies, reports and plans share: who is told, and when they are valid."""

from __future__ import annotations

import datetime as dt
import re

from msgspec import Meta

from rubackup.domain import names
from rubackup.services.fields import Problems

KEEP_MOST = 100_000
"""Of a `keep_` key: more copies than a rule makes in its life."""
NOTIFY = "User group that is told {what}: name or id; Nobody: no one."
CC = "Further e-mail addresses, separated by commas, that are told {what}."
STATUS = Meta(description="A name of status_of_rule: wait (stopped) or run (started).", max_length=20)
_KEPT = {"keep_daily": "days", "keep_weekly": "weeks", "keep_monthly": "months", "keep_yearly": "years"}
KEEPS = ("keep_last", *_KEPT)
"""Keys of ours, of rules and strategies."""
_WRITTEN = re.compile(
    r"(\d+ *(seconds?|secs?|minutes?|mins?|hours?|days?|weeks?|months?|mons?|years?|yrs?),? *)*(\d+:\d\d:\d\d)?",
    re.IGNORECASE | re.ASCII,
)
"""Intervals that PostgreSQL reads as they were written, if no unit comes twice."""
_NUMBER = re.compile(r"[0-9]+")
_ADDRESS = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]{1,255}")
_MOST_ADDRESSES = 50


def keep(name: str) -> Meta:
    """The description of a `keep_` key (ours): how many copies stay when their storage_duration is over."""
    which = "copies stay when their" if name == "keep_last" else f"{_KEPT[name]} keep their last copy when its"
    text = f"How many of the newest {which} storage_duration is over; 0: none."
    return Meta(description=text, ge=0, le=KEEP_MOST)


def notify(what: str) -> Meta:
    """The description of a user group that is told something."""
    return Meta(description=NOTIFY.format(what=what))


def copied(what: str) -> Meta:
    """The description of further addresses."""
    return Meta(description=CC.format(what=what), max_length=4096)


def addresses(problems: Problems, text: str, field: str) -> str:
    """E-mail addresses separated by commas, as they were written; '' after a note."""
    found = [one.strip() for one in text.split(",") if one.strip()]
    if len(found) > _MOST_ADDRESSES or not all(_ADDRESS.fullmatch(one) for one in found):
        problems.add(field, f"must be at most {_MOST_ADDRESSES} e-mail addresses separated by commas, or empty.")
        return ""
    return text


def validity(problems: Problems, start: dt.datetime | None, end: dt.datetime | None, field: str) -> None:
    """Note under `field` (the end's) when the end does not come after the start."""
    if start is not None and end is not None and end <= start:
        problems.add(field, "must be later than the start.")


def interval(problems: Problems, text: str | None, field: str) -> str:
    """An interval as it was written, in words that the catalogue reads; '' for none, also after a note."""
    written = (text or "").strip()
    if not written:
        return ""
    normal = problems.interval(written, field)
    if normal is None:
        return ""
    units = len(normal.split()) // 2
    return written if _WRITTEN.fullmatch(written) and units == _parts(written) else normal


def _parts(written: str) -> int:
    """How many numbers with a unit an interval has; a clock stands for three."""
    return len(_NUMBER.findall(written))


def folder_or_none(problems: Problems, text: str, field: str) -> str:
    """An absolute path without doubled slashes, or '' for none, also after a note."""
    return problems.folder(text, field) if text else ""


def script(problems: Problems, text: str, field: str) -> str:
    """The absolute path of a script, or '' for none, also after a note."""
    if names.has_unseen(text):
        problems.add(field, "must be an absolute path without '..' and control characters, or empty.")
        return ""
    return folder_or_none(problems, text, field)
