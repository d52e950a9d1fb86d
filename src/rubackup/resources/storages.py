"""Storages of pools other than folders: block devices, storages that clients bring, buckets of object storages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Body, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.services import (
    client_defined_storages,
    client_pools,
    pools,
    scopes,
    storage_block_devices,
    storage_clouds,
)


class BlockDeviceRow(msgspec.Struct, kw_only=True):
    """A block device, or a file that stands for one, of a pool. Size and signature are those of its adding."""

    id: Annotated[int, Meta(description="Id of the storage.")]
    device: Annotated[str, Meta(description="Path on the media server.")]
    real_path: Annotated[str, Meta(description="Where that path led when the device was added.")]
    kind: Annotated[str, Meta(description="`block device` or `file`.")]
    pool: Annotated[str, Meta(description="Name of the pool that uses it.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    media_server: Annotated[str, Meta(description="Host name of the media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of the media server.")]
    size_bytes: Annotated[int, Meta(description="Size in bytes.")]
    signature: Annotated[str, Meta(description="What it carried; empty when nothing known was found.")]
    overwrite_file_system: Annotated[bool, Meta(description="Whether it might be taken whatever it carried.")]
    parallel_workers: Annotated[int, Meta(description="How many threads may read and write it at once.")]
    uuid: Annotated[
        str | None,
        Meta(
            description="What it was given when it was made ready; null: never. Another device at its path is not used."
        ),
    ]
    problem: Annotated[str, Meta(description="What keeps the device from being used; empty when nothing does.")]
    free_bytes: Annotated[int, Meta(description="Free space of the device in bytes.")]
    used_bytes: Annotated[int, Meta(description="What the pool's data takes on the device in bytes.")]
    description: Annotated[str, Meta(description="Free text.")]
    created_at: Annotated[datetime, Meta(description="When it was added.")]


_DEVICE_OWN = (
    "id", "device", "real_path", "kind", "size_bytes", "signature", "overwrite_file_system", "parallel_workers",
    "description", "created_at",
)  # fmt: skip
_POOL = {"pool": "p.pool_name", "pool_ref": "s.pool_id", "media_server": "m.hostname"}
_OF_MEDIA = "JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = p.media_server_id"

STORAGE_BLOCK_DEVICES = Resource(
    path="storage_block_devices",
    name="Storage Block Devices",
    tag="Storage Block Devices",
    summary="Devices of pools of the type Block device",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=BlockDeviceRow,
    source=Source(
        f"storage_block_devices s {_OF_MEDIA} LEFT JOIN storage_block_device_state t ON t.storage_id = s.id",
        "s.id",
        {
            **{one: f"s.{one}" for one in _DEVICE_OWN},
            **_POOL,
            "media_server_ref": "s.media_server_id",
            "uuid": "s.uuid::text",
            "problem": f"coalesce(t.problem, '{pools.UNREPORTED}')",
            "free_bytes": "coalesce(t.free_bytes, 0)",
            "used_bytes": "coalesce(t.used_bytes, 0)",
        },
        frozenset({"id", "pool_ref", "media_server_ref"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.storage(principal, "s.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "s.media_server_id", write=True)),
    create=making(storage_block_devices.create),
    create_body=Body(
        storage_block_devices.NewBlockDevice,
        example={"data": {"device": "/dev/sdb", "pool": "Default", "overwrite_file_system": False, "description": ""}},
    ),
    update=storage_block_devices.update,
    update_body=Body(
        storage_block_devices.BlockDeviceChange, example={"data": {"description": "", "parallel_workers": 2}}
    ),
    delete=storage_block_devices.delete,
)


class ClientDefinedStorageRow(msgspec.Struct, kw_only=True):
    """A storage that a client brings itself."""

    id: Annotated[int, Meta(description="Id of the storage.")]
    name: Annotated[str, Meta(description="Name; unique within the pool, may be empty.")]
    pool: Annotated[str, Meta(description="Name of its pool of the type Client defined.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    metadata_fs_pool: Annotated[str, Meta(description="Pool of the type File system that keeps the metadata.")]
    metadata_fs_pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    clients: Annotated[
        int, Meta(description="How many clients have a folder for it (CLIENT_DEFINED_STORAGES of their settings).")
    ]
    problem: Annotated[str, Meta(description="What keeps it from being used; empty when a client can use its folder.")]
    used_bytes: Annotated[int, Meta(description="What copies take in the folders of all these clients in bytes.")]
    media_server: Annotated[str, Meta(description="Host name of the media server of both pools.")]
    media_server_ref: Annotated[int, Meta(description="Id of the media server.")]
    description: Annotated[str, Meta(description="Free text.")]
    created_at: Annotated[datetime, Meta(description="When it was added.")]


CLIENT_DEFINED_STORAGES = Resource(
    path="client_defined_storages",
    name="Client defined storages",
    tag="Client defined storages",
    summary="Storages that clients bring themselves",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=ClientDefinedStorageRow,
    source=Source(
        f"client_defined_storages s {_OF_MEDIA} JOIN pools f ON f.id = s.metadata_fs_pool_id",
        "s.id",
        {
            **{one: f"s.{one}" for one in ("id", "name", "description", "created_at")},
            **_POOL,
            "metadata_fs_pool": "f.pool_name",
            **client_pools.FOLDERS,
            "metadata_fs_pool_ref": "s.metadata_fs_pool_id",
            "media_server_ref": "p.media_server_id",
        },
        frozenset({"id", "pool_ref", "metadata_fs_pool_ref", "media_server_ref"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.storage(principal, "p.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "p.media_server_id", write=True)),
    create=making(client_defined_storages.create),
    create_body=Body(
        client_defined_storages.NewClientStorage,
        example={"data": {"pool": "Default", "metadata_fs_pool": "Default2", "name": "", "description": ""}},
    ),
    update=client_defined_storages.update,
    update_body=Body(
        client_defined_storages.ClientStorageChange,
        example={"data": {"name": "", "metadata_fs_pool": "Default2", "description": ""}},
    ),
    delete=client_defined_storages.delete,
)


class CloudRow(msgspec.Struct, kw_only=True):
    """A bucket of an object storage. Its secret key is readable for the media server alone, and is not shown."""

    id: Annotated[int, Meta(description="Id of the storage.")]
    name: Annotated[str, Meta(description="Name; unique within the pool.")]
    pool: Annotated[str, Meta(description="Name of its pool of the type Cloud.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    media_server: Annotated[str, Meta(description="Host name of the media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of the media server.")]
    endpoint: Annotated[str, Meta(description="Where the object storage answers.")]
    region: Annotated[str, Meta(description="Region; empty: none.")]
    bucket: Annotated[str, Meta(description="Name of the bucket.")]
    prefix: Annotated[str, Meta(description="Folder within the bucket; empty: the whole.")]
    access_key: Annotated[str, Meta(description="Access key (its id, not the secret).")]
    ca_file: Annotated[str, Meta(description="CA of the endpoint, a file on the media server; empty: the system's.")]
    object_lock: Annotated[str, Meta(description="Object Lock: none, governance or compliance.")]
    description: Annotated[str, Meta(description="Free text.")]
    problem: Annotated[str, Meta(description="What keeps the storage from being used; empty when nothing does.")]
    used_bytes: Annotated[int, Meta(description="What the pool's data takes in the bucket in bytes.")]
    notes: Annotated[str, Meta(description="What to know of the bucket, as its media server found it; empty: nothing.")]
    conditional_writes: Annotated[
        bool, Meta(description="Whether the object storage refuses to overwrite when it is asked so.")
    ]
    conditional_parts: Annotated[bool, Meta(description="The same for objects that are sent in parts.")]
    versioning: Annotated[bool, Meta(description="Whether the bucket keeps what is deleted as old versions.")]
    lockable: Annotated[bool, Meta(description="Whether the bucket was created with Object Lock.")]
    clock_ahead_seconds: Annotated[
        float, Meta(description="How far the object storage's clock is ahead of the media server's, in seconds.")
    ]
    probed_at: Annotated[datetime | None, Meta(description="When that was found; null: never.")]
    created_at: Annotated[datetime, Meta(description="When it was added.")]


_CLOUD_OWN = (
    "id", "name", "endpoint", "region", "bucket", "prefix", "access_key", "ca_file", "object_lock", "description",
    "created_at", "notes", "conditional_writes", "conditional_parts", "versioning", "lockable", "clock_ahead_seconds",
    "probed_at",
)  # fmt: skip

STORAGE_CLOUDS = Resource(
    path="storage_clouds",
    name="Storage Clouds",
    tag="Storage Clouds",
    summary="Buckets of pools of the type Cloud",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=CloudRow,
    source=Source(
        f"storage_clouds s {_OF_MEDIA} LEFT JOIN storage_cloud_state t ON t.storage_id = s.id",
        "s.id",
        {
            **{one: f"s.{one}" for one in _CLOUD_OWN},
            **_POOL,
            "media_server_ref": "p.media_server_id",
            "problem": storage_clouds.PROBLEM,
            "used_bytes": "coalesce(t.used_bytes, 0)",
        },
        frozenset({"id", "pool_ref", "media_server_ref"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.storage(principal, "p.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "p.media_server_id", write=True)),
    create=making(storage_clouds.create),
    create_body=Body(
        storage_clouds.NewCloud,
        example={
            "data": {
                "pool": "Default", "name": "archive", "endpoint": "https://s3.example.org:9000",
                "region": "ru-central1", "bucket": "backups", "prefix": "rubackup", "access_key": "AKEXAMPLE",
                "secret_key": "the secret", "ca_file": "", "object_lock": "none", "description": "",
            }
        },
    ),
    update=storage_clouds.update,
    update_body=Body(storage_clouds.CloudChange, example={"data": {"secret_key": "the new secret"}}),
    delete=storage_clouds.delete,
)  # fmt: skip
