"""Delete Rule Request. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class DeleteRuleRequestRow(TypedDict):
    """A rule that a client's user asks to have deleted."""

    id: int
    """Id of the request."""
    client_id: str
    """The client that asks, as `hostname (hwid)`."""
    client_id_ref: int
    """Id of the client."""
    requested_by: str
    """User of the client's host who asked."""
    requested_uid: int
    """Number of that user; 0 is root."""
    requested_at: str
    """When."""
    comment: str
    """What the user says about it."""
    rule: str
    """Name of the rule."""
    rule_ref: int
    """Id of the rule."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What the rule backs up."""
    backup_type: str
    """A name of backup_types."""
    status: str
    """A name of status_of_rule."""


ListColumn = Literal[
    "id", "client_id", "client_id_ref", "requested_by", "requested_uid", "requested_at", "comment", "rule",
    "rule_ref", "resource_type", "resource", "backup_type", "status",
]  # fmt: skip


class DeleteRuleRequests(Family):
    """Delete Rule Request."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[DeleteRuleRequestRow]]:
        """List: Delete Rule Requests. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/delete_rule_requests",
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
    ) -> Iterator[DeleteRuleRequestRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/delete_rule_requests", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def read(self, row_id: int) -> Answer[DeleteRuleRequestRow]:
        """Read one: Delete Rule Requests. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/delete_rule_requests/{segment(row_id)}")

    def approve(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete the rules. Permission: Approve and decline requests of clients."""
        return self._call(
            "POST",
            "/delete_rule_requests/approve",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def decline(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Keep the rules. Permission: Approve and decline requests of clients."""
        return self._call(
            "DELETE",
            "/delete_rule_requests/decline",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
