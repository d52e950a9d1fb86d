"""Every list filters, orders and cuts as plain Python does over the same rows, whatever rows and questions hold.

The expectation is written here, from the grammar's page (`api.filters`, ADR 6), and asks nothing of the product. All
families are asked; a new one by its declaration and its samples. `SEED=n` draws other questions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from samples import SAMPLES

from rubackup.api.columns import OPERATORS, Column, Kind, columns_of
from rubackup.api.resource import Resource
from rubackup.catalog.database import DatabaseAddress
from support.api import Api
from support.furnished import LISTED, TEXTS, furnished, items, vary

SEED = int(os.environ.get("SEED", "20261127"))
QUESTIONS = 1200
"""In total: each list gets its share, so that the time does not grow with the number of families."""
EACH = max(8, QUESTIONS // len(LISTED))
ORDERS = max(4, 320 // len(LISTED))
"""Columns of a list that are sorted by; the inherited suite sorts by each."""
BOUNDED = settings(
    max_examples=EACH, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
WILD = ("%", "_", "a_b", "a%", "\\", "\\%", "\\_", '"', ",", "ß", "İ", "ς", "ж", "")
"""What LIKE, the grammar and the folding of letters could take for something else."""
ZONES = (UTC, timezone(timedelta(hours=3)), timezone(-timedelta(hours=9, minutes=30)))

Row = dict[str, Any]


@dataclass
class List:
    """A list call with what it shows when nothing is asked."""

    api: Api
    path: str
    columns: dict[str, Column]
    rows: list[Row]

    @property
    def filtered(self) -> list[Column]:
        """The columns that a filter may name."""
        return [column for column in self.columns.values() if OPERATORS[column.kind]]

    @property
    def sorted(self) -> list[Column]:
        """The columns that an order may name."""
        return [column for column in self.columns.values() if column.kind not in {Kind.LIST, Kind.OPAQUE}]


@pytest.fixture(scope="module")
def world(postgres: DatabaseAddress) -> Iterator[Api]:
    """Varied rows of every family in one database."""
    with furnished(postgres, SAMPLES, 3) as api:
        vary(api)
        yield api


@pytest.fixture(scope="module")
def lists(world: Api) -> Callable[[Resource], List]:
    """The lists by resource, each read once."""
    read: dict[str, List] = {}

    def find(resource: Resource) -> List:
        assert resource.row is not None
        columns = columns_of(resource.row, resource.source)
        if resource.path not in read:
            rows = [{n: plain(c.kind, row[n]) for n, c in columns.items()} for row in items(world, resource.path)]
            read[resource.path] = List(world, resource.path, columns, rows)
        return read[resource.path]

    return find


# --- what a list should do ---


def plain(kind: Kind, value: Any) -> Any:
    """A value of an answer as Python compares it."""
    if value is None:
        return None
    return datetime.fromisoformat(value) if kind is Kind.INSTANT else str(value) if kind is Kind.MIXED else value


def small(text: str) -> str:
    """Text in small letters, each letter by itself (U+0130 has two small ones in Python; Unicode's simple rule has one)."""
    return "".join("i" if letter == "\u0130" else letter.lower() for letter in text)


def holds(row: Row, column: Column, operator: str, wanted: Any) -> bool:
    """Whether a condition is met; nothing is equal to null, nor less, nor greater, nor in it."""
    value = row[column.name]
    if value is None:
        return False
    if operator == "~":
        return small(wanted) in small(",".join(value) if column.kind is Kind.LIST else str(value))
    if column.kind is Kind.LIST:
        return wanted in value
    return {"=": value == wanted, "<": value < wanted, ">": value > wanted}[operator]


def ordered(rows: list[Row], column: str, *, falling: bool) -> list[Row]:
    """Nulls are last when rising and first when falling; the id decides between equals, in the same direction."""
    least: Any = ""
    return sorted(
        rows, key=lambda row: ((v := row[column]) is None, least if v is None else v, row["id"]), reverse=falling
    )


# --- questions ---


@dataclass(frozen=True)
class Question:
    """Conditions as text and as what they mean."""

    texts: tuple[str, ...]
    conditions: tuple[tuple[Column, str, Any], ...]


def written(kind: Kind, value: Any, draw: st.DrawFn) -> str:
    """One of the ways to write a value."""
    if kind is Kind.INSTANT:
        return value.isoformat()
    if kind is Kind.BOOLEAN:
        return draw(st.sampled_from(("yes", "true", "True", "ON", "1") if value else ("no", "false", "OFF", "0")))
    return str(value)


def around(kind: Kind, value: Any, draw: st.DrawFn) -> Any:
    """The value, or one right beside it."""
    if kind is Kind.INTEGER:
        return max(-(2**63), min(value + draw(st.integers(-1, 1)), 2**63 - 1))
    if kind is Kind.INSTANT:
        zone = draw(st.sampled_from(ZONES))
        moved = timedelta(microseconds=draw(st.integers(-1, 1)))
        inside = timedelta(days=2) < value - value.min.replace(tzinfo=UTC) and value.year < 9999
        return (value + moved).astimezone(zone) if inside else value
    if kind in {Kind.TEXT, Kind.MIXED}:
        return draw(st.sampled_from((value, value + "a", value[:-1], value.swapcase(), value + " ")))
    return value


def part(text: str, draw: st.DrawFn) -> str:
    """Something that is in the text, in another case now and then."""
    first = draw(st.integers(0, max(len(text) - 1, 0)))
    found = text[first : draw(st.integers(first, len(text)))]
    return draw(st.sampled_from((found, found.swapcase(), found.upper())))


FOREIGN: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.one_of(
        st.sampled_from(TEXTS), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
    ),
    Kind.INTEGER: st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 12)),
    Kind.NUMBER: st.floats(allow_nan=False),
    Kind.BOOLEAN: st.booleans(),
    Kind.INSTANT: st.builds(
        lambda after, zone: (datetime(2024, 8, 19, tzinfo=UTC) + after).astimezone(zone),
        st.timedeltas(-timedelta(days=700_000), timedelta(days=700_000)),
        st.sampled_from(ZONES),
    ),
}
"""Values that no row need have."""


@st.composite
def conditions(draw: st.DrawFn, asked: List) -> tuple[str, tuple[Column, str, Any]]:
    """A condition, mostly about a value that is there."""
    column = draw(st.sampled_from(asked.filtered))
    operator = draw(st.sampled_from(OPERATORS[column.kind]))
    there = [
        v
        for row in asked.rows
        for v in ([row[column.name]] if column.kind is not Kind.LIST else row[column.name] or [])
    ]
    there = [value for value in there if value is not None]
    kind = Kind.TEXT if column.kind in {Kind.LIST, Kind.MIXED} or operator == "~" else column.kind
    if operator == "~" and draw(st.booleans()):
        value = draw(st.sampled_from(WILD))
    elif there and draw(st.integers(0, 4)):
        value = draw(st.sampled_from(there))
        value = part(str(value), draw) if operator == "~" else around(kind, value, draw)
    else:
        value = draw(FOREIGN[kind])
    text = written(kind, value, draw).replace("\\", "\\\\").replace('"', '\\"')
    blank = draw(st.sampled_from(("", "", " ")))
    return f'{column.name}{blank}{operator}{blank}"{text}"', (column, operator, value)


@st.composite
def questions(draw: st.DrawFn, asked: List) -> Question:
    """Conditions, mostly one or two, in one or two `filter_data`."""
    drawn = [draw(conditions(asked)) for _ in range(draw(st.sampled_from((1, 1, 1, 2, 2, 3, 4))))]
    cut = draw(st.integers(0, len(drawn)))
    comma, arrow = draw(st.sampled_from((",", ", ", " ,"))), draw(st.sampled_from(("", "", "→", "-> ")))
    texts = [arrow + comma.join(text for text, _ in some) for some in (drawn[:cut], drawn[cut:]) if some]
    return Question(tuple(texts), tuple(meaning for _, meaning in drawn))


def walked(asked: List, query: dict[str, Any]) -> tuple[list[int], set[int]]:
    """The ids along the cursors, and the totals that were told."""
    ids: list[int] = []
    totals: set[int] = set()
    cursor = ""
    while True:
        answer = asked.api.get(f"/{asked.path}", params=query | {"cursor": cursor})
        assert answer.status_code == 200, (query, answer.text)
        data = answer.json()["data"]
        assert len(data["items"]) <= query["limit"]
        ids += [row["id"] for row in data["items"]]
        totals.add(data["total"])
        if not (cursor := data["next_cursor"] or ""):
            return ids, totals


# --- the laws ---


@pytest.mark.parametrize("resource", LISTED, ids=lambda resource: resource.path)
def test_a_filter_in_sql_is_a_filter_in_python(lists: Callable[[Resource], List], resource: Resource) -> None:
    """The same rows in the same order, the right total, page by page and by cursor."""
    asked = lists(resource)

    @seed(SEED)
    @BOUNDED
    @given(st.data())
    def law(data: st.DataObject) -> None:
        question = data.draw(questions(asked))
        column, falling = data.draw(st.sampled_from(asked.sorted)), data.draw(st.booleans())
        kept = [row for row in asked.rows if all(holds(row, *one) for one in question.conditions)]
        wanted = [row["id"] for row in ordered(kept, column.name, falling=falling)]
        limit = data.draw(st.sampled_from((1000, 1000, max(1, len(wanted) // 2), max(1, len(wanted) // 3))))
        query = {
            "filter_data": list(question.texts), "sort_by": column.name, "sort_order": "desc" if falling else "asc",
            "limit": limit,
        }  # fmt: skip
        note(f"SEED={SEED} GET /{asked.path} {query}")

        assert walked(asked, query) == (wanted, {len(wanted)})
        page = data.draw(st.integers(1, len(wanted) // limit + 1))
        answer = asked.api.get(f"/{asked.path}", params=query | {"page": page}).json()["data"]
        assert [row["id"] for row in answer["items"]] == wanted[(page - 1) * limit : page * limit]

    law()


@pytest.mark.parametrize("resource", LISTED, ids=lambda resource: resource.path)
def test_every_order_is_pythons_order(lists: Callable[[Resource], List], resource: Resource) -> None:
    """In both directions, whole and in pieces."""
    asked = lists(resource)
    drawn = Random(SEED).sample(asked.sorted, min(ORDERS, len(asked.sorted)))
    for number, column in enumerate(drawn):
        falling = bool(number % 2)
        wanted = [row["id"] for row in ordered(asked.rows, column.name, falling=falling)]
        limit = max(1, len(wanted) // (2 + number % 3))
        query = {"sort_by": column.name, "sort_order": "desc" if falling else "asc", "limit": limit}

        assert walked(asked, query) == (wanted, {len(wanted)}), query


def test_the_rows_are_varied(lists: Callable[[Resource], List]) -> None:
    """The laws are about something: most text columns hold letters of other scripts, wildcards and blanks."""
    seen = {
        value for one in LISTED if one.lookup is None for row in lists(one).rows for value in row.values()
        if isinstance(value, str)
    }  # fmt: skip
    empty = [one.path for one in LISTED if len(lists(one).rows) < 1]

    assert len(seen & set(TEXTS)) > len(TEXTS) * 0.9
    assert empty == []
