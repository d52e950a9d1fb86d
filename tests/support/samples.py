"""What the inherited suite needs to know of a resource; `tests/api/samples.py` holds one for each.

Every function makes its own rows with names of its own (`unique`), as several tests share a database.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from rubackup.api.validate import struct_type, structs_in
from rubackup.domain.permissions import Role
from support.api import Api

_numbers = itertools.count(1)


def unique(word: str) -> str:
    """A name that no other row has."""
    return f"{word}-{next(_numbers)}"


def sent_back(body: type[msgspec.Struct], row: Mapping[str, Any]) -> dict[str, Any]:
    """What a read shows of the keys that a body takes; an object that the row does not show is made of the row's keys."""
    found: dict[str, Any] = {}
    for one in struct_type(body).fields:
        if one.encode_name in row:
            found[one.encode_name] = row[one.encode_name]
        elif inner := next(structs_in(one.type), None):
            found[one.encode_name] = sent_back(inner, row)
    return found


def needed_query(query: type[msgspec.Struct] | None) -> dict[str, str]:
    """What a query must say, filled with something of the right form."""
    fields = struct_type(query).fields if query is not None else ()
    return {one.encode_name: "/1" if one.encode_name == "path" else "1" for one in fields if one.required}


def told(body: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """What a body says of the keys that a row shows, of objects that the row does not show too."""
    found: dict[str, Any] = {}
    for key, value in body.items():
        if key in row:
            found[key] = value
        elif isinstance(value, Mapping):
            found |= told(value, row)
    return found


@dataclass(frozen=True)
class Samples:
    """How to make rows of a resource, and bodies that it takes.

    `api` is always a superuser's. A body is the whole JSON of the call.
    """

    rows: Callable[[Api], list[int]]
    """Make at least three new rows by whatever way; their ids. Each may be deleted where the resource can delete."""
    create: Callable[[Api], list[Any]] | None = None
    """Bodies for POST, each of them good."""
    create_query: Mapping[str, str] = field(default_factory=dict)
    """The query that goes with them."""
    update: Callable[[Api], list[Any]] | None = None
    """Bodies for PATCH of a row that `rows` made, each of them good."""
    unread: frozenset[str] = frozenset()
    """Keys of `update` that a read does not give back as they were written (passwords)."""
    actions: Mapping[str, Callable[[Api], httpx.Response]] = field(default_factory=dict)
    """By operation id: one call of each action that goes well, with all that must be there before it."""
    refused: frozenset[str] = frozenset()
    """Operations that this version does not do yet: their call in `actions` is checked, then refused with 409."""
    foreign: frozenset[Role] = frozenset({Role.ADMINISTRATOR, Role.MAINTAINER})
    """Roles that see none of `rows` when theirs is another group or media server; asked of scoped resources only."""
