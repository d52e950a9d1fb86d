"""Rule Bandwidth. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewRuleBandwidth(TypedDict):
    """A limit to be made."""

    rule: int
    """Id of the rule of the global schedule."""
    backup_bandwidth: NotRequired[int]
    """Limit of its backups in KiB per second; 0: no limit."""
    restore_bandwidth: NotRequired[int]
    """Limit of its restores in KiB per second; 0: no limit."""
    window_start: NotRequired[str]
    """Local time of day HH:MM:SS from which the limit holds."""
    window_end: NotRequired[str]
    """Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight."""


class RuleBandwidthChange(TypedDict):
    """What to change of a limit."""

    rule: NotRequired[int]
    """Id of the rule of the global schedule."""
    backup_bandwidth: NotRequired[int]
    """Limit of its backups in KiB per second; 0: no limit."""
    restore_bandwidth: NotRequired[int]
    """Limit of its restores in KiB per second; 0: no limit."""
    window_start: NotRequired[str]
    """Local time of day HH:MM:SS from which the limit holds."""
    window_end: NotRequired[str]
    """Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight."""


class RuleBandwidthRow(TypedDict):
    """A limit of a rule's bandwidth."""

    id: int
    """Id of the limit."""
    rule: int
    """Id of the rule."""
    rule_name: str
    """Name of the rule."""
    backup_bandwidth: int
    """Limit of its backups in KiB per second; 0: no limit."""
    restore_bandwidth: int
    """Limit of restores of its copies in KiB per second; 0: no limit."""
    window_start: str
    """Local time of day HH:MM:SS from which the limit holds."""
    window_end: str
    """Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight."""


ListColumn = Literal[
    "id", "rule", "rule_name", "backup_bandwidth", "restore_bandwidth", "window_start", "window_end",
]  # fmt: skip


class RuleBandwidth(Family):
    """Rule Bandwidth."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[RuleBandwidthRow]]:
        """List: Rule Bandwidth. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/rule_bandwidth",
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
    ) -> Iterator[RuleBandwidthRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/rule_bandwidth", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewRuleBandwidth, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Rule Bandwidth. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "POST", "/rule_bandwidth", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Rule Bandwidth. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "DELETE", "/rule_bandwidth", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[RuleBandwidthRow]:
        """Read one: Rule Bandwidth. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/rule_bandwidth/{segment(row_id)}")

    def update(
        self, row_id: int, data: RuleBandwidthChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Rule Bandwidth. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "PATCH",
            f"/rule_bandwidth/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Rule Bandwidth. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "DELETE",
            f"/rule_bandwidth/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
