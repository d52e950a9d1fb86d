"""Task Log. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class TaskLogRow(TypedDict):
    """A line of a task's log."""

    id: int
    """Number of the line."""
    task_id: int
    """Number of the task."""
    at: str
    """When it was written."""
    source: str
    """Who wrote it: server, client or media."""
    level: str
    """info, warning or error."""
    text: str
    """What happened."""


ListColumn = Literal[
    "id", "task_id", "at", "source", "level", "text",
]  # fmt: skip


class TaskLog(Family):
    """Task Log."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[TaskLogRow]]:
        """List: Task Log. Permission: See the task queue and the task log."""
        return self._call(
            "GET",
            "/task_log",
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
    ) -> Iterator[TaskLogRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/task_log", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def read(self, row_id: int) -> Answer[TaskLogRow]:
        """Read one: Task Log. Permission: See the task queue and the task log."""
        return self._call("GET", f"/task_log/{segment(row_id)}")
