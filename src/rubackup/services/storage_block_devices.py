"""Block devices of media servers as storages of pools of the type Block device.

The media server looks at the device and makes it ready, once: when it is added. Its uuid is kept, so no other device at the
same path is ever taken for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict, Invalid
from rubackup.domain.pools import BLOCK_DEVICE
from rubackup.services import scopes, storage_need
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.ports import DeviceFacts

LEAST_BYTES = 1024 * 1024
"""A device must hold at least one block of the largest size."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('storage_block_devices ' || $1::text, 0))"
_TAKEN = """
SELECT d.device, p.pool_name FROM storage_block_devices d JOIN pools p ON p.id = d.pool_id
WHERE d.media_server_id = $1
    AND (d.device = $2 OR d.real_path IN ($2, $3, $4) OR d.disk = $3) ORDER BY d.id LIMIT 1"""
_KNOWN = """
SELECT real_path, disk FROM storage_block_devices WHERE media_server_id = $1 AND id IS DISTINCT FROM $2::bigint
ORDER BY id"""
_FOLDER = """
SELECT s.path FROM storage_local_catalogs s
WHERE s.media_server_id = $1 AND starts_with($2, rtrim(s.path, '/') || '/') LIMIT 1"""
_INSERT = """
INSERT INTO storage_block_devices (device, real_path, disk, pool_id, media_server_id, kind, size_bytes, signature,
    overwrite_file_system, description)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id"""
_READY = "UPDATE storage_block_devices SET uuid = $2::uuid WHERE id = $1"
_MEDIA = "SELECT media_server_id FROM storage_block_devices WHERE id = $1"
_DELETE = "DELETE FROM storage_block_devices WHERE id = ANY ($1::bigint[]) RETURNING id, media_server_id"
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewBlockDevice(msgspec.Struct, kw_only=True):
    """A device that a pool is to use."""

    device: Annotated[
        str,
        Meta(description="Absolute path of a block device, or of a file, on the pool's media server.", max_length=4096),
    ]
    pool: Annotated[Ref, Meta(description="Pool of the type Block device: name or id.")]
    overwrite_file_system: Annotated[
        bool,
        Meta(description="Whether a device may be taken that carries a file system or something else known."),
    ] = False
    description: Annotated[str, _DESCRIPTION] = ""


class BlockDeviceChange(msgspec.Struct, kw_only=True):
    """What to change of a block device."""

    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET
    parallel_workers: (
        Annotated[int, Meta(description="How many threads may read and write the device at once.", ge=1, le=64)]
        | UnsetType
    ) = UNSET


async def create(change: Change, new: NewBlockDevice) -> int:
    """A new block device; the id. The media server says what is there, and makes it a storage as the last step.

    Conflict when the device is in use, belongs to a pool (also in part: a partition, a disk around it), or carries
    something known that may not be overwritten. One that carries this pool's own storage comes back with its data.
    """
    problems = Problems()
    pool = await problems.pool(change.db, new.pool, "data.pool", scopes.storage(change.principal, write=True))
    if pool and pool["pool_type"] != BLOCK_DEVICE:
        problems.add("data.pool", f"must be a pool of the type {BLOCK_DEVICE}.")
    path = problems.host_path(new.device, "data.device")
    problems.raise_any()
    await change.db.execute(_LOCK, str(pool["media_server_id"]))
    device = await _ask(change, pool, path)
    await _refuse_taken(change, pool["media_server_id"], path, device)
    own = device.pool == pool["uuid"].hex
    _refuse_unfit(path, device, overwrite=new.overwrite_file_system or own)
    device_id: int = await change.db.fetchval(
        _INSERT, path, device.real_path, device.disk, pool["id"], pool["media_server_id"], device.kind,
        device.size_bytes, device.signature, new.overwrite_file_system, new.description,
    )  # fmt: skip
    await change.event("created", "storage_block_devices", device_id, media_server_id=pool["media_server_id"])
    uuid = await _make_ready(change, pool, path, device_id, overwrite=new.overwrite_file_system)
    await change.db.execute(_READY, device_id, uuid)
    await change.wake("pools")
    return device_id


async def _make_ready(change: Change, pool: Mapping[str, Any], path: str, device_id: int, *, overwrite: bool) -> str:
    rows = await change.db.fetch(_KNOWN, pool["media_server_id"], device_id)
    taken = [tuple(row) for row in rows]
    try:
        return await change.hosts.format_device(pool["media_hwid"], path, taken, pool["uuid"].hex, overwrite=overwrite)
    except Invalid as error:
        raise Invalid(fields={"data.device": error.message}) from error


async def _ask(change: Change, pool: Mapping[str, Any], path: str) -> DeviceFacts:
    taken = [tuple(row) for row in await change.db.fetch(_KNOWN, pool["media_server_id"], None)]
    try:
        return await change.hosts.check_device(pool["media_hwid"], path, taken)
    except Invalid as error:
        raise Invalid(fields={"data.device": error.message}) from error


async def _refuse_taken(change: Change, media_id: int, path: str, device: DeviceFacts) -> None:
    real = device.same_as or device.real_path
    taken = await change.db.fetchrow(_TAKEN, media_id, path, real, device.disk)
    if taken is not None:
        raise Conflict(f"{path} is, holds or lies on {taken['device']}, which pool {taken['pool_name']} uses already.")
    folder = await change.db.fetchval(_FOLDER, media_id, device.real_path)
    if folder is not None:
        raise Conflict(f"{path} lies in {folder}, the folder of a pool.")


def _refuse_unfit(path: str, device: DeviceFacts, *, overwrite: bool) -> None:
    if device.in_use:
        raise Conflict(f"{path} is in use: {device.in_use}.")
    if device.size_bytes < LEAST_BYTES:
        raise Invalid(
            fields={"data.device": f"has {device.size_bytes} bytes; at least {LEAST_BYTES} bytes are needed."}
        )
    if device.pool and not overwrite:
        raise Conflict(
            f"{path} is a storage of another pool ({device.pool}). To take it over after the catalogue was lost, make the pool "
            "with this uuid; if nothing on it is needed any more, set overwrite_file_system."
        )
    if device.signature and not overwrite:
        raise Conflict(f"{path} carries {device.signature}; set overwrite_file_system to take it all the same.")


async def update(change: Change, device_id: int, wanted: BlockDeviceChange) -> None:
    """Change what is given."""
    columns = given(description=wanted.description, parallel_workers=wanted.parallel_workers)
    await update_columns(change.db, "storage_block_devices", device_id, columns)
    media_id = await change.db.fetchval(_MEDIA, device_id)
    await change.event("changed", "storage_block_devices", device_id, media_server_id=media_id)
    await change.wake("pools")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Take devices from their pools; what lies on them stays.

    Of a pool with copies or running tasks, only a device that nothing of the pool lies on: its media server is asked.
    Conflict says why the pool cannot do without it.
    """
    await storage_need.refuse_needed(change, "storage_block_devices", "s.device", ids)
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "storage_block_devices", row["id"], media_server_id=row["media_server_id"])
    await change.wake("pools")
