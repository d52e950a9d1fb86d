"""Storages that clients bring themselves, as parts of pools of the type Client defined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict
from rubackup.domain.names import NAME_OR_EMPTY
from rubackup.domain.pools import CLIENT_DEFINED
from rubackup.services import client_pools, scopes
from rubackup.services._pool_types import same_server_files
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns

_INSERT = """
INSERT INTO client_defined_storages (name, pool_id, metadata_fs_pool_id, description) VALUES ($1, $2, $3, $4)
ON CONFLICT (pool_id, name) DO NOTHING RETURNING id"""
_READ = """
SELECT s.pool_id, s.name, p.media_server_id,
    (SELECT o.id FROM client_defined_storages o WHERE o.pool_id = s.pool_id AND o.name = $2 AND o.id <> s.id) AS taken
FROM client_defined_storages s JOIN pools p ON p.id = s.pool_id WHERE s.id = $1"""
_DELETE = """
DELETE FROM client_defined_storages s USING pools p WHERE p.id = s.pool_id AND s.id = ANY ($1::bigint[])
RETURNING s.id, s.pool_id, p.media_server_id"""

_NAME = Meta(
    description="Name of the storage; unique within its pool, may be empty.", max_length=128, pattern=NAME_OR_EMPTY
)
_METADATA = Meta(
    description="Pool of the type File system on the same media server that keeps the metadata of copies: name or id."
)
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewClientStorage(msgspec.Struct, kw_only=True):
    """A storage of a client's own."""

    pool: Annotated[Ref, Meta(description="Pool of the type Client defined: name or id.")]
    metadata_fs_pool: Annotated[Ref, _METADATA]
    name: Annotated[str, _NAME] = ""
    description: Annotated[str, _DESCRIPTION] = ""


class ClientStorageChange(msgspec.Struct, kw_only=True):
    """What to change of such a storage."""

    name: Annotated[str, _NAME] | UnsetType = UNSET
    metadata_fs_pool: Annotated[Ref, _METADATA] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET


async def create(change: Change, new: NewClientStorage) -> int:
    """A new storage; the id. Conflict when its pool has one of this name."""
    problems, limit = Problems(), scopes.storage(change.principal, write=True)
    pool = await problems.pool(change.db, new.pool, "data.pool", limit)
    if pool and pool["pool_type"] != CLIENT_DEFINED:
        problems.add("data.pool", f"must be a pool of the type {CLIENT_DEFINED}.")
    metadata = await _metadata(change, problems, new.metadata_fs_pool, pool and pool["media_server_id"])
    problems.raise_any()
    storage_id: int | None = await change.db.fetchval(_INSERT, new.name, pool["id"], metadata, new.description)
    if storage_id is None:
        raise _taken(new.name)
    await client_pools.sum_up(change.db, [pool["id"]])
    await change.event("created", "client_defined_storages", storage_id, media_server_id=pool["media_server_id"])
    await change.wake("pools")
    return storage_id


async def update(change: Change, storage_id: int, wanted: ClientStorageChange) -> None:
    """Change what is given; Conflict when the name is taken within the pool."""
    problems = Problems()
    columns = given(name=wanted.name, description=wanted.description)
    before = await change.db.fetchrow(_READ, storage_id, columns.get("name"))
    if wanted.metadata_fs_pool is not UNSET:
        found = await _metadata(change, problems, wanted.metadata_fs_pool, before["media_server_id"])
        columns["metadata_fs_pool_id"] = found
    problems.raise_any()
    if before["taken"] is not None:
        raise _taken(columns["name"])
    if columns.get("name", before["name"]) != before["name"]:
        await client_pools.refuse_in_use(change.db, [storage_id])  # clients find their folder by the name
    await update_columns(change.db, "client_defined_storages", storage_id, columns)
    await change.event(
        "changed", "client_defined_storages", storage_id, media_server_id=before["media_server_id"]
    )  # fmt: skip
    await change.wake("pools")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete storages; Conflict while copies lie in one."""
    await client_pools.refuse_in_use(change.db, ids)
    rows = await change.db.fetch(_DELETE, list(ids))
    await client_pools.sum_up(change.db, sorted({row["pool_id"] for row in rows}))
    for row in rows:
        await change.event("deleted", "client_defined_storages", row["id"], media_server_id=row["media_server_id"])
    await change.wake("pools")


async def _metadata(change: Change, problems: Problems, wanted: Ref, media_id: int | None) -> int | None:
    field = "data.metadata_fs_pool"
    found = await problems.pool(change.db, wanted, field, scopes.storage(change.principal, write=True))
    return same_server_files(problems, found, media_id, field)


def _taken(name: str) -> Conflict:
    return Conflict(f"The pool has a storage with the name {name or '(empty)'} already.")
