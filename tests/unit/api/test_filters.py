"""The grammar of filter_data, without a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubackup.api.columns import Kind, columns_of, write
from rubackup.api.filters import Condition, contains_pattern, parse_filters
from rubackup.api.instants import parse_given, parse_instant
from rubackup.api.lists import next_cursor, parse_list
from rubackup.api.resource import Source
from rubackup.domain.errors import Invalid


class Row(msgspec.Struct):
    """A row."""

    id: int
    name: str
    size: float
    at: datetime | None
    on: bool
    free: dict[str, int] | None = None


COLUMNS = columns_of(Row, Source("t", "t.id", {f: f"t.{f}" for f in Row.__struct_fields__}))


def refused(call: Callable[[], object]) -> set[str]:
    """The names under which a call is refused; none when it goes well."""
    try:
        call()
    except Invalid as error:
        return set(error.fields) or {"no name"}
    return set()


def quoted(text: str) -> str:
    """A value as a caller escapes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.tuples(st.sampled_from("=~<>"), st.text()), min_size=1, max_size=5))
def test_what_is_escaped_comes_back(conditions: list[tuple[str, str]]) -> None:
    """Any text can be a value, in any number of conditions."""
    text = ",".join(f"name{operator}{quoted(value)}" for operator, value in conditions)

    found = parse_filters([text], COLUMNS)

    assert [(c.operator, c.value) for c in found] == conditions


@given(st.text())
def test_no_text_breaks_the_grammar(text: str) -> None:
    """It is understood, or refused under its name."""
    assert refused(lambda: parse_filters([text], COLUMNS)) <= {"filter_data"}


@given(st.text())
def test_values_never_reach_the_sql(value: str) -> None:
    """They are parameters: the SQL is the same whatever the value."""
    for operator in "=~<>":
        bound: list[object] = []
        sql = Condition(COLUMNS["name"], operator, value).sql(lambda v, b=bound: b.append(v) or f"${len(b)}")
        assert sql in {f"(t.name)::text {operator} $1::text", "((t.name)::text)::text ILIKE $1::text"}
        assert len(bound) == 1


def test_wildcards_stand_for_themselves() -> None:
    """`~` is contains, not LIKE."""
    assert contains_pattern("50%_\\") == "%50\\%\\_\\\\%"


def test_kinds_follow_the_annotations() -> None:
    """There is no second list of types."""
    kinds = {name: column.kind for name, column in COLUMNS.items()}

    assert kinds == {
        "id": Kind.INTEGER, "name": Kind.TEXT, "size": Kind.NUMBER, "at": Kind.INSTANT, "on": Kind.BOOLEAN,
        "free": Kind.OPAQUE,
    }  # fmt: skip
    assert [name for name, column in COLUMNS.items() if column.nullable] == ["at", "free"]
    assert not COLUMNS["free"].sortable


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.datetimes(timezones=st.just(UTC)),
    st.text(),
    st.floats(allow_nan=False),
)
def test_what_a_cursor_writes_it_reads(number: int, at: datetime, text: str, size: float) -> None:
    """Sort values survive their way through a cursor."""
    row = {"id": number, "at": at, "name": text, "size": size, "on": number > 0}
    for name, value in row.items():
        assert COLUMNS[name].parse(write(value)) == value


@given(st.text(), st.integers(0, 2**63 - 1))
def test_a_cursor_is_taken_back_for_the_same_call(value: str, row_id: int) -> None:
    """It leads to the row that it was made from; null bytes cannot come from a row."""
    query = {"sort_by": ["name"], "limit": ["5"], "filter_data": ['size>"1"']}
    asked = parse_list(query, COLUMNS, order="id", descending=False)
    value = value.replace("\0", "")
    cursor = next_cursor(asked, value, row_id)

    again = parse_list(query | {"cursor": [cursor]}, COLUMNS, order="id", descending=False)

    assert again.after is not None
    assert (again.after.value, again.after.id) == (value, row_id)


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_no_cursor_breaks_a_list(cursor: str) -> None:
    """What is no cursor is a 400."""
    assert refused(lambda: parse_list({"cursor": [cursor]}, COLUMNS, order="id", descending=False)) <= {"cursor"}


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2024-08-19T19:20:28.614838+03:00", 16), ("2024-08-19T19:20:28.614838 03:00", 16),
        ("2024-08-19T16:20:28Z", 16), ("2024-08-19 16:20:28", 16), ("2024-08-19", 0),
    ],
)  # fmt: skip
def test_instants_of_the_guide(text: str, hour: int) -> None:
    """Also where a query has eaten the plus sign."""
    found = parse_instant(text, UTC)

    assert found is not None
    assert (found.hour, found.tzinfo) == (hour, UTC)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
)
def test_ends_of_time_are_compared_with_and_not_kept(text: str) -> None:
    """The driver makes `infinity` of the last one, and others leave no room for zones."""
    assert parse_instant(text, UTC) is not None
    assert parse_given(text, UTC) is None
    assert parse_given("2024-08-19", UTC) == parse_instant("2024-08-19", UTC)


@given(st.text())
def test_no_text_breaks_an_instant(text: str) -> None:
    """It is one or it is none."""
    assert parse_instant(text, UTC) is None or parse_instant(text, UTC).tzinfo is UTC  # type: ignore[union-attr]
