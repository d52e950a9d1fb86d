"""Auditors. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class AuditorRow(TypedDict):
    """An auditor."""

    id: int
    """Id of the row."""
    auditor: str
    """Name of the user."""
    auditor_ref: int
    """Id of the user."""


class NewAuditor(TypedDict):
    """An auditor."""

    auditor: int | str
    """The user who gets the role: name or id."""


ListColumn = Literal[
    "id", "auditor", "auditor_ref",
]  # fmt: skip


class Auditors(Family):
    """Auditors."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[AuditorRow]]:
        """List: Auditors. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/auditors",
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
    ) -> Iterator[AuditorRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/auditors", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewAuditor, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Auditors. Permission: Create, change and delete users and roles."""
        return self._call("POST", "/auditors", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Auditors. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", "/auditors", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[AuditorRow]:
        """Read one: Auditors. Permission: See users, their groups and roles."""
        return self._call("GET", f"/auditors/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Auditors. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE",
            f"/auditors/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
