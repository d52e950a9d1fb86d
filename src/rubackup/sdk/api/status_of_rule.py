"""Status Of Rule. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from rubackup.sdk.api._shared import LookupRow
from rubackup.sdk.caller import Answer, Family, Page

ListColumn = Literal[
    "id", "name", "description",
]  # fmt: skip


class StatusOfRule(Family):
    """Status Of Rule."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[LookupRow]]:
        """List: Status Of Rule. Permission: See the lookup tables."""
        return self._call(
            "GET",
            "/status_of_rule",
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
    ) -> Iterator[LookupRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/status_of_rule", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})
