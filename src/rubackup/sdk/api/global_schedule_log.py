"""Global Schedule Log. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class RuleLogRow(TypedDict):
    """What was done to a rule, or what it did."""

    id: int
    """Number of the line."""
    at: str
    """When it happened."""
    rule: str
    """Name of the rule, as it was called then."""
    rule_ref: int
    """Id of the rule, also of one that was deleted."""
    client: str
    """Its client as `hostname (hwid)`, or its client group, as it was called then."""
    client_ref: int | None
    """Id of the client, also of one that was deleted; null: about a rule of a group."""
    task: int | None
    """Number of the task that the rule made."""
    user_name: str
    """Name of the user who did it; empty for the system."""
    action: str
    """created, changed, status, executed, skipped or deleted."""
    text: str
    """What there is to say about it."""


ListColumn = Literal[
    "id", "at", "rule", "rule_ref", "client", "client_ref", "task", "user_name", "action", "text",
]  # fmt: skip


class GlobalScheduleLog(Family):
    """Global Schedule Log."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[RuleLogRow]]:
        """List: Global Schedule Log. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/global_schedule_log",
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
    ) -> Iterator[RuleLogRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/global_schedule_log", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def read(self, row_id: int) -> Answer[RuleLogRow]:
        """Read one: Global Schedule Log. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/global_schedule_log/{segment(row_id)}")
