r"""The grammar of `filter_data`: `column OP "value"`, joined by `,`; all must hold.

OP is `=`, `~` (contains, any case), `<` or `>`. `"` and `\` are escaped by `\` inside the
value. The arrow that the guide prints in front is tolerated. Values reach PostgreSQL as
parameters only. Rows in memory are filtered by the same conditions (`holds`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from rubackup.api.columns import OPERATORS, Column, Kind
from rubackup.domain.errors import Invalid

_ARROWS = ("→", "->", "&rarr;")
_CONDITION = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*([=~<>])\s*"((?:[^"\\]|\\["\\])*)"\s*')
MAX_CONDITIONS = 50

FORM = 'must have the form column OP "value", OP being one of = ~ < >, several joined by a comma.'


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value of its kind."""

    column: Column
    operator: str
    value: Any

    def sql(self, bind: Callable[[Any], str]) -> str:
        """The condition in SQL; `bind` takes a value and gives its placeholder."""
        column = self.column
        if column.kind is Kind.LIST:
            if self.operator == "=":
                return f"{bind(self.value)}::text = ANY({column.sql})"
            return f"array_to_string({column.sql}, ',') ILIKE {bind(contains_pattern(self.value))}::text"
        if self.operator == "~":
            return f"({column.sql})::text ILIKE {bind(contains_pattern(self.value))}::text"
        return f"{column.sql} {self.operator} {bind(self.value)}::{column.kind.value}"

    def holds(self, row: Any) -> bool:
        """Whether a row in memory meets it."""
        value = getattr(row, self.column.name)
        if value is None:
            return False
        if self.operator == "~":
            joined = ",".join(value) if isinstance(value, list | tuple) else str(value)
            return folded(str(self.value)) in folded(joined)
        if isinstance(value, list | tuple):
            return self.value in value
        if self.column.kind is Kind.MIXED:
            value = str(value)
        if self.operator == "=":
            return bool(value == self.value)
        return bool(value < self.value) if self.operator == "<" else bool(value > self.value)


def folded(text: str) -> str:
    """Text without its letters' case as PostgreSQL's ILIKE takes it away: letter by letter, never one for two."""
    return "".join(small if len(small := letter.lower()) == 1 else small[0] for letter in text)


def contains_pattern(text: str) -> str:
    """A LIKE pattern for `contains`; the wildcards of LIKE stand for themselves."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


def parse_filters(
    texts: Iterable[str], columns: Mapping[str, Column], zone: tzinfo | None = None
) -> tuple[Condition, ...]:
    """The conditions of every `filter_data`; Invalid names the column or the place that is wrong."""
    found: list[Condition] = []
    for text in texts:
        found.extend(_parse_one(text, columns, zone))
    if len(found) > MAX_CONDITIONS:
        raise Invalid(fields={"filter_data": f"may have at most {MAX_CONDITIONS} conditions."})
    return tuple(found)


def _parse_one(text: str, columns: Mapping[str, Column], zone: tzinfo | None) -> Iterable[Condition]:
    rest = text.strip()
    while rest:
        rest = _without_arrow(rest)
        match = _CONDITION.match(rest)
        if match is None:
            raise Invalid(fields={"filter_data": f"{FORM} Not understood: {rest[:80]!r}."})
        yield _condition(match[1], match[2], re.sub(r"\\(.)", r"\1", match[3]), columns, zone)
        rest = rest[match.end() :]
        if rest and (not rest.startswith(",") or not rest[1:].strip()):
            raise Invalid(fields={"filter_data": f"{FORM} Not understood: {rest[:80]!r}."})
        rest = rest[1:].strip()


def _without_arrow(text: str) -> str:
    for arrow in _ARROWS:
        if text.startswith(arrow):
            return text[len(arrow) :].lstrip()
    return text


def _condition(name: str, operator: str, text: str, columns: Mapping[str, Column], zone: tzinfo | None) -> Condition:
    column = columns.get(name)
    if column is None:
        raise Invalid(fields={"filter_data": f"column {name} is unknown; known: {', '.join(sorted(columns))}."})
    allowed = OPERATORS[column.kind]
    if operator not in allowed:
        told = f"allows only {' '.join(allowed)}." if allowed else "cannot be filtered."
        raise Invalid(fields={"filter_data": f"column {name} {told}"})
    if operator == "~":
        return Condition(column, operator, text)
    try:
        return Condition(column, operator, column.parse(text, zone))
    except ValueError as error:
        raise Invalid(fields={"filter_data": f"column {name} {error}"}) from error
