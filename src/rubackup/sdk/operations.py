"""Every call of the API as data, for programs that build their commands or forms from it."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Literal, NotRequired, TypedDict


class FieldFacts(TypedDict):
    """A field of a body, or a parameter of a query."""

    name: str
    """Dotted, for what stands inside an object."""
    type: Literal["string", "integer", "number", "boolean", "id", "json"]
    """`id`: a number or a name."""
    required: bool
    many: NotRequired[bool]
    """Whether it is a list of such values."""
    nullable: NotRequired[bool]
    choices: NotRequired[list[str]]
    secret: NotRequired[bool]
    """Whether it belongs into no command line and no log."""
    default: NotRequired[str | int | float | bool]
    """What it is where it is not given; none where that is nothing."""
    text: NotRequired[str]


class ColumnFacts(TypedDict):
    """A column of a list."""

    name: str
    type: str
    text: NotRequired[str]


class BodyFacts(TypedDict):
    """What a call takes."""

    wrapped: bool
    """Whether it stands in an object under `data`."""
    rows: bool
    """Whether it is a list of such objects."""
    fields: list[FieldFacts]


class OperationFacts(TypedDict):
    """A call."""

    verb: str
    method: str
    path: str
    summary: str
    text: str
    query: NotRequired[list[FieldFacts]]
    body: NotRequired[BodyFacts]
    listed: NotRequired[bool]
    """Whether it is a list in pages."""
    lists_by: NotRequired[list[Literal["filter_data", "page", "limit", "cursor"]]]
    """What a list can be asked for by."""
    sorted_by: NotRequired[list[str]]
    columns: NotRequired[list[ColumnFacts]]
    if_match: NotRequired[bool]
    repeatable: NotRequired[bool]
    """Whether it knows Idempotency-Key."""
    streams: NotRequired[bool]
    """Whether its answer is no envelope."""


class FamilyFacts(TypedDict):
    """Calls of one path."""

    title: str
    operations: list[OperationFacts]


@cache
def families() -> dict[str, FamilyFacts]:
    """Every family by its name."""
    text = resources.files("rubackup.sdk.api").joinpath("operations.json").read_text(encoding="utf-8")
    found: dict[str, FamilyFacts] = json.loads(text)
    return found
