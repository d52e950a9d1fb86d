"""Which pools belong to which dynamic pool group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.dynamic_pool_groups import visible
from rubackup.services.fields import Problems, Ref

_GROUP = "SELECT x.id FROM dynamic_pool_groups x WHERE"
_INSERT = """
INSERT INTO dynamic_pool_groups_records (group_id, pool_id, enabled) VALUES ($1, $2, $3)
ON CONFLICT (group_id, pool_id) DO NOTHING RETURNING id"""
_DELETE = """
DELETE FROM dynamic_pool_groups_records r USING pools p WHERE p.id = r.pool_id AND r.id = ANY ($1::bigint[])
RETURNING r.id, p.media_server_id"""


class NewGroupRecord(msgspec.Struct, kw_only=True):
    """A pool that joins a dynamic pool group."""

    dynamic_pool_group: Annotated[Ref, Meta(description="The group: id or name.")]
    pool: Annotated[Ref, Meta(description="The pool: name or id.")]
    enabled: Annotated[bool, Meta(description="Whether the pool gets tasks of the group.")] = True


async def create(change: Change, new: NewGroupRecord) -> int:
    """Put a pool into a group; the id of the record. Conflict when it is in the group already."""
    problems = Problems()
    limit = visible(change.principal, "x.id")
    group = await problems.find(
        change.db, _GROUP, "dynamic pool group", new.dynamic_pool_group, "data.dynamic_pool_group", limit
    )
    pool = await problems.pool(change.db, new.pool, "data.pool", scopes.storage(change.principal, write=True))
    problems.raise_any()
    row_id: int | None = await change.db.fetchval(_INSERT, group["id"], pool["id"], new.enabled)
    if row_id is None:
        raise Conflict(f"Pool {pool['name']} is in this dynamic pool group already.")
    await change.event("created", "dynamic_pool_groups_records", row_id, media_server_id=pool["media_server_id"])
    return row_id


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Take pools out of their groups."""
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "dynamic_pool_groups_records", row["id"], media_server_id=row["media_server_id"])
