"""The two reading verbs: a list, and one row."""

from __future__ import annotations

from starlette.responses import Response

from rubackup.api.columns import columns_of
from rubackup.api.envelope import with_etag
from rubackup.api.kernel import Asked, Kernel
from rubackup.api.lists import parse_list
from rubackup.api.lookups import lookup_rows, page_in_memory
from rubackup.api.requests import read_query
from rubackup.api.resource import Source
from rubackup.api.rows import Rows, sort_default
from rubackup.domain.errors import Invalid, NotFound, TooSlow


async def list_rows(kernel: Kernel, asked: Asked) -> Response:
    """GET of a collection: one page of what the caller may see."""
    resource = asked.route.resource
    assert resource.row is not None
    columns = columns_of(resource.row, resource.source)
    order, descending = sort_default(resource)
    query = parse_list(read_query(asked.request), columns, order=order, descending=descending, zone=kernel.zone)
    if resource.lookup is not None:
        return with_etag(page_in_memory(lookup_rows(resource.lookup), query))
    try:
        async with kernel.database.connection() as db:
            return with_etag(await Rows.of(resource).page(db, query, resource.scope(asked.principal)))
    except TooSlow as error:
        raise Invalid(fields={"filter_data": _narrow(resource.source)}) from error


def _narrow(source: Source | None) -> str:
    quick = ", ".join(sorted(source.indexed)) if source else ""
    return f"takes too long with this sort; narrow it, or sort and filter by one of: {quick}."


async def read_row(kernel: Kernel, asked: Asked) -> Response:
    """GET of one row; a row out of scope does not exist."""
    resource = asked.route.resource
    assert asked.id is not None
    refuse_query(asked)
    if resource.lookup is not None:
        rows = [r for r in lookup_rows(resource.lookup) if r.id == asked.id]
        if not rows:
            raise missing(asked.route.resource.name, [asked.id])
        return with_etag(rows[0])
    async with kernel.database.connection() as db:
        found = await Rows.of(resource).fetch(db, [asked.id], resource.scope(asked.principal))
    if asked.id not in found:
        raise missing(resource.name, [asked.id])
    return with_etag(found[asked.id])


def missing(name: str, ids: list[int]) -> NotFound:
    """The 404 that names the ids that were not found."""
    listed = ", ".join(str(i) for i in ids[:100]) + (" and more" if len(ids) > 100 else "")
    return NotFound(f"Resource with name '{name}' was not found: {listed}.", ids=ids)


def refuse_query(asked: Asked) -> None:
    """Invalid when a call that takes no query has one."""
    query = read_query(asked.request)
    if query:
        raise Invalid(fields=dict.fromkeys(query, "is unknown; this call takes no query."))
