"""New Rule Requests. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewRuleRequestRow(TypedDict):
    """A rule that a client's user asks for; approved, it becomes a rule of the global schedule that is stopped."""

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
    name: str
    """Name of the rule."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What to back up."""
    backup_type: str
    """A name of backup_types."""
    pool_id: str | None
    """Name of the pool that stores the copies; null: it is gone."""
    pool_id_ref: int | None
    """Id of that pool."""
    storage_duration: str
    """How long a copy is kept, an interval."""
    priority: int
    """Priority of the rule's tasks; higher runs first."""
    crypto: str
    """A name of crypto."""
    periodic_launch: str
    """Interval between tasks; empty: the cron fields hold."""
    min: int | str | None
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step."""
    hour: int | str | None
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step."""
    dom: int | str | None
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step."""
    mon: int | str | None
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step."""
    dow: int | str | None
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step."""


ListColumn = Literal[
    "id", "client_id", "client_id_ref", "requested_by", "requested_uid", "requested_at", "comment", "name",
    "resource_type", "resource", "backup_type", "pool_id", "pool_id_ref", "storage_duration", "priority", "crypto",
    "periodic_launch", "min", "hour", "dom", "mon", "dow",
]  # fmt: skip


class NewRuleRequests(Family):
    """New Rule Requests."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[NewRuleRequestRow]]:
        """List: New Rule Requests. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/new_rule_requests",
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
    ) -> Iterator[NewRuleRequestRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/new_rule_requests", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def read(self, row_id: int) -> Answer[NewRuleRequestRow]:
        """Read one: New Rule Requests. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/new_rule_requests/{segment(row_id)}")

    def approve(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Make the rules that were asked for. Permission: Approve and decline requests of clients."""
        return self._call(
            "POST",
            "/new_rule_requests/approve",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def decline(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Refuse the rules that were asked for. Permission: Approve and decline requests of clients."""
        return self._call(
            "DELETE",
            "/new_rule_requests/decline",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
