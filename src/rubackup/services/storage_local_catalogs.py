"""Local catalogues: folders of media servers in which pools keep their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict, Invalid
from rubackup.domain.lookups import StorageType
from rubackup.services import scopes, storage_need
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns

_NEIGHBOUR = """
SELECT path FROM storage_local_catalogs WHERE media_server_id = $1
    AND (path = $2 OR starts_with(path, rtrim($2, '/') || '/') OR starts_with($2, rtrim(path, '/') || '/')) LIMIT 1"""
_DEVICE = """
SELECT d.device FROM storage_block_devices d
WHERE d.media_server_id = $1 AND (d.real_path = $2 OR starts_with(d.real_path, rtrim($2, '/') || '/')) LIMIT 1"""
_INSERT = """
INSERT INTO storage_local_catalogs (path, pool_id, media_server_id, description) VALUES ($1, $2, $3, $4)
ON CONFLICT (media_server_id, path) DO NOTHING RETURNING id"""
_DELETE = "DELETE FROM storage_local_catalogs WHERE id = ANY ($1::bigint[]) RETURNING id, media_server_id"
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewStorage(msgspec.Struct, kw_only=True):
    """A folder that a pool is to use."""

    path: Annotated[
        str,
        Meta(
            description="Absolute folder on the pool's media server, without symbolic links: made when missing, else empty "
            "or already this pool's.",
            max_length=4096,
        ),
    ]
    pool: Annotated[Ref, Meta(description="Pool of the type File system: name or id.")]
    description: Annotated[str, _DESCRIPTION] = ""
    existing: Annotated[
        bool,
        Meta(
            description="Whether only a folder will do that is a pool's already, as after the catalogue was lost: a folder that is "
            "missing or empty, as its disk is not mounted, is refused, and nothing is made there."
        ),
    ] = False


class StorageChange(msgspec.Struct, kw_only=True):
    """What to change of a storage."""

    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET


async def create(change: Change, new: NewStorage) -> int:
    """A new storage; the id. The media server is asked whether the folder can be used.

    Conflict when the folder is, holds or lies in another storage of the media server, belongs to another pool, or
    holds a pool's device.
    """
    problems = Problems()
    limit = scopes.storage(change.principal, write=True)
    pool = await problems.pool(change.db, new.pool, "data.pool", limit)
    if pool and pool["pool_type"] != StorageType.FILE_SYSTEM.label:
        problems.add("data.pool", f"must be a pool of the type {StorageType.FILE_SYSTEM.label}.")
    path = problems.host_path(new.path, "data.path")
    problems.raise_any()
    taken = await change.db.fetchval(_NEIGHBOUR, pool["media_server_id"], path)
    if taken is not None:
        raise Conflict(f"The folder {path} would overlap with the storage {taken}.")
    device = await change.db.fetchval(_DEVICE, pool["media_server_id"], path)
    if device is not None:
        raise Conflict(f"The folder {path} holds {device}, which is the device of a pool.")
    await _check_folder(change, pool, path, existing=new.existing)
    storage_id: int | None = await change.db.fetchval(
        _INSERT, path, pool["id"], pool["media_server_id"], new.description
    )
    if storage_id is None:
        raise Conflict(f"The folder {path} is a storage already.")
    await change.event("created", "storage_local_catalogs", storage_id, media_server_id=pool["media_server_id"])
    await change.wake("pools")
    return storage_id


async def _check_folder(change: Change, pool: Mapping[str, Any], path: str, *, existing: bool) -> None:
    try:
        await change.hosts.check_folder(pool["media_hwid"], path, pool["uuid"].hex, existing=existing)
    except Invalid as error:
        raise Invalid(fields={"data.path": error.message}) from error


async def update(change: Change, storage_id: int, wanted: StorageChange) -> None:
    """Change what is given."""
    await update_columns(change.db, "storage_local_catalogs", storage_id, given(description=wanted.description))
    media = await change.db.fetchval("SELECT media_server_id FROM storage_local_catalogs WHERE id = $1", storage_id)
    await change.event("changed", "storage_local_catalogs", storage_id, media_server_id=media)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Take folders from their pools, data in them stays.

    Of a pool with copies or running tasks, only a folder that nothing of the pool lies in: its media server is asked.
    Conflict says why the pool cannot do without it.
    """
    await storage_need.refuse_needed(change, "storage_local_catalogs", "s.path", ids)
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "storage_local_catalogs", row["id"], media_server_id=row["media_server_id"])
    await change.wake("pools")
