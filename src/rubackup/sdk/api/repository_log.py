"""Repository Log. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class RepositoryLogRow(TypedDict):
    """What happened to a copy."""

    id: int
    """Number of the line."""
    at: str
    """When it happened."""
    record: int
    """Id of the copy, also of one that was deleted."""
    record_uuid: str
    """The copy's name in its pool."""
    task: int | None
    """Number of the task that did it."""
    user_name: str
    """Name of the user who did it; empty for the system."""
    action: str
    """created, verified, verification, restore, downloaded, copying, copied, moving, moved, changed, chain (deleted with a copy that it builds on) or deleted."""
    text: str
    """What there is to say about it."""


ListColumn = Literal[
    "id", "at", "record", "record_uuid", "task", "user_name", "action", "text",
]  # fmt: skip


class RepositoryLog(Family):
    """Repository Log."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[RepositoryLogRow]]:
        """List: Repository Log. Permission: See the repository of copies."""
        return self._call(
            "GET",
            "/repository_log",
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
    ) -> Iterator[RepositoryLogRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/repository_log", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def read(self, row_id: int) -> Answer[RepositoryLogRow]:
        """Read one: Repository Log. Permission: See the repository of copies."""
        return self._call("GET", f"/repository_log/{segment(row_id)}")
