"""Checking bodies: every error at once, each with a sentence that says what is allowed."""

from __future__ import annotations

import contextlib
import enum
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType

from rubackup.api.validate import build, build_query
from rubackup.domain.errors import Invalid


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct):
    """A struct within."""

    n: int
    label: str = ""


class Outer(msgspec.Struct, kw_only=True):
    """One field of each kind."""

    name: Annotated[str, Meta(min_length=1, max_length=5)]
    count: Annotated[int, Meta(ge=0, le=9)] = 0
    ratio: float = 0.0
    on: bool = False
    when: datetime | None = None
    which: Literal["a", "b"] = "a"
    colour: Colour = Colour.RED
    inner: Inner | None = None
    items: list[Inner] = []
    ids: list[Annotated[int, Meta(ge=1)]] = []
    key: uuid.UUID | None = None
    free: dict[str, Any] = {}
    either: int | str = 0
    absent: str | UnsetType | None = UNSET
    word: Annotated[str, Meta(pattern="^[a-z]*$")] = ""


def errors(value: Any, **given: Any) -> dict[str, str]:
    """What is wrong with a body."""
    with pytest.raises(Invalid) as caught:
        build(Outer, value, "data", **given)
    return caught.value.fields


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "a string of 1 to 5 characters"),
        ("name", "123456", "a string of 1 to 5 characters"),
        ("name", None, "a string"),
        ("count", -1, "an integer from 0 to 9"),
        ("count", 10, "an integer from 0 to 9"),
        ("count", True, "an integer"),
        ("count", 1.5, "an integer"),
        ("count", "1", "an integer"),
        ("ratio", "1", "a number"),
        ("ratio", True, "a number"),
        ("on", 1, "true or false"),
        ("on", "yes", "true or false"),
        ("when", "soon", "ISO 8601"),
        ("when", 5, "ISO 8601"),
        ("which", "c", "one of: a, b"),
        ("colour", "green", "one of: red, blue"),
        ("key", "no", "a UUID"),
        ("free", [], "an object"),
        ("either", 1.5, "an integer"),
        ("word", "A", "a string"),
        ("inner", [], "an object"),
        ("items", {}, "a list"),
    ],
)
def test_a_wrong_value_is_told_what_it_may_be(field: str, value: Any, told: str) -> None:
    """The sentence names the allowed values, not the types of Python."""
    found = errors({"name": "x", field: value})

    assert found.keys() == {f"data.{field}"}
    assert told in found[f"data.{field}"]


def test_everything_wrong_is_told_at_once() -> None:
    """Missing, unknown and wrong, at every depth, with the number of the item in a list."""
    found = errors({"count": "x", "extra": 1, "inner": {"n": "x", "m": 1}, "items": [{"n": 1}, {}, {"n": None}]})

    assert found.keys() == {
        "data.name", "data.count", "data.extra", "data.inner.n", "data.inner.m", "data.items.1.n", "data.items.2.n",
    }  # fmt: skip


def test_ignored_keys_are_ignored() -> None:
    """Where the guide says so, and only there."""
    assert build(Outer, {"name": "x", "old": 1}, "data", ignored=["data.old"]).name == "x"
    assert errors({"name": "x", "new": 1}, ignored=["data.old"]).keys() == {"data.new"}


def test_absent_null_and_given_are_three_things() -> None:
    """PATCH tells them apart."""
    bodies = ({}, {"absent": None}, {"absent": "x"})

    assert [build(Outer, {"name": "x"} | b, "data").absent for b in bodies] == [UNSET, None, "x"]


def test_instants_become_aware() -> None:
    """One without a zone is the server's."""
    zone = timezone(timedelta(hours=3))

    local = build(Outer, {"name": "x", "when": "2024-08-19T12:00:00"}, "", zone=zone).when
    utc = build(Outer, {"name": "x", "when": "2024-08-19T09:00:00Z"}, "", zone=zone).when

    assert local == utc == datetime(2024, 8, 19, 9, tzinfo=UTC)


def test_a_body_that_is_no_object_is_refused() -> None:
    """Lists, texts and numbers have no keys."""
    assert errors([]).keys() == {"data"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c), max_leaves=20))  # fmt: skip
def test_no_value_breaks_the_check(value: Any) -> None:
    """Whatever JSON can hold is taken or refused, field by field."""
    body = {"name": "x", "inner": value, "items": [value], "either": value, "free": {"a": value}}
    with contextlib.suppress(Invalid):
        assert build(Outer, body, "data").name == "x"


class Asked(msgspec.Struct):
    """A query."""

    n: int
    on: bool = False
    many: list[str] = []
    when: datetime | None = None


def test_queries_are_texts_that_become_types() -> None:
    """Yes and no are truth, digits numbers, a repeated parameter a list."""
    asked = build_query(Asked, {"n": ["3"], "on": ["yes"], "many": ["a", "b"]})

    assert asked == Asked(3, on=True, many=["a", "b"])


def test_wrong_queries_are_named() -> None:
    """All of them."""
    with pytest.raises(Invalid) as caught:
        build_query(Asked, {"n": ["1", "2"], "on": ["perhaps"], "x": ["1"], "when": ["never"]})

    assert caught.value.fields.keys() == {"n", "on", "x", "when"}
