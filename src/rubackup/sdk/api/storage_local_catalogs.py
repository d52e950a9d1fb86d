"""Storage Local Catalogs. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewStorage(TypedDict):
    """A folder that a pool is to use."""

    path: str
    """Absolute folder on the pool's media server, without symbolic links: made when missing, else empty or already this pool's."""
    pool: int | str
    """Pool of the type File system: name or id."""
    description: NotRequired[str]
    """Free text."""
    existing: NotRequired[bool]
    """Whether only a folder will do that is a pool's already, as after the catalogue was lost: a folder that is missing or empty, as its disk is not mounted, is refused, and nothing is made there."""


class StorageChange(TypedDict):
    """What to change of a storage."""

    description: NotRequired[str]
    """Free text."""


class StorageLocalCatalogRow(TypedDict):
    """A folder of a media server in which a pool keeps data."""

    id: int
    """Id of the storage."""
    path: str
    """Folder on the media server."""
    pool: str
    """Name of the pool that uses it."""
    pool_ref: int
    """Id of that pool."""
    media_server: str
    """Host name of the media server."""
    media_server_ref: int
    """Id of the media server."""
    description: str
    """Free text."""
    problem: str
    """What keeps the folder from being used; empty when nothing does."""
    free_bytes: int
    """Free space of the folder's file system in bytes."""
    used_bytes: int
    """What the pool's data takes in the folder in bytes."""
    total_bytes: int
    """Size of the folder's file system in bytes."""
    created_at: str
    """When it was added."""


ListColumn = Literal[
    "id", "path", "pool", "pool_ref", "media_server", "media_server_ref", "description", "problem", "free_bytes",
    "used_bytes", "total_bytes", "created_at",
]  # fmt: skip


class StorageLocalCatalogs(Family):
    """Storage Local Catalogs."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[StorageLocalCatalogRow]]:
        """List: Storage Local Catalogs. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/storage_local_catalogs",
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
    ) -> Iterator[StorageLocalCatalogRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/storage_local_catalogs", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewStorage, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Storage Local Catalogs. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/storage_local_catalogs", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Storage Local Catalogs. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/storage_local_catalogs",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[StorageLocalCatalogRow]:
        """Read one: Storage Local Catalogs. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/storage_local_catalogs/{segment(row_id)}")

    def update(
        self, row_id: int, data: StorageChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Storage Local Catalogs. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/storage_local_catalogs/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Storage Local Catalogs. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/storage_local_catalogs/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
