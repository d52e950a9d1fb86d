"""Administrators. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class AdministratorRow(TypedDict):
    """An administrator of a client group."""

    id: int
    """Id of the row."""
    administrator: str
    """Name of the user."""
    administrator_ref: int
    """Id of the user."""
    client_group: str
    """Name of the client group that the role covers."""
    client_group_ref: int
    """Id of that group."""


class NewAdministrator(TypedDict):
    """An administrator of a client group."""

    administrator: int | str
    """The user who gets the role: name or id."""
    client_group: int | str
    """The client group that the role covers: name or id."""


ListColumn = Literal[
    "id", "administrator", "administrator_ref", "client_group", "client_group_ref",
]  # fmt: skip


class Administrators(Family):
    """Administrators."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[AdministratorRow]]:
        """List: Administrators. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/administrators",
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
    ) -> Iterator[AdministratorRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/administrators", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewAdministrator, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Administrators. Permission: Create, change and delete users and roles."""
        return self._call(
            "POST", "/administrators", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Administrators. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", "/administrators", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[AdministratorRow]:
        """Read one: Administrators. Permission: See users, their groups and roles."""
        return self._call("GET", f"/administrators/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Administrators. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE",
            f"/administrators/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
