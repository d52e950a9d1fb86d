"""Fields that rules, strategies, reports and plans share: who is told, and when they are valid."""

from __future__ import annotations

import datetime as dt
import re

from msgspec import Meta

from rubackup.services.fields import Problems

NOTIFY = "User group that is told {what}: name or id; Nobody: no one."
CC = "Further e-mail addresses, separated by commas, that are told {what}."
STATUS = Meta(description="A name of status_of_rule: wait (stopped) or run (started).", max_length=20)
_ADDRESS = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]{1,255}")
_MOST_ADDRESSES = 50


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
