"""Intervals: what is taken, what is refused."""

from __future__ import annotations

import pytest

from rubackup.domain.errors import Invalid
from rubackup.domain.units import parse_interval


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1 Years", "1 years"), ("1 day", "1 days"), ("30 min", "30 minutes"), ("2weeks, 1 d", "2 weeks 1 days"),
        ("00:30:00", "0 hours 30 minutes 0 seconds"),
        ("1 year 2 mons 3 days 04:05:06", "1 years 2 months 3 days 4 hours 5 minutes 6 seconds"),
        ("1000 years", "1000 years"), ("1 days 2 d", "3 days"), ("1 hour 02:30:00", "3 hours 30 minutes 0 seconds"),
    ],
)  # fmt: skip
def test_intervals_of_the_guide_and_of_postgresql_are_taken(text: str, stored: str) -> None:
    """What the guide writes and what PostgreSQL prints become one form."""
    assert parse_interval(text, "data.period") == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 days",
        "00:00:00",
        "-1 day",
        "1",
        "day",
        "1 fortnight",
        "1:2:3",
        "1 day x",
        "1001 years",
        "\u0661 day",
        "1\u0662:30:00",
    ],
)
def test_everything_else_is_refused_by_name(text: str) -> None:
    """Malformed, empty and absurd intervals name the field."""
    with pytest.raises(Invalid) as caught:
        parse_interval(text, "data.period")

    assert caught.value.fields.keys() == {"data.period"}
