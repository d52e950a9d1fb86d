"""The two reading verbs: a list, and one row."""

from __future__ import annotations

from starlette.responses import Response

from rubackup.api.columns import columns_of
from rubackup.api.envelope import with_etag
from rubackup.api.kernel import Asked, Kernel
from rubackup.api.lists import parse_list
from rubackup.api.lookups import lookup_rows, page_in_memory
from rubackup.api.requests import read_query
from rubackup.api.resource import Clause, Resource, Source
from rubackup.api.rows import Rows, sort_default
from rubackup.api.validate import build_query, struct_type
from rubackup.catalog.database import Connection
from rubackup.domain.errors import Invalid, NotFound, TooSlow


async def list_rows(kernel: Kernel, asked: Asked) -> Response:
    """GET of a collection: one page of what the caller may see."""
    resource = asked.route.resource
    assert resource.row is not None
    columns = columns_of(resource.row, resource.source)
    order, descending = sort_default(resource)
    told, own = read_query(asked.request), own_parameters(resource)
    query = parse_list(told, columns, order=order, descending=descending, zone=kernel.zone, more=own)
    narrowing = None
    if resource.list_query is not None:
        mine = {name: values for name, values in told.items() if name in own}
        narrowing = build_query(resource.list_query, mine, zone=kernel.zone)
    if resource.lookup is not None:
        return with_etag(page_in_memory(lookup_rows(resource.lookup), query))
    try:
        async with kernel.database.connection() as db:
            return with_etag(
                await Rows.of(resource).page(db, query, await _shown(db, asked, narrowing), kernel.estimates)
            )
    except TooSlow as error:
        raise Invalid(fields={"filter_data": _narrow(resource.source)}) from error


def own_parameters(resource: Resource) -> tuple[str, ...]:
    """What the query of a list call may say beside what every list takes."""
    return tuple(f.encode_name for f in struct_type(resource.list_query).fields) if resource.list_query else ()


async def _shown(db: Connection, asked: Asked, narrowing: object) -> Clause:
    """The caller's scope, narrowed where the resource says so."""
    resource = asked.route.resource
    scope = resource.scope(asked.principal)
    if resource.narrow is None:
        return scope
    clause = await resource.narrow(db, asked.principal, narrowing)
    return Clause(f"({scope.sql}) AND ({clause.sql})", scope.values + clause.values)


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
