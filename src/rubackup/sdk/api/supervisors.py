"""Supervisors. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewSupervisor(TypedDict):
    """A supervisor."""

    supervisor: int | str
    """The user who gets the role: name or id."""


class SupervisorRow(TypedDict):
    """A supervisor."""

    id: int
    """Id of the row."""
    supervisor: str
    """Name of the user."""
    supervisor_ref: int
    """Id of the user."""


ListColumn = Literal[
    "id", "supervisor", "supervisor_ref",
]  # fmt: skip


class Supervisors(Family):
    """Supervisors."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[SupervisorRow]]:
        """List: Supervisors. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/supervisors",
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
    ) -> Iterator[SupervisorRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/supervisors", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewSupervisor, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Supervisors. Permission: Create, change and delete users and roles."""
        return self._call("POST", "/supervisors", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Supervisors. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", "/supervisors", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[SupervisorRow]:
        """Read one: Supervisors. Permission: See users, their groups and roles."""
        return self._call("GET", f"/supervisors/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Supervisors. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE",
            f"/supervisors/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
