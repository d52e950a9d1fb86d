"""The columns of a resource as lists use them: name, SQL expression, kind, and the text a value is written in.

What a caller may compare a column with follows from the annotation of the row's field:
there is no second list to keep in step.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect as types

from rubackup.api.instants import parse_instant
from rubackup.api.resource import Source
from rubackup.api.validate import INT_MAX, INT_MIN, members, parse_bool, struct_type


class Kind(Enum):
    """How a column is compared; the value is the SQL type of what it is compared with."""

    TEXT = "text"
    INTEGER = "bigint"
    NUMBER = "float8"
    BOOLEAN = "boolean"
    INSTANT = "timestamptz"
    MIXED = "varchar"
    """Text in the catalogue; a value of digits alone is shown as an integer."""
    LIST = "text[]"
    OPAQUE = "jsonb"


OPERATORS = {
    Kind.TEXT: "=~<>",
    Kind.INTEGER: "=~<>",
    Kind.NUMBER: "=<>",
    Kind.BOOLEAN: "=",
    Kind.INSTANT: "=<>",
    Kind.MIXED: "=~<>",
    Kind.LIST: "=~",
    Kind.OPAQUE: "",
}
WANTED = {
    Kind.TEXT: "text",
    Kind.INTEGER: "an integer",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "yes, no, true or false",
    Kind.INSTANT: "an ISO 8601 instant such as 2024-08-19T19:20:28+03:00",
    Kind.MIXED: "text",
    Kind.LIST: "text",
    Kind.OPAQUE: "nothing: it cannot be compared",
}


@dataclass(frozen=True)
class Column:
    """One column of a list."""

    name: str
    sql: str
    kind: Kind
    nullable: bool

    @property
    def sortable(self) -> bool:
        """Whether `sort_by` may name it."""
        return self.kind not in {Kind.LIST, Kind.OPAQUE}

    def parse(self, text: str, zone: tzinfo | None = None) -> Any:
        """The value that a filter's text stands for; ValueError says what is wanted."""
        found = self._parse(text, zone)
        if found is None:
            raise ValueError(f"must be compared with {WANTED[self.kind]}.")
        return found

    def _parse(self, text: str, zone: tzinfo | None) -> Any:
        if self.kind is Kind.INTEGER:
            return _integer(text)
        if self.kind is Kind.NUMBER:
            return _number(text)
        if self.kind is Kind.BOOLEAN:
            return parse_bool(text)
        if self.kind is Kind.INSTANT:
            return parse_instant(text, zone)
        return text if self.kind is not Kind.OPAQUE else None


def _integer(text: str) -> int | None:
    digits = text.strip()
    if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:
        return None
    value = int(digits)
    return value if INT_MIN <= value <= INT_MAX else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def shown(text: str | None) -> int | str | None:
    """A value of a MIXED column as callers see it."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def write(value: Any) -> str:
    """A value as text that `Column.parse` reads back to the same value."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _kind(kind: types.Type) -> tuple[Kind, bool]:
    options = [m for m in members(kind) if not isinstance(m, types.NoneType)]
    nullable = len(options) < len(members(kind))
    if {type(one) for one in options} == {types.IntType, types.StrType}:
        return Kind.MIXED, nullable
    first = options[0] if len(options) == 1 else types.AnyType()
    table: Mapping[type, Kind] = {
        types.IntType: Kind.INTEGER,
        types.FloatType: Kind.NUMBER,
        types.BoolType: Kind.BOOLEAN,
        types.DateTimeType: Kind.INSTANT,
        types.StrType: Kind.TEXT,
        types.UUIDType: Kind.TEXT,
        types.LiteralType: Kind.TEXT,
        types.EnumType: Kind.TEXT,
    }
    if isinstance(first, types.ListType | types.VarTupleType):
        inner = members(first.item_type)
        return (Kind.LIST if isinstance(inner[0], types.StrType) else Kind.OPAQUE), nullable
    return table.get(type(first), Kind.OPAQUE), nullable


def columns_of(row: type[msgspec.Struct], source: Source | None) -> dict[str, Column]:
    """Every column by name; without a source the rows are in memory and the SQL is the name."""
    return _columns(row, tuple(source.columns.items()) if source else None)


@functools.cache
def _columns(row: type[msgspec.Struct], sql: tuple[tuple[str, str], ...] | None) -> dict[str, Column]:
    by_name = dict(sql) if sql is not None else None
    found: dict[str, Column] = {}
    for field in struct_type(row).fields:
        name = field.encode_name
        if by_name is not None and name not in by_name:
            continue
        kind, nullable = _kind(field.type)
        expression = by_name[name] if by_name is not None else name
        if kind in {Kind.TEXT, Kind.MIXED}:
            expression = f"({expression})::text"
        found[name] = Column(name, expression, kind, nullable)
    return found
