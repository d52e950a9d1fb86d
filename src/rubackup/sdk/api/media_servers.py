"""Media Servers. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class MediaServerChange(TypedDict):
    """What to change of a media server."""

    description: NotRequired[str]
    """Free text."""
    max_tasks: NotRequired[int]
    """How many tasks of its pools are at work at a time; 0: as many as the media server takes."""
    local_service_mode: NotRequired[Literal["no", "yes"]]
    """yes: no new tasks for this media server's pools."""


class MediaServerName(TypedDict):
    """A media server that waits for authorisation."""

    hostname: str
    """Host name of an unauthorised media server."""
    replace_key: NotRequired[bool]
    """Whether the key takes the place of the one of the host that is known under this hardware id, which lost it. What belongs to the host stays; certificates of the other key are revoked. Needs `fingerprint`."""
    fingerprint: NotRequired[str]
    """Fingerprint of the one key that is meant: another one is refused. Empty: any."""


class MediaServerNode(TypedDict):
    """A media server in the tree."""

    id: int
    """Id of the media server."""
    hostname: str
    """Host name."""
    hwid: str
    """Hardware id: 64 hex digits."""
    online: bool
    """Whether it is connected."""
    pools: list[PoolNode]
    """Its pools; none is possible."""


class MediaServerRow(TypedDict):
    """An authorised media server."""

    id: int
    """Id of the media server."""
    hostname: str
    """Host name, as other resources write it."""
    hwid: str
    """Hardware id: 64 hex digits."""
    description: str
    """Free text."""
    local_service_mode: str
    """yes: no new tasks for this media server's pools."""
    max_tasks: int
    """How many tasks of its pools are at work at a time; 0: any number."""
    online: bool
    """Whether it is connected."""
    last_online: str | None
    """When it came or went last."""
    os_type: str
    """A name of os_types."""
    os_version: str
    """Version of the operating system."""
    package_version: str
    """Version of its software."""
    data_endpoint: str
    """Where clients send their data, `host:port`."""
    fingerprint: str
    """SHA-256 fingerprint of its key."""
    certificate_not_after: str | None
    """When its certificate ends."""
    authorised_at: str
    """When it was authorised."""


class MediaServersTree(TypedDict):
    """Every media server with its pools and their storages."""

    media_servers: list[MediaServerNode]
    """By host name."""


class PoolNode(TypedDict):
    """A pool in the tree."""

    id: int
    """Id of the pool."""
    pool_name: str
    """Name of the pool."""
    pool_type: str
    """A name of destination_storage_types."""
    problem: str
    """What keeps the pool from being used; empty when nothing does."""
    free_bytes: int
    """Free space of its storages in bytes."""
    used_bytes: int
    """What the pool's data takes in bytes."""
    total_bytes: int
    """Size of its storages in bytes."""
    storages: list[StorageLeaf]
    """Its storages; none is possible."""


class StorageLeaf(TypedDict):
    """A storage in the tree."""

    family: str
    """The family that it is a row of, such as storage_local_catalogs; emergency_storage_local_catalog: what lies in the emergency folder of the global configuration."""
    id: int
    """Id in that family; the pool's for its emergency storage."""
    path: str
    """Folder, device, name or bucket."""
    description: str
    """Free text."""
    problem: str
    """What keeps it from being used, beside what its pool says; empty when nothing does."""
    free_bytes: int | None
    """Free space in bytes; null: not known."""
    used_bytes: int | None
    """What the pool's data takes in it in bytes; null: not known."""
    total_bytes: int | None
    """Size in bytes; null: not known, or without end."""


class UnknownPool(TypedDict):
    """A pool that the media server has served and the catalogue does not know."""

    uuid: str
    """The pool's name in its storages."""
    name: str
    """What it was called; empty when that is not known."""
    copies: int
    """How many copies lie in the folders that are there."""
    storages: list[UnknownStorage]
    """Where it lies."""
    kept_in: NotRequired[str]
    """Of devices and of clients' parts: the pool that keeps the metadata of its copies; empty when that is not known."""


class UnknownPools(TypedDict):
    """Those of a media server."""

    pools: list[UnknownPool]
    """By uuid."""


class UnknownStorage(TypedDict):
    """A storage of such a pool."""

    path: str
    """Folder, device, or endpoint and bucket."""
    kind: str
    """folder, device, bucket, emergency, client; what lies in an emergency storage comes in with its pool."""
    away: bool
    """Whether a folder is not there now, or has lost the pool's marker."""
    copies: int
    """How many copies have their list of files there; of devices and buckets it is not looked at."""
    client: NotRequired[str]
    """Of a client's part of a Client defined pool: the client's host name, or its hardware id when the catalogue does not know it."""
    client_storages: NotRequired[list[str]]
    """Of such a part: the names for which that client has folders; which of them is the pool's it does not say."""


ListColumn = Literal[
    "id", "hostname", "hwid", "description", "local_service_mode", "max_tasks", "online", "last_online", "os_type",
    "os_version", "package_version", "data_endpoint", "fingerprint", "certificate_not_after", "authorised_at",
]  # fmt: skip

FilteredByTapeLibraryPoolColumn = Literal[
    "id", "hostname", "hwid", "description", "local_service_mode", "max_tasks", "online", "last_online", "os_type",
    "os_version", "package_version", "data_endpoint", "fingerprint", "certificate_not_after", "authorised_at",
]  # fmt: skip


class MediaServers(Family):
    """Media Servers."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[MediaServerRow]]:
        """List: Media Servers. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/media_servers",
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
    ) -> Iterator[MediaServerRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/media_servers", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Media Servers. Permission: Authorise and delete media servers."""
        return self._call(
            "DELETE", "/media_servers", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[MediaServerRow]:
        """Read one: Media Servers. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/media_servers/{segment(row_id)}")

    def update(
        self, row_id: int, data: MediaServerChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Media Servers. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/media_servers/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Media Servers. Permission: Authorise and delete media servers."""
        return self._call(
            "DELETE",
            f"/media_servers/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def authorize(self, data: MediaServerName, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Authorise a media server that waits. Permission: Authorise and delete media servers."""
        return self._call(
            "POST", "/media_servers/authorize", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def tree(self) -> Answer[MediaServersTree]:
        """Media servers with their pools and storages. Permission: See media servers, pools and storages."""
        return self._call("GET", "/media_servers/tree")

    def unknown_pools(self, row_id: int) -> Answer[UnknownPools]:
        """Pools that the media server holds and the catalogue does not know. Permission: Change the global configuration and the service mode."""
        return self._call("GET", f"/media_servers/{segment(row_id)}/unknown_pools")

    def filtered_by_tape_library_pool(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: FilteredByTapeLibraryPoolColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[MediaServerRow]]:
        """List: Media Servers. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/media_servers/filtered_by_tape_library_pool",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
            },
        )
