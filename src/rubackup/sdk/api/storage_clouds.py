"""Storage Clouds. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class CloudChange(TypedDict):
    """What to change of a cloud storage."""

    name: NotRequired[str]
    """Name of the cloud storage; unique within its pool."""
    endpoint: NotRequired[str]
    """Where the object storage answers: https://host:port; over http:// data travels in clear."""
    bucket: NotRequired[str]
    """Name of the bucket; it must be there."""
    access_key: NotRequired[str]
    """Access key (its id, not the secret)."""
    secret_key: NotRequired[str]
    """Secret key; stored readable for the pool's media server alone and never shown."""
    region: NotRequired[str]
    """Region, as the object storage wants it; empty: none."""
    prefix: NotRequired[str]
    """Folder within the bucket, without / at either end; empty: the whole."""
    ca_file: NotRequired[str]
    """File on the media server with the CA that signs the endpoint's certificate; empty: the system's."""
    object_lock: NotRequired[Literal["compliance", "governance", "none"]]
    """Object Lock of what is stored: none, governance or compliance."""
    description: NotRequired[str]
    """Free text."""


class CloudRow(TypedDict):
    """A bucket of an object storage. Its secret key is readable for the media server alone, and is not shown."""

    id: int
    """Id of the storage."""
    name: str
    """Name; unique within the pool."""
    pool: str
    """Name of its pool of the type Cloud."""
    pool_ref: int
    """Id of that pool."""
    media_server: str
    """Host name of the media server."""
    media_server_ref: int
    """Id of the media server."""
    endpoint: str
    """Where the object storage answers."""
    region: str
    """Region; empty: none."""
    bucket: str
    """Name of the bucket."""
    prefix: str
    """Folder within the bucket; empty: the whole."""
    access_key: str
    """Access key (its id, not the secret)."""
    ca_file: str
    """CA of the endpoint, a file on the media server; empty: the system's."""
    object_lock: str
    """Object Lock: none, governance or compliance."""
    description: str
    """Free text."""
    problem: str
    """What keeps the storage from being used; empty when nothing does."""
    used_bytes: int
    """What the pool's data takes in the bucket in bytes."""
    notes: str
    """What to know of the bucket, as its media server found it; empty: nothing."""
    conditional_writes: bool
    """Whether the object storage refuses to overwrite when it is asked so."""
    conditional_parts: bool
    """The same for objects that are sent in parts."""
    versioning: bool
    """Whether the bucket keeps what is deleted as old versions."""
    lockable: bool
    """Whether the bucket was created with Object Lock."""
    clock_ahead_seconds: float
    """How far the object storage's clock is ahead of the media server's, in seconds."""
    probed_at: str | None
    """When that was found; null: never."""
    created_at: str
    """When it was added."""


class NewCloud(TypedDict):
    """A bucket that a pool is to use."""

    pool: int | str
    """Pool of the type Cloud: name or id."""
    name: str
    """Name of the cloud storage; unique within its pool."""
    endpoint: str
    """Where the object storage answers: https://host:port; over http:// data travels in clear."""
    bucket: str
    """Name of the bucket; it must be there."""
    access_key: str
    """Access key (its id, not the secret)."""
    secret_key: str
    """Secret key; stored readable for the pool's media server alone and never shown."""
    region: NotRequired[str]
    """Region, as the object storage wants it; empty: none."""
    prefix: NotRequired[str]
    """Folder within the bucket, without / at either end; empty: the whole."""
    ca_file: NotRequired[str]
    """File on the media server with the CA that signs the endpoint's certificate; empty: the system's."""
    object_lock: NotRequired[Literal["compliance", "governance", "none"]]
    """Object Lock of what is stored: none, governance or compliance."""
    description: NotRequired[str]
    """Free text."""


ListColumn = Literal[
    "id", "name", "pool", "pool_ref", "media_server", "media_server_ref", "endpoint", "region", "bucket", "prefix",
    "access_key", "ca_file", "object_lock", "description", "problem", "used_bytes", "notes", "conditional_writes",
    "conditional_parts", "versioning", "lockable", "clock_ahead_seconds", "probed_at", "created_at",
]  # fmt: skip


class StorageClouds(Family):
    """Storage Clouds."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[CloudRow]]:
        """List: Storage Clouds. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/storage_clouds",
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
    ) -> Iterator[CloudRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/storage_clouds", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewCloud) -> Answer[dict[str, Any]]:
        """Create: Storage Clouds. Permission: Edit media servers, pools and storages."""
        return self._call("POST", "/storage_clouds", body={"data": data})

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Storage Clouds. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE", "/storage_clouds", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[CloudRow]:
        """Read one: Storage Clouds. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/storage_clouds/{segment(row_id)}")

    def update(self, row_id: int, data: CloudChange, *, if_match: str | None = None) -> Answer[dict[str, Any]]:
        """Change one: Storage Clouds. Permission: Edit media servers, pools and storages."""
        return self._call("PATCH", f"/storage_clouds/{segment(row_id)}", body={"data": data}, if_match=if_match)

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Storage Clouds. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/storage_clouds/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
