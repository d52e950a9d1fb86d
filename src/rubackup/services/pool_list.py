"""Pools as administrators see them; what media servers do with them is `services.pools`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import CompressionType, StorageType
from rubackup.domain.tasks import FINAL
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns

_INSERT = """
INSERT INTO pools (pool_name, pool_type, media_server_id, compression_type, description, retention_period,
    ignore_free_space_check)
VALUES ($1, $2, $3, $4, $5, $6::text::interval, $7) ON CONFLICT (pool_name) DO NOTHING RETURNING id"""
_STATE = "INSERT INTO pool_state (pool_id) VALUES ($1)"
_MEDIA = "SELECT media_server_id FROM pools WHERE id = $1"
_RETENTION = "UPDATE pools SET retention_period = $2::text::interval WHERE id = $1"
_IN_USE = """
SELECT p.pool_name, EXISTS (SELECT 1 FROM repository r WHERE r.pool_id = p.id) AS records,
    EXISTS (SELECT 1 FROM storage_local_catalogs s WHERE s.pool_id = p.id) AS storages,
    EXISTS (SELECT 1 FROM task_queue t WHERE t.pool_id = p.id AND t.status <> ALL ($2::text[])) AS tasks,
    EXISTS (SELECT 1 FROM global_schedule s WHERE s.pool_id = p.id OR s.move_copy_pool_id = p.id) AS rules
FROM pools p WHERE p.id = ANY ($1::bigint[]) ORDER BY p.id"""
_DELETE = "DELETE FROM pools WHERE id = ANY ($1::bigint[]) RETURNING id, media_server_id"

_NAME = Meta(description="Name of the pool; unique.", min_length=1, max_length=128)
_COMPRESSION = Meta(
    description="How copies are compressed, a name of compression_type; acts on what is stored from now on."
)
_DESCRIPTION = Meta(description="Free text.", max_length=4096)
_PERIOD = Meta(description="How long a copy may stay in the pool at most, such as '1 year'; null or empty: no limit.")
_NO_CHECK = Meta(description="Whether the free space kept in reserve may be used, too.")
_IGNORED = Meta(description="Only for pools of type Block device; ignored for other types.")


class NewPool(msgspec.Struct, kw_only=True):
    """A pool to be made. What does not fit its type is ignored, as the guide says."""

    pool_name: Annotated[str, _NAME]
    pool_type: Annotated[str, Meta(description="A name of destination_storage_types.")]
    media_server: Annotated[Ref, Meta(description="The media server that owns the pool: host name or id.")]
    compression_type: Annotated[str, _COMPRESSION] = CompressionType.FAST.label
    description: Annotated[str, _DESCRIPTION] = ""
    retention_period: Annotated[str | None, _PERIOD] = None
    ignore_free_space_check: Annotated[bool, _NO_CHECK] = False
    algorithm: Annotated[Any, _IGNORED] = None
    block_size: Annotated[Any, _IGNORED] = None
    hash_length: Annotated[Any, _IGNORED] = None
    meta_data_pool: Annotated[Any, _IGNORED] = None


class PoolChange(msgspec.Struct, kw_only=True):
    """What to change of a pool."""

    pool_name: Annotated[str, _NAME] | UnsetType = UNSET
    compression_type: Annotated[str, _COMPRESSION] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET
    retention_period: Annotated[str, _PERIOD] | UnsetType | None = UNSET
    ignore_free_space_check: Annotated[bool, _NO_CHECK] | UnsetType = UNSET


async def create(change: Change, new: NewPool) -> int:
    """A new pool; the id. Conflict when the name is taken or pools of this type are not served yet."""
    problems = Problems()
    pool_type = problems.label(StorageType, new.pool_type, "data.pool_type")
    limit = scopes.storage(change.principal, "x.id", write=True)
    media = await problems.media_server(change.db, new.media_server, "data.media_server", limit)
    compression = problems.label(CompressionType, new.compression_type, "data.compression_type")
    period = _period(problems, new.retention_period)
    problems.raise_any()
    if pool_type != StorageType.FILE_SYSTEM.label:
        raise Conflict(f"Pools of the type {pool_type} are not served by this version.")
    pool_id: int | None = await change.db.fetchval(
        _INSERT, new.pool_name, pool_type, media["id"], compression, new.description, period,
        new.ignore_free_space_check,
    )  # fmt: skip
    if pool_id is None:
        raise Conflict(f"A pool with the name {new.pool_name} exists already.")
    await change.db.execute(_STATE, pool_id)
    await change.event("created", "pool_list", pool_id, media_server_id=media["id"])
    await change.wake("pools")
    return pool_id


async def update(change: Change, pool_id: int, wanted: PoolChange) -> None:
    """Change what is given; Conflict when the name is taken."""
    problems = Problems()
    columns = given(
        pool_name=wanted.pool_name,
        description=wanted.description,
        ignore_free_space_check=wanted.ignore_free_space_check,
    )
    if wanted.compression_type is not UNSET:
        columns["compression_type"] = problems.label(CompressionType, wanted.compression_type, "data.compression_type")
    period = _period(problems, wanted.retention_period) if wanted.retention_period is not UNSET else None
    problems.raise_any()
    await update_columns(change.db, "pools", pool_id, columns)
    if wanted.retention_period is not UNSET:
        await change.db.execute(_RETENTION, pool_id, period)
    await change.event("changed", "pool_list", pool_id, media_server_id=await change.db.fetchval(_MEDIA, pool_id))
    await change.wake("pools")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete empty pools; Conflict names those with copies, storages or unfinished tasks, and those of rules."""
    for row in await change.db.fetch(_IN_USE, list(ids), [status.label for status in FINAL]):
        found = [what for what in ("records", "storages", "tasks", "rules") if row[what]]
        if found:
            words = {
                "records": "copies", "storages": "storages", "tasks": "unfinished tasks",
                "rules": "rules of the global schedule",
            }  # fmt: skip
            raise Conflict(f"Pool {row['pool_name']} has {' and '.join(words[what] for what in found)}.")
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "pool_list", row["id"], media_server_id=row["media_server_id"])
    await change.wake("pools")


def _period(problems: Problems, text: str | None) -> str | None:
    return problems.interval(text, "data.retention_period") if text and text.strip() else None
