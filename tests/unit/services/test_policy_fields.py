"""Fields that rules, strategies, reports and plans share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubackup.domain.units import parse_interval
from rubackup.services import policy_fields
from rubackup.services.fields import Problems

NUMBERS = st.integers(1, 99)
WORDS = st.sampled_from(["s", "sec", "secs", "Seconds", "m", "min", "mins", "H", "hour", "days", "d", "week", "mon",
                         "MONTHS", "y", "yr", "Years"])  # fmt: skip
PARTS = st.lists(st.tuples(NUMBERS, st.sampled_from(["", " "]), WORDS), min_size=1, max_size=3)


def summed(text: str) -> dict[str, int]:
    """How many of each unit."""
    words = parse_interval(text, "x").split()
    found: dict[str, int] = {}
    for number, unit in zip(words[::2], words[1::2], strict=True):
        found[unit] = found.get(unit, 0) + int(number)
    return found


@given(PARTS, st.sampled_from([" ", ", "]))
def test_an_interval_that_is_kept_says_what_was_written(parts: list[tuple[int, str, str]], between: str) -> None:
    """Kept as it was, or in the catalogue's words; either way it is the same interval, and is kept the same again."""
    text = between.join(f"{number}{blank}{word}" for number, blank, word in parts)
    problems = Problems()

    kept = policy_fields.interval(problems, text, "data.x")

    assert not problems.fields
    assert summed(kept) == summed(text)
    assert policy_fields.interval(problems, kept, "data.x") == kept


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_interval_is_none(text: str | None) -> None:
    """Null and empty alike."""
    assert policy_fields.interval(Problems(), text, "data.x") == ""


@pytest.mark.parametrize("text", ["often", "-1 day", "0 days", "1 day ago", "1 fortnight"])
def test_what_is_no_interval_is_noted(text: str) -> None:
    """With the field's name, and an example."""
    problems = Problems()

    assert policy_fields.interval(problems, text, "data.x") == ""
    assert "1 day" in problems.fields["data.x"]


@pytest.mark.parametrize(("text", "good"), [("", True), ("/opt/a b.sh", True), ("a.sh", False), ("/opt/../a", False)])
def test_a_script_is_an_absolute_path_or_none(text: str, good: bool) -> None:
    """Without '..': what the administrator sees is what runs."""
    problems = Problems()

    assert policy_fields.script(problems, text, "data.x") == (text if good else "")
    assert bool(problems.fields) is not good


@pytest.mark.parametrize("path", ["/opt/a\nb", "/opt/\u202egpj.sh"])
def test_paths_of_scripts_hold_nothing_unseen(path: str) -> None:
    """What is run on a client's host is what an administrator reads."""
    problems = Problems()

    assert policy_fields.script(problems, path, "data.x") == ""
    assert problems.fields.keys() == {"data.x"}


@pytest.mark.parametrize("name", ["", " ", "a\u202egpj", "a\n"])
def test_names_that_tools_give_are_seen_too(name: str) -> None:
    """What no eye tells from another name is refused under its field."""
    problems = Problems()

    assert problems.name("nightly", "name") == "nightly"
    assert problems.name(name, "name") == ""
    assert problems.fields.keys() == {"name"}
