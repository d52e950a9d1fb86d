"""Client Bandwidth. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class ClientBandwidthChange(TypedDict):
    """What to change of a limit. `id` and `client_hwid` may be repeated and must fit."""

    client: NotRequired[int | str]
    """The client: `hostname (hwid)` or id."""
    backup_bandwidth: NotRequired[int]
    """Limit of its backups in KiB per second; 0: no limit."""
    restore_bandwidth: NotRequired[int]
    """Limit of its restores in KiB per second; 0: no limit."""
    window_start: NotRequired[str]
    """Local time of day HH:MM:SS from which the limit holds."""
    window_end: NotRequired[str]
    """Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight."""
    id: NotRequired[int]
    """Id of the limit; must be that of the path."""
    client_hwid: NotRequired[str]
    """Hardware id of the limit's client, after the change."""


class ClientBandwidthRow(TypedDict):
    """A limit of a client's bandwidth."""

    id: int
    """Id of the limit."""
    client: str
    """The client, `hostname (hwid)`."""
    client_ref: int
    """Id of the client."""
    client_hwid: str
    """Hardware id of the client: 16 hex digits."""
    backup_bandwidth: int
    """Limit of its backups in KiB per second; 0: no limit."""
    restore_bandwidth: int
    """Limit of its restores in KiB per second; 0: no limit."""
    window_start: str
    """Local time of day HH:MM:SS from which the limit holds."""
    window_end: str
    """Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight."""


class NewClientBandwidth(TypedDict):
    """A limit to be made."""

    client: int | str
    """The client: `hostname (hwid)` or id."""
    backup_bandwidth: NotRequired[int]
    """Limit of its backups in KiB per second; 0: no limit."""
    restore_bandwidth: NotRequired[int]
    """Limit of its restores in KiB per second; 0: no limit."""
    window_start: NotRequired[str]
    """Local time of day HH:MM:SS from which the limit holds."""
    window_end: NotRequired[str]
    """Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight."""


ListColumn = Literal[
    "id", "client", "client_ref", "client_hwid", "backup_bandwidth", "restore_bandwidth", "window_start",
    "window_end",
]  # fmt: skip


class ClientBandwidth(Family):
    """Client Bandwidth."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ClientBandwidthRow]]:
        """List: Client Bandwidth. Permission: See clients and client groups."""
        return self._call(
            "GET",
            "/client_bandwidth",
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
    ) -> Iterator[ClientBandwidthRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/client_bandwidth", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewClientBandwidth, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Client Bandwidth. Permission: Edit and delete clients."""
        return self._call(
            "POST", "/client_bandwidth", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Client Bandwidth. Permission: Edit and delete clients."""
        return self._call(
            "DELETE",
            "/client_bandwidth",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[ClientBandwidthRow]:
        """Read one: Client Bandwidth. Permission: See clients and client groups."""
        return self._call("GET", f"/client_bandwidth/{segment(row_id)}")

    def update(
        self,
        row_id: int,
        data: ClientBandwidthChange,
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer[dict[str, Any]]:
        """Change one: Client Bandwidth. Permission: Edit and delete clients."""
        return self._call(
            "PATCH",
            f"/client_bandwidth/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Client Bandwidth. Permission: Edit and delete clients."""
        return self._call(
            "DELETE",
            f"/client_bandwidth/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
