"""What a list call asks for, and the answer's form; shared by rows of PostgreSQL and rows in memory.

Pages are numbered, or follow a cursor: the sort value and id of the last row seen, checked
when it comes back. A cursor costs the same on page 10,000 as on page 1. Design section 5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

import msgspec

from rubackup.api.columns import Column, write
from rubackup.api.filters import Condition, parse_filters
from rubackup.domain.errors import Invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_PAGE = 1_000_000_000
EXACT_COUNT = 10_000
PARAMETERS = ("page", "limit", "sort_by", "sort_order", "filter_data", "cursor")


@dataclass(frozen=True)
class Position:
    """Where a cursor stands: after the row with this sort value and this id."""

    value: Any
    id: int


@dataclass(frozen=True)
class ListQuery:
    """A list call, checked."""

    page: int
    limit: int
    sort: Column
    descending: bool
    conditions: tuple[Condition, ...]
    texts: tuple[str, ...]
    after: Position | None

    @property
    def offset(self) -> int:
        """Rows to skip; a cursor skips by itself."""
        return 0 if self.after else (self.page - 1) * self.limit


def parse_list(
    query: Mapping[str, list[str]],
    columns: Mapping[str, Column],
    *,
    order: str,
    descending: bool,
    zone: tzinfo | None = None,
    more: Collection[str] = (),
) -> ListQuery:
    """The checked call; Invalid names every parameter that is wrong. `more` are parameters that the caller reads."""
    errors = _unknown(query, (*PARAMETERS, *more))
    page = _number(query, "page", 1, MAX_PAGE, errors)
    limit = _number(query, "limit", DEFAULT_LIMIT, MAX_LIMIT, errors)
    sort = _sort(query, columns, order, errors)
    direction = query["sort_order"][0].strip().lower() if "sort_order" in query else ""
    if "sort_order" in query and direction not in {"asc", "desc"}:
        errors["sort_order"] = "must be asc or desc."
    falling = direction == "desc" if direction or "sort_by" in query else descending
    texts = tuple(query.get("filter_data", ()))
    conditions: tuple[Condition, ...] = ()
    try:
        conditions = parse_filters(texts, columns, zone)
    except Invalid as error:
        errors.update(error.fields)
    if errors:
        raise Invalid(fields=errors)
    wanted = ListQuery(page, limit, sort, falling, conditions, texts, None)
    cursor = query.get("cursor", [""])[0]
    return replace(wanted, after=_position(cursor, wanted, zone)) if cursor else wanted


def _unknown(query: Mapping[str, list[str]], known: Collection[str]) -> dict[str, str]:
    errors = {n: f"is unknown; known: {', '.join(known)}." for n in query if n not in known}
    for name, values in query.items():
        if len(values) > 1 and name in PARAMETERS and name != "filter_data":
            errors[name] = "may be given once."
    return errors


def _number(query: Mapping[str, list[str]], name: str, default: int, high: int, errors: dict[str, str]) -> int:
    if name not in query:
        return default
    text = query[name][0].strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not 1 <= int(text) <= high:
        errors[name] = f"must be an integer from 1 to {high}."
        return default
    return int(text)


def _sort(query: Mapping[str, list[str]], columns: Mapping[str, Column], order: str, errors: dict[str, str]) -> Column:
    name = query.get("sort_by", [order])[0].strip()
    column = columns.get(name)
    if column is None or not column.sortable:
        allowed = ", ".join(sorted(c.name for c in columns.values() if c.sortable))
        errors["sort_by"] = f"must be one of: {allowed}."
        return columns[order]
    return column


class _Cursor(msgspec.Struct, array_like=True):
    """What a cursor holds; it is checked, not secret: it can only ask for what the caller may see anyway."""

    version: int
    sort: str
    descending: bool
    filters: str
    value: str | None
    id: int


def _fingerprint(query: ListQuery) -> str:
    return hashlib.blake2b("\0".join(query.texts).encode(), digest_size=8).hexdigest()


def next_cursor(query: ListQuery, value: Any, row_id: int) -> str:
    """The cursor that continues after the row with this sort value and id."""
    text = None if value is None else write(value)
    raw = msgspec.json.encode(_Cursor(1, query.sort.name, query.descending, _fingerprint(query), text, row_id))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _position(cursor: str, query: ListQuery, zone: tzinfo | None) -> Position:
    refused = Invalid(fields={"cursor": "must come from an answer to a call with the same sort and filter."})
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw, type=_Cursor)
        value = None if found.value is None else query.sort.parse(found.value, zone)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise refused from error
    same = (found.sort, found.descending, found.filters) == (query.sort.name, query.descending, _fingerprint(query))
    if found.version != 1 or not same or not 0 <= found.id < 2**63 or "\0" in (found.value or ""):
        raise refused
    return Position(value, found.id)


def list_answer(
    items: Sequence[Any], total: int, *, estimate: bool, page: int, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The `data` of every list answer."""
    return {
        "items": items,
        "total": total,
        "total_is_estimate": estimate,
        "page": page,
        "limit": limit,
        "pages": -(-total // limit),
        "next_cursor": cursor,
    }
