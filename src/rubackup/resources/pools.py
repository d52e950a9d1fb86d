"""Pools and the folders in which they keep their data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Action, Answer, Body, Call, Clause, Created, Later, Op, Resource, Source
from rubackup.catalog.database import Connection
from rubackup.domain.errors import Invalid
from rubackup.domain.permissions import Permission, Principal
from rubackup.domain.pools import PoolProblem
from rubackup.resources._adapters import limited, making, queued
from rubackup.services import (
    cleanings,
    pool_fit,
    pool_list,
    pools,
    reconciliation,
    reconciliation_pages,
    scopes,
    storage_local_catalogs,
)


class PoolRow(msgspec.Struct, kw_only=True):
    """A pool, with what its media server last said of it."""

    id: Annotated[int, Meta(description="Id of the pool.")]
    uuid: Annotated[str, Meta(description="The pool's name in its storages.")]
    pool_name: Annotated[str, Meta(description="Name of the pool.")]
    pool_type: Annotated[str, Meta(description="A name of destination_storage_types.")]
    media_server: Annotated[str, Meta(description="Host name of the media server that owns it.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    compression_type: Annotated[
        str, Meta(description="A name of compression_type; None for the types Block device and Client defined.")
    ]
    description: Annotated[str, Meta(description="Free text.")]
    retention_period: Annotated[str | None, Meta(description="How long a copy may stay at most; null: no limit.")]
    ignore_free_space_check: Annotated[bool, Meta(description="Whether the reserve of free space may be used.")]
    max_tasks: Annotated[int, Meta(description="How many tasks are at work on it at a time; 0: any number.")]
    algorithm: Annotated[str | None, Meta(description="A name of deduplication_hash_algorithm; Block device only.")]
    hash_length: Annotated[int | None, Meta(description="Length of the hash in bits; Block device only.")]
    block_size: Annotated[int | None, Meta(description="Size of a block in bytes; Block device only.")]
    meta_data_pool: Annotated[str | None, Meta(description="Pool that keeps the metadata; Block device only.")]
    meta_data_pool_ref: Annotated[int | None, Meta(description="Id of that pool.")]
    problem: Annotated[str, Meta(description="What keeps the pool from being used; empty when nothing does.")]
    problem_code: Annotated[
        str,
        Meta(
            description=f"What kind of problem that is, for programs: {', '.join(PoolProblem)}; empty without a problem."
        ),
    ]
    free_bytes: Annotated[int, Meta(description="Free space of its storages in bytes.")]
    used_bytes: Annotated[int, Meta(description="What the pool's data takes in bytes.")]
    total_bytes: Annotated[int, Meta(description="Size of its storages in bytes.")]
    emergency_path: Annotated[
        str, Meta(description="Its emergency storage, in which something of it lies; empty: nothing does.")
    ]
    emergency_used_bytes: Annotated[int, Meta(description="What the pool's data takes in it in bytes.")]
    chunks: Annotated[int, Meta(description="How many different chunks it holds.")]
    reconciled: Annotated[
        bool, Meta(description="Whether the pool knows this catalogue; if not, nothing is deleted or collected in it.")
    ]
    reported_at: Annotated[datetime | None, Meta(description="When the media server reported last.")]
    created_at: Annotated[datetime, Meta(description="When the pool was made.")]


_TABLE = (
    "pools p JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN pool_state s ON s.pool_id = p.id "
    "LEFT JOIN pools d ON d.id = p.meta_data_pool_id"
)
_COLUMNS = {
    "id": "p.id", "uuid": "p.uuid::text", "pool_name": "p.pool_name", "pool_type": "p.pool_type",
    "media_server": "m.hostname", "media_server_ref": "p.media_server_id", "compression_type": "p.compression_type",
    "description": "p.description", "retention_period": "p.retention_period::text",
    "ignore_free_space_check": "p.ignore_free_space_check", "max_tasks": "p.max_tasks",
    "algorithm": "p.algorithm", "hash_length": "p.hash_length", "block_size": "p.block_size",
    "meta_data_pool": "d.pool_name", "meta_data_pool_ref": "p.meta_data_pool_id",
    "problem": pools.PROBLEM, "problem_code": pools.PROBLEM_CODE,
    "free_bytes": "coalesce(s.free_bytes, 0)", "used_bytes": "coalesce(s.used_bytes, 0)",
    "total_bytes": pools.TOTAL_BYTES, "chunks": "coalesce(s.chunks, 0)",
    "emergency_path": "coalesce(s.emergency_path, '')",
    "emergency_used_bytes": "coalesce(s.emergency_used_bytes, 0)",
    "reconciled": "coalesce(s.reconciled, true)", "reported_at": "s.reported_at",
    "created_at": "p.created_at",
}  # fmt: skip
_INDEXED = frozenset({"id", "uuid", "pool_name", "media_server_ref"})
_SCOPE = limited(lambda principal: scopes.storage(principal, "p.media_server_id"))


async def _clean(call: Call) -> Created:
    assert call.id is not None
    return queued(await cleanings.clean(call.change, call.id))


async def _ask(call: Call) -> Later:
    assert call.id is not None
    pool = await reconciliation.facts(call.change.db, call.id)
    query = call.query
    if query.limit is not None:
        cursor = await reconciliation_pages.begin(call.change.db, pool, query.after, apply=query.apply)
        return Later(lambda: reconciliation_pages.examine(call.change.hosts, pool, cursor, query.limit))
    if query.after:
        raise Invalid("after must come with limit.")
    return Later(lambda: reconciliation.examine(call.change.hosts, pool))


async def _reconcile(call: Call) -> reconciliation.Reconciliation:
    assert call.id is not None
    if call.query.limit is not None:
        return await reconciliation_pages.reconcile(call.change, call.id, call.told, apply=call.query.apply)
    return await reconciliation.reconcile(call.change, call.id, call.told, apply=call.query.apply)


POOL_LIST = Resource(
    path="pool_list",
    name="Pool List",
    tag="Pool List",
    summary="What copies are stored in",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=PoolRow,
    source=Source(_TABLE, "p.id", _COLUMNS, _INDEXED),
    ops=CRUD,
    scope=_SCOPE,
    changeable=limited(lambda principal: scopes.storage(principal, "p.media_server_id", write=True)),
    create=making(pool_list.create),
    create_body=Body(
        pool_list.NewPool,
        example={
            "data": {
                "pool_name": "my_pool_name", "pool_type": "Block device", "media_server": "rubackup-server",
                "compression_type": "None", "description": "", "retention_period": "1 year",
                "ignore_free_space_check": False, "algorithm": "streebog", "block_size": 131072, "hash_length": 256,
                "meta_data_pool": "Default",
            }
        },
    ),
    update=pool_list.update,
    update_body=Body(
        pool_list.PoolChange,
        example={
            "data": {
                "pool_name": "my_pool_name", "compression_type": "None", "description": "",
                "retention_period": "1 year", "ignore_free_space_check": False,
            }
        },
    ),
    delete=pool_list.delete,
    actions=(
        Action(
            "POST", "{id}/cleaning", "Free what no copy in the pool needs", Permission.WRITE_STORAGE, _clean,
            answer=Answer.TASKS,
        ),
        Action(
            "POST", "{id}/reconciliation", "Make the catalogue agree with what lies in the pool",
            Permission.WRITE_CONFIGURATION, _reconcile, ask=_ask, answer=Answer.OBJECT, row=reconciliation.Reconciliation,
            query=reconciliation.ReconciliationQuery,
        ),
    ),
)  # fmt: skip


async def _for_copies(db: Connection, principal: Principal, query: pool_fit.SourceQuery) -> Clause:
    limit = await pool_fit.for_copies(db, principal, query)
    return Clause(limit.sql, limit.values)


POOLS_FOR_COPIES = Resource(
    path="pool_list/available_for_copy_or_move",
    name="Pool List",
    tag="Pool List",
    summary="What copies are stored in",
    read=Permission.READ_STORAGE,
    row=PoolRow,
    source=Source(_TABLE, "p.id", _COLUMNS, _INDEXED, lock="-"),
    ops=Op.LIST,
    scope=_SCOPE,
    list_query=pool_fit.SourceQuery,
    narrow=_for_copies,
)  # fmt: skip


class StorageLocalCatalogRow(msgspec.Struct, kw_only=True):
    """A folder of a media server in which a pool keeps data."""

    id: Annotated[int, Meta(description="Id of the storage.")]
    path: Annotated[str, Meta(description="Folder on the media server.")]
    pool: Annotated[str, Meta(description="Name of the pool that uses it.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    media_server: Annotated[str, Meta(description="Host name of the media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of the media server.")]
    description: Annotated[str, Meta(description="Free text.")]
    problem: Annotated[str, Meta(description="What keeps the folder from being used; empty when nothing does.")]
    free_bytes: Annotated[int, Meta(description="Free space of the folder's file system in bytes.")]
    used_bytes: Annotated[int, Meta(description="What the pool's data takes in the folder in bytes.")]
    total_bytes: Annotated[int, Meta(description="Size of the folder's file system in bytes.")]
    created_at: Annotated[datetime, Meta(description="When it was added.")]


STORAGE_LOCAL_CATALOGS = Resource(
    path="storage_local_catalogs",
    name="Storage Local Catalogs",
    tag="Storage Local Catalogs",
    summary="Folders in which pools keep their data",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=StorageLocalCatalogRow,
    source=Source(
        "storage_local_catalogs s JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = s.media_server_id "
        "LEFT JOIN storage_state t ON t.storage_id = s.id",
        "s.id",
        {
            "id": "s.id", "path": "s.path", "pool": "p.pool_name", "pool_ref": "s.pool_id",
            "media_server": "m.hostname", "media_server_ref": "s.media_server_id", "description": "s.description",
            "problem": f"coalesce(t.problem, '{pools.UNREPORTED}')", "free_bytes": "coalesce(t.free_bytes, 0)",
            "used_bytes": "coalesce(t.used_bytes, 0)", "total_bytes": "coalesce(t.total_bytes, 0)",
            "created_at": "s.created_at",
        },
        frozenset({"id", "pool_ref", "media_server_ref"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.storage(principal, "s.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "s.media_server_id", write=True)),
    create=making(storage_local_catalogs.create),
    create_body=Body(
        storage_local_catalogs.NewStorage,
        example={"data": {"path": "/rubackup/default", "pool": "Default", "description": ""}},
    ),
    update=storage_local_catalogs.update,
    update_body=Body(storage_local_catalogs.StorageChange, example={"data": {"description": ""}}),
    delete=storage_local_catalogs.delete,
)  # fmt: skip
