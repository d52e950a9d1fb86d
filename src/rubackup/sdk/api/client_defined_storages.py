"""Client defined storages. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class ClientDefinedStorageRow(TypedDict):
    """A storage that a client brings itself."""

    id: int
    """Id of the storage."""
    name: str
    """Name; unique within the pool, may be empty."""
    pool: str
    """Name of its pool of the type Client defined."""
    pool_ref: int
    """Id of that pool."""
    metadata_fs_pool: str
    """Pool of the type File system that keeps the metadata."""
    metadata_fs_pool_ref: int
    """Id of that pool."""
    clients: int
    """How many clients have a folder for it (CLIENT_DEFINED_STORAGES of their settings)."""
    problem: str
    """What keeps it from being used; empty when a client can use its folder."""
    used_bytes: int
    """What copies take in the folders of all these clients in bytes."""
    media_server: str
    """Host name of the media server of both pools."""
    media_server_ref: int
    """Id of the media server."""
    description: str
    """Free text."""
    created_at: str
    """When it was added."""


class ClientStorageChange(TypedDict):
    """What to change of such a storage."""

    name: NotRequired[str]
    """Name of the storage; unique within its pool, may be empty."""
    metadata_fs_pool: NotRequired[int | str]
    """Pool of the type File system on the same media server that keeps the metadata of copies: name or id."""
    description: NotRequired[str]
    """Free text."""


class NewClientStorage(TypedDict):
    """A storage of a client's own."""

    pool: int | str
    """Pool of the type Client defined: name or id."""
    metadata_fs_pool: int | str
    """Pool of the type File system on the same media server that keeps the metadata of copies: name or id."""
    name: NotRequired[str]
    """Name of the storage; unique within its pool, may be empty."""
    description: NotRequired[str]
    """Free text."""


ListColumn = Literal[
    "id", "name", "pool", "pool_ref", "metadata_fs_pool", "metadata_fs_pool_ref", "clients", "problem",
    "used_bytes", "media_server", "media_server_ref", "description", "created_at",
]  # fmt: skip


class ClientDefinedStorages(Family):
    """Client defined storages."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ClientDefinedStorageRow]]:
        """List: Client defined storages. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/client_defined_storages",
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
    ) -> Iterator[ClientDefinedStorageRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/client_defined_storages", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewClientStorage, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Client defined storages. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/client_defined_storages", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Client defined storages. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/client_defined_storages",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[ClientDefinedStorageRow]:
        """Read one: Client defined storages. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/client_defined_storages/{segment(row_id)}")

    def update(
        self, row_id: int, data: ClientStorageChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Client defined storages. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/client_defined_storages/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Client defined storages. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/client_defined_storages/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
