"""Clients Log. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class ClientLogRow(TypedDict):
    """What happened to a client."""

    id: int
    """Number of the line."""
    at: str
    """When it happened. Lines are kept for 90 days."""
    client: str
    """The client, `hostname (hwid)`, as it was called then."""
    client_ref: int | None
    """Id of the client, also of one that was deleted; null before it was authorised."""
    hostname: str
    """Its host name then."""
    hwid: str
    """Its hardware id: 16 hex digits."""
    user_name: str
    """Name of the user who did it; empty for the system and the host itself."""
    action: str
    """What happened: waiting, forgotten, authorised, edited, deleted, online, offline, certificate, refused."""
    text: str
    """What there is to say about it."""


ListColumn = Literal[
    "id", "at", "client", "client_ref", "hostname", "hwid", "user_name", "action", "text",
]  # fmt: skip


class ClientsLog(Family):
    """Clients Log."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ClientLogRow]]:
        """List: Clients Log. Permission: See clients and client groups."""
        return self._call(
            "GET",
            "/clients_log",
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
    ) -> Iterator[ClientLogRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/clients_log", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def read(self, row_id: int) -> Answer[ClientLogRow]:
        """Read one: Clients Log. Permission: See clients and client groups."""
        return self._call("GET", f"/clients_log/{segment(row_id)}")
