"""Which pools a copy can be copied or moved into. The rule is `domain.pools.fits`; here it meets the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Invalid
from rubackup.domain.permissions import Principal
from rubackup.domain.pools import PoolFacts, fits, takes
from rubackup.services import scopes, storage_kinds
from rubackup.services.scopes import Limit

_FACTS = f"""
SELECT p.id, p.pool_type, p.algorithm, p.hash_length, p.block_size,
    {storage_kinds.COUNT} AS storages
FROM pools p WHERE $1::bigint[] IS NULL OR p.id = ANY ($1::bigint[])"""  # noqa: S608 - expressions of the code
_OF_POOL = """
SELECT x.id FROM pools x WHERE (x.pool_name = $1 OR x.id::text = $1) AND ({limit})
ORDER BY x.pool_name = $1 DESC LIMIT 1"""
_OF_RECORD = """
SELECT r.pool_id FROM repository r JOIN pools p ON p.id = r.pool_id LEFT JOIN clients c ON c.id = r.client_id
WHERE r.id = $1 AND ({limit})"""
_GROUP = "coalesce(c.group_id, r.client_group_id)"


class SourceQuery(msgspec.Struct, kw_only=True):
    """Where the copy is that is to be copied or moved."""

    pool: (
        Annotated[str, Meta(description="Only pools that copies of this pool fit into: name or id.", max_length=128)]
        | None
    ) = None
    record_id: Annotated[int, Meta(description="Only pools that this copy fits into.", ge=1)] | None = None


async def facts(db: Connection, pool_ids: Sequence[int] | None = None) -> dict[int, PoolFacts]:
    """What decides about these pools, or about all, by id; pools that are not there are left out."""
    rows = await db.fetch(_FACTS, None if pool_ids is None else list(pool_ids))
    return {row["id"]: PoolFacts(**dict(row)) for row in rows}


async def reason(db: Connection, source_id: int, target_id: int) -> str:
    """Why copies of a pool cannot go into another one, as a sentence; '' when they can. Both must exist."""
    found = await facts(db, (source_id, target_id))
    return fits(found[source_id], found[target_id])


async def for_copies(db: Connection, principal: Principal, query: SourceQuery) -> Limit:
    """The pools `p` that take a copy, of the source if one is named; Invalid when the caller may not know of that."""
    source_id = await _source(db, principal, query)
    pools = await facts(db)
    if source_id is None:
        good = [one.id for one in pools.values() if not takes(one)]
    else:
        good = [one.id for one in pools.values() if not fits(pools[source_id], one)]
    return Limit("p.id = ANY ({}::bigint[])", (good,))


async def _source(db: Connection, principal: Principal, query: SourceQuery) -> int | None:
    if query.pool is not None and query.record_id is not None:
        raise Invalid(fields={"record_id": "cannot be given together with pool."})
    if query.pool is not None:
        limit = scopes.storage(principal)
        return await _known(db, _OF_POOL, query.pool, limit, {"pool": "unknown pool."})
    if query.record_id is not None:
        limit = scopes.work(principal, _GROUP, "p.media_server_id")
        return await _known(db, _OF_RECORD, query.record_id, limit, {"record_id": "unknown copy."})
    return None


async def _known(db: Connection, statement: str, value: int | str, limit: Limit, unknown: dict[str, str]) -> int:
    found: int | None = await db.fetchval(statement.format(limit=limit.numbered(2)), value, *limit.values)
    if found is None:
        raise Invalid(fields=unknown)
    return found
