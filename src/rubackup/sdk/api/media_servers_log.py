"""Media Servers Log. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class MediaServerLogRow(TypedDict):
    """What happened to a media server."""

    id: int
    """Number of the line."""
    at: str
    """When it happened. Lines are kept for 90 days."""
    media_server: str
    """Host name of the media server then."""
    media_server_ref: int | None
    """Id of the media server, also of one that was deleted; null before it was authorised."""
    hwid: str
    """Its hardware id: 64 hex digits."""
    user_name: str
    """Name of the user who did it; empty for the system and the host itself."""
    action: str
    """What happened: waiting, forgotten, authorised, edited, deleted, online, offline, certificate, refused."""
    text: str
    """What there is to say about it."""


ListColumn = Literal[
    "id", "at", "media_server", "media_server_ref", "hwid", "user_name", "action", "text",
]  # fmt: skip


class MediaServersLog(Family):
    """Media Servers Log."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[MediaServerLogRow]]:
        """List: Media Servers Log. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/media_servers_log",
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
    ) -> Iterator[MediaServerLogRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/media_servers_log", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def read(self, row_id: int) -> Answer[MediaServerLogRow]:
        """Read one: Media Servers Log. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/media_servers_log/{segment(row_id)}")
