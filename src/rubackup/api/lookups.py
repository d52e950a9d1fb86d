"""Lookup tables as resources: rows `{id, name, description}` straight from the enumeration, no table, no query."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from rubackup.api.lists import ListQuery, list_answer, next_cursor
from rubackup.domain.lookups import Lookup


class LookupRow(msgspec.Struct, frozen=True):
    """One entry of a lookup table."""

    id: Annotated[int, msgspec.Meta(description="Number of the entry in its table, from 1.")]
    name: Annotated[str, msgspec.Meta(description="What other resources write in their fields.")]
    description: Annotated[str, msgspec.Meta(description="What the entry means.")]


def lookup_rows(lookup: type[Lookup]) -> list[LookupRow]:
    """Every entry, in order."""
    return [LookupRow(m.id, m.label, m.description) for m in lookup]


def page_in_memory(rows: Sequence[Any], query: ListQuery) -> dict[str, Any]:
    """One page of rows in memory: the same filter, order, cursor and form as from PostgreSQL."""
    name = query.sort.name
    key = attrgetter(name, "id")
    found = sorted((r for r in rows if all(c.holds(r) for c in query.conditions)), key=key, reverse=query.descending)
    total = len(found)
    if query.after is not None:
        mark = (query.after.value, query.after.id)
        found = [r for r in found if (key(r) < mark if query.descending else key(r) > mark)]
    shown = found[query.offset : query.offset + query.limit]
    more = len(found) > query.offset + query.limit
    cursor = next_cursor(query, getattr(shown[-1], name), shown[-1].id) if more and shown else None
    return list_answer(shown, total, estimate=False, page=query.page, limit=query.limit, cursor=cursor)
