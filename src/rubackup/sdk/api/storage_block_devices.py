"""Storage Block Devices. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class BlockDeviceChange(TypedDict):
    """What to change of a block device."""

    description: NotRequired[str]
    """Free text."""
    parallel_workers: NotRequired[int]
    """How many threads may read and write the device at once."""


class BlockDeviceRow(TypedDict):
    """A block device, or a file that stands for one, of a pool. Size and signature are those of its adding."""

    id: int
    """Id of the storage."""
    device: str
    """Path on the media server."""
    real_path: str
    """Where that path led when the device was added."""
    kind: str
    """`block device` or `file`."""
    pool: str
    """Name of the pool that uses it."""
    pool_ref: int
    """Id of that pool."""
    media_server: str
    """Host name of the media server."""
    media_server_ref: int
    """Id of the media server."""
    size_bytes: int
    """Size in bytes."""
    signature: str
    """What it carried; empty when nothing known was found."""
    overwrite_file_system: bool
    """Whether it might be taken whatever it carried."""
    parallel_workers: int
    """How many threads may read and write it at once."""
    uuid: str | None
    """What it was given when it was made ready; null: never. Another device at its path is not used."""
    problem: str
    """What keeps the device from being used; empty when nothing does."""
    free_bytes: int
    """Free space of the device in bytes."""
    used_bytes: int
    """What the pool's data takes on the device in bytes."""
    description: str
    """Free text."""
    created_at: str
    """When it was added."""


class NewBlockDevice(TypedDict):
    """A device that a pool is to use."""

    device: str
    """Absolute path of a block device, or of a file, on the pool's media server."""
    pool: int | str
    """Pool of the type Block device: name or id."""
    overwrite_file_system: NotRequired[bool]
    """Whether a device may be taken that carries a file system or something else known."""
    description: NotRequired[str]
    """Free text."""


ListColumn = Literal[
    "id", "device", "real_path", "kind", "pool", "pool_ref", "media_server", "media_server_ref", "size_bytes",
    "signature", "overwrite_file_system", "parallel_workers", "uuid", "problem", "free_bytes", "used_bytes",
    "description", "created_at",
]  # fmt: skip


class StorageBlockDevices(Family):
    """Storage Block Devices."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[BlockDeviceRow]]:
        """List: Storage Block Devices. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/storage_block_devices",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
            },
        )

    def all(
        self,
        *,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
    ) -> Iterator[BlockDeviceRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/storage_block_devices", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewBlockDevice, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Storage Block Devices. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/storage_block_devices", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Storage Block Devices. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/storage_block_devices",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[BlockDeviceRow]:
        """Read one: Storage Block Devices. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/storage_block_devices/{segment(row_id)}")

    def update(
        self, row_id: int, data: BlockDeviceChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Storage Block Devices. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/storage_block_devices/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Storage Block Devices. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/storage_block_devices/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
