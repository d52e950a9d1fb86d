"""Client Groups. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class ClientGroupChange(TypedDict):
    """What to change of a client group."""

    name: NotRequired[str]
    """Name of the group; unique."""
    shared: NotRequired[bool]
    """Whether copies of one client may be restored to another of the group."""
    clustered: NotRequired[bool]
    """Whether the clients are nodes of one cluster: one does backups of another that cannot be given them."""
    description: NotRequired[str]
    """Free text."""
    launch_attempts_limit: NotRequired[int]
    """How often a backup is launched on a client before another one of a clustered group takes it over."""


class ClientGroupRow(TypedDict):
    """A client group."""

    id: int
    """Id of the group."""
    name: str
    """Name of the group."""
    shared: bool
    """Whether copies of one client may be restored to another of the group."""
    clustered: bool
    """Whether the clients are nodes of one cluster."""
    description: str
    """Free text."""
    launch_attempts_limit: int
    """How often a task of a client is tried."""


class NewClientGroup(TypedDict):
    """A client group to be made."""

    name: str
    """Name of the group; unique."""
    shared: NotRequired[bool]
    """Whether copies of one client may be restored to another of the group."""
    clustered: NotRequired[bool]
    """Whether the clients are nodes of one cluster: one does backups of another that cannot be given them."""
    description: NotRequired[str]
    """Free text."""
    launch_attempts_limit: NotRequired[int]
    """How often a backup is launched on a client before another one of a clustered group takes it over."""


ListColumn = Literal[
    "id", "name", "shared", "clustered", "description", "launch_attempts_limit",
]  # fmt: skip


class ClientGroups(Family):
    """Client Groups."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ClientGroupRow]]:
        """List: Client Groups. Permission: See clients and client groups."""
        return self._call(
            "GET",
            "/client_groups",
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
    ) -> Iterator[ClientGroupRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/client_groups", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewClientGroup, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Client Groups. Permission: Create, change and delete client groups."""
        return self._call(
            "POST", "/client_groups", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Client Groups. Permission: Create, change and delete client groups."""
        return self._call(
            "DELETE", "/client_groups", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[ClientGroupRow]:
        """Read one: Client Groups. Permission: See clients and client groups."""
        return self._call("GET", f"/client_groups/{segment(row_id)}")

    def update(
        self, row_id: int, data: ClientGroupChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Client Groups. Permission: Create, change and delete client groups."""
        return self._call(
            "PATCH",
            f"/client_groups/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Client Groups. Permission: Create, change and delete client groups."""
        return self._call(
            "DELETE",
            f"/client_groups/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
