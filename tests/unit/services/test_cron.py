"""Cron fields as the guide writes them."""

from __future__ import annotations

import pytest

from rubackup.services import cron
from rubackup.services.fields import Problems


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("min", 0, "0"),
        ("min", None, None),
        ("hour", "*", None),
        ("dow", 7, "7"),
        ("hour", "08", "8"),
        ("dow", "1-5", "1-5"),
        ("min", "*/15", "*/15"),
        ("dom", "1,15", "1,15"),
    ],
)
def test_a_good_field_is_kept_as_text(name: str, value: cron.Field, text: str | None) -> None:
    """An integer, any, a list, a range, a step; a number has one form, so that a filter finds it."""
    problems = Problems()

    assert cron.check(problems, name, value, "data.x") == text
    assert problems.fields == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min", 60),
        ("hour", -1),
        ("dom", 0),
        ("mon", 13),
        ("dow", 8),
        ("min", "a b"),
        ("min", ""),
        ("hour", "1-"),
        ("dom", "\0"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(name: str, value: cron.Field) -> None:
    """The sentence has the limits."""
    problems = Problems()
    cron.check(problems, name, value, f"data.{name}")

    low, high = cron.FIELDS[name]
    assert f"from {low} to {high}" in problems.fields[f"data.{name}"]


def test_fields_that_never_meet_are_refused() -> None:
    """There is no 31st of February."""
    problems = Problems()
    cron.check_whole(problems, {"min": "0", "hour": "0", "dom": "31", "mon": "2", "dow": None}, "data.dom")

    assert problems.fields.keys() == {"data.dom"}
