"""Servers HWID. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class ServerHwidRow(TypedDict):
    """A server or media server with its hardware id, its licence, and the client on the same host."""

    id: int
    """Number of the row: even for media servers, odd for servers."""
    hostname: str
    """Host name."""
    hwid: str
    """Hardware id: 64 hex digits."""
    server_type: str
    """server or media server."""
    media_server_ref: int | None
    """Id of the media server; null for a server."""
    client: str | None
    """The client with the same host name, `hostname (hwid)`; null when the caller may see none."""
    client_ref: int | None
    """Id of that client."""
    license_type: str
    """A name of license_types."""
    license_capacity: int | None
    """Gigabytes that the licence covers; null: no limit."""
    license_valid_until: str | None
    """When the licence ends; null: never."""
    online: bool
    """Whether it runs and is connected."""
    last_online: str | None
    """When it came, went or was seen last."""
    package_version: str
    """Version of its software."""


ListColumn = Literal[
    "id", "hostname", "hwid", "server_type", "media_server_ref", "client", "client_ref", "license_type",
    "license_capacity", "license_valid_until", "online", "last_online", "package_version",
]  # fmt: skip


class ServersHwIdTmp(Family):
    """Servers HWID."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ServerHwidRow]]:
        """List: Servers HWID. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/servers_hw_id_tmp",
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
    ) -> Iterator[ServerHwidRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/servers_hw_id_tmp", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def read(self, row_id: int) -> Answer[ServerHwidRow]:
        """Read one: Servers HWID. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/servers_hw_id_tmp/{segment(row_id)}")
