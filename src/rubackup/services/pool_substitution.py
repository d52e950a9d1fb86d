"""Pools that take the place of pools that cannot be used.

A pool may have several substitutions, tried in the order in which they were made. Only they are tried, not their own
substitutions in turn, so two pools may stand in for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref

_INSERT = """
INSERT INTO pool_substitutions (pool_id, substitution_id) VALUES ($1, $2)
ON CONFLICT (pool_id, substitution_id) DO NOTHING RETURNING id"""
_DELETE = """
DELETE FROM pool_substitutions s USING pools p, pools o
WHERE p.id = s.pool_id AND o.id = s.substitution_id AND s.id = ANY ($1::bigint[])
RETURNING s.id, p.media_server_id AS media, o.media_server_id AS other_media"""


class NewSubstitution(msgspec.Struct, kw_only=True):
    """A pool and what takes its place."""

    pool: Annotated[Ref, Meta(description="Pool whose place is taken: name or id.")]
    substitution: Annotated[Ref, Meta(description="Pool of the same type that takes it: name or id.")]


async def create(change: Change, new: NewSubstitution) -> int:
    """A new substitution; the id. The caller must dispose of both pools. Conflict when it is there already."""
    problems, limit = Problems(), scopes.storage(change.principal, write=True)
    pool = await problems.pool(change.db, new.pool, "data.pool", limit)
    other = await problems.pool(change.db, new.substitution, "data.substitution", limit)
    if pool and other and pool["id"] == other["id"]:
        problems.add("data.substitution", "must be another pool.")
    if pool and other and pool["pool_type"] != other["pool_type"]:
        problems.add("data.substitution", f"must be a pool of the type {pool['pool_type']}.")
    problems.raise_any()
    row_id: int | None = await change.db.fetchval(_INSERT, pool["id"], other["id"])
    if row_id is None:
        raise Conflict(f"Pool {other['name']} is a substitution of {pool['name']} already.")
    await _tell(change, "created", row_id, pool["media_server_id"], other["media_server_id"])
    return row_id


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete substitutions."""
    for row in await change.db.fetch(_DELETE, list(ids)):
        await _tell(change, "deleted", row["id"], row["media"], row["other_media"])


async def _tell(change: Change, kind: str, row_id: int, media: int, other: int) -> None:
    """An event for the maintainer of both pools; one of one pool alone knows of no substitution."""
    await change.event(kind, "pool_substitution", row_id, media_server_id=media if media == other else None)
