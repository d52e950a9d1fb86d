"""Pools as administrators see them; what media servers do with them is `services.pools`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog import numbers
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import CompressionType, StorageType
from rubackup.domain.names import NAME
from rubackup.domain.pools import UNCOMPRESSED, WRITTEN
from rubackup.services import _pool_types, backup_strategies, pool_names, scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.pool_uses import refuse_used

_INSERT = """
INSERT INTO pools (pool_name, pool_type, media_server_id, compression_type, description, retention_period,
    ignore_free_space_check, algorithm, hash_length, block_size, meta_data_pool_id, max_tasks, uuid)
VALUES ($1, $2, $3, $4, $5, $6::text::interval, $7, $8, $9, $10, $11, $12, coalesce($13, gen_random_uuid()))
ON CONFLICT (pool_name) DO NOTHING RETURNING id"""
_STATE = "INSERT INTO pool_state (pool_id) VALUES ($1)"
_STATE_OF_OLD = "INSERT INTO pool_state (pool_id, reconciled, contact) VALUES ($1, false, 2)"
"""A pool that another catalogue knew: not by the number of its contacts either can it take this one for that."""
_NAMED = "SELECT pool_name FROM pools WHERE uuid = $1"
_READ = "SELECT media_server_id, pool_type FROM pools WHERE id = $1"
_RETENTION = "UPDATE pools SET retention_period = $2::text::interval WHERE id = $1"
_DELETE = "DELETE FROM pools WHERE id = ANY ($1::bigint[]) RETURNING id, media_server_id"

_NAME = Meta(description="Name of the pool; unique.", min_length=1, max_length=128, pattern=NAME)
_COMPRESSION = Meta(
    description=(
        "How copies are compressed, a name of compression_type; acts on what is stored from now on. "
        "Ignored for the types Block device and Client defined."
    ),
    extra_json_schema={"type": "string"},
)
_DESCRIPTION = Meta(description="Free text.", max_length=4096)
_PERIOD = Meta(description="How long a copy may stay in the pool at most, such as '1 year'; null or empty: no limit.")
_NO_CHECK = Meta(description="Whether the free space kept in reserve may be used, too.")
_MAX_TASKS = Meta(
    description="How many tasks are at work on the pool at a time; 0: as many as its media server takes.",
    ge=0,
    le=100_000,
)
_ALGORITHM = Meta(
    description="For the type Block device, else ignored: a name of deduplication_hash_algorithm; sha2 unless given.",
    extra_json_schema={"type": ["string", "null"]},
)
_HASH_LENGTH = Meta(
    description=(
        "For the type Block device, else ignored: length of the hash in bits, 160 for sha1, 256 or 512 for the others."
    ),
    extra_json_schema={"type": ["integer", "null"]},
)
_BLOCK_SIZE = Meta(
    description=(
        "For the type Block device, else ignored: size of a block in bytes, a power of two from 16384 to 1048576; "
        "131072 unless given."
    ),
    extra_json_schema={"type": ["integer", "null"]},
)
_META_DATA_POOL = Meta(
    description=(
        "For the type Block device, which needs it, else ignored: pool of the type File system on the same media "
        "server that keeps the metadata of copies, name or id."
    ),
    extra_json_schema={"type": ["string", "integer", "null"]},
)


_UUID = Meta(
    description=(
        "Uuid of an existing pool, whose catalogue was lost: its storages are taken over with what lies in them. It stands in the "
        "file `pool` of a folder, and in the refusal of a storage that belongs to another pool. Null: a new pool."
    ),
    extra_json_schema={"type": ["string", "null"]},
)


class NewPool(msgspec.Struct, kw_only=True):
    """A pool to be made. What does not fit its type is ignored, as the guide says."""

    pool_name: Annotated[str, _NAME]
    pool_type: Annotated[str, Meta(description="A name of destination_storage_types.")]
    media_server: Annotated[Ref, Meta(description="The media server that owns the pool: host name or id.")]
    compression_type: Annotated[Any, _COMPRESSION] = CompressionType.FAST.label
    description: Annotated[str, _DESCRIPTION] = ""
    retention_period: Annotated[str | None, _PERIOD] = None
    ignore_free_space_check: Annotated[bool, _NO_CHECK] = False
    algorithm: Annotated[Any, _ALGORITHM] = None
    max_tasks: Annotated[int, _MAX_TASKS] = 0
    block_size: Annotated[Any, _BLOCK_SIZE] = None
    hash_length: Annotated[Any, _HASH_LENGTH] = None
    meta_data_pool: Annotated[Any, _META_DATA_POOL] = None
    uuid: Annotated[str | None, _UUID] = None


class PoolChange(msgspec.Struct, kw_only=True):
    """What to change of a pool."""

    pool_name: Annotated[str, _NAME] | UnsetType = UNSET
    compression_type: Annotated[Any, _COMPRESSION] = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET
    retention_period: Annotated[str, _PERIOD] | UnsetType | None = UNSET
    ignore_free_space_check: Annotated[bool, _NO_CHECK] | UnsetType = UNSET
    max_tasks: Annotated[int, _MAX_TASKS] | UnsetType = UNSET


async def create(change: Change, new: NewPool) -> int:
    """A new pool; the id. Conflict when the name or the uuid is taken."""
    problems = Problems()
    pool_type = problems.label(StorageType, new.pool_type, "data.pool_type")
    limit = scopes.storage(change.principal, "x.id", write=True)
    media = await problems.media_server(change.db, new.media_server, "data.media_server", limit)
    compression = _pool_types.compression(problems, pool_type, new.compression_type)
    period = _period(problems, new.retention_period)
    wanted = _pool_types.WantedBlocks(
        algorithm=new.algorithm, hash_length=new.hash_length, block_size=new.block_size,
        meta_data_pool=new.meta_data_pool,
    )  # fmt: skip
    limit = scopes.storage(change.principal, write=True)
    blocks = await _pool_types.blocks(change.db, problems, pool_type, wanted, media, limit)
    known = _uuid(problems, new.uuid)
    problems.raise_any()
    await pool_names.refuse_of_group(change.db, new.pool_name)
    if known is not None:
        await _refuse_known(change, known)
    pool_id: int | None = await change.db.fetchval(
        _INSERT, new.pool_name, pool_type, media["id"], compression, new.description, period,
        new.ignore_free_space_check, blocks.algorithm, blocks.hash_length, blocks.block_size, blocks.meta_data_pool_id,
        new.max_tasks, known,
    )  # fmt: skip
    if pool_id is None:
        raise Conflict(f"A pool with the name {new.pool_name} exists already.")
    if pool_type in WRITTEN:
        await change.db.execute(_STATE if known is None else _STATE_OF_OLD, pool_id)
    await change.event("created", "pool_list", pool_id, media_server_id=media["id"])
    await change.wake("pools")
    return pool_id


async def _refuse_known(change: Change, known: uuid.UUID) -> None:
    named = await change.db.fetchval(_NAMED, known)
    if named is not None:
        raise Conflict(f"The uuid {known.hex} is that of the pool {named}.")
    await numbers.leap_beyond(change.db, numbers.AHEAD - 1)


def _uuid(problems: Problems, text: str | None) -> uuid.UUID | None:
    if not text:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        problems.add("data.uuid", "must be a uuid: 32 hex digits.")
        return None


async def update(change: Change, pool_id: int, wanted: PoolChange) -> None:
    """Change what is given; Conflict when the name is taken."""
    problems = Problems()
    pool = await change.db.fetchrow(_READ, pool_id)
    columns = given(
        pool_name=wanted.pool_name,
        description=wanted.description,
        ignore_free_space_check=wanted.ignore_free_space_check,
        max_tasks=wanted.max_tasks,
    )
    if wanted.compression_type is not UNSET and pool["pool_type"] not in UNCOMPRESSED:
        columns["compression_type"] = _pool_types.compression(problems, pool["pool_type"], wanted.compression_type)
    period = _period(problems, wanted.retention_period) if wanted.retention_period is not UNSET else None
    problems.raise_any()
    if wanted.pool_name is not UNSET:
        await pool_names.refuse_of_group(change.db, wanted.pool_name)
    await update_columns(change.db, "pools", pool_id, columns)
    if wanted.retention_period is not UNSET:
        await change.db.execute(_RETENTION, pool_id, period)
    await change.event("changed", "pool_list", pool_id, media_server_id=pool["media_server_id"])
    await change.wake("pools")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete pools that nothing uses; Conflict names what uses the others."""
    await refuse_used(change.db, ids)
    await backup_strategies.refuse_pools(change.db, ids)
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "pool_list", row["id"], media_server_id=row["media_server_id"])
    await change.wake("pools")


def _period(problems: Problems, text: str | None) -> str | None:
    return problems.interval(text, "data.retention_period") if text and text.strip() else None
