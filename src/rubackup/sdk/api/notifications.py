"""Notifications. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class NotificationRow(TypedDict):
    """Something that a user group is told."""

    id: int
    """Id of the notification."""
    kind: str
    """normal (a task ended well), exception (it failed) or verify (a verification ended)."""
    status: str
    """A name of notifications_status."""
    user_group: str | None
    """Name of the group that is told; null when it was deleted."""
    user_group_ref: int | None
    """Id of that group."""
    cc: str
    """Further e-mail addresses that are told."""
    subject: str
    """What it is about, in one line."""
    text: str
    """What there is to tell."""
    task: int | None
    """Number of the task that it is about; it may be gone."""
    client: str
    """The client as `hostname (hwid)` when it happened; empty: none."""
    client_ref: int | None
    """Id of the client; null when it was deleted."""
    rule: int | None
    """Id of the rule of the global schedule that the task came from."""
    strategy: int | None
    """Id of the strategy that the task came from."""
    created_at: str
    """When it happened."""


ListColumn = Literal[
    "id", "kind", "status", "user_group", "user_group_ref", "cc", "subject", "text", "task", "client",
    "client_ref", "rule", "strategy", "created_at",
]  # fmt: skip


class Notifications(Family):
    """Notifications."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[NotificationRow]]:
        """List: Notifications. Permission: See notifications."""
        return self._call(
            "GET",
            "/notifications",
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
    ) -> Iterator[NotificationRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/notifications", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def read(self, row_id: int) -> Answer[NotificationRow]:
        """Read one: Notifications. Permission: See notifications."""
        return self._call("GET", f"/notifications/{segment(row_id)}")
