"""Disaster Recovery Plan. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewRecoveryPlan(TypedDict):
    """An entry of the plan to be made."""

    client: int | str
    """The client that is recovered: `hostname (hwid)` or id."""
    resource_type: str
    """A name of resource_types."""
    resource: NotRequired[str]
    """What is restored, as its copies name it; empty: every resource of the type that the client has copies of."""
    restore_destination: NotRequired[str]
    """Absolute folder below which files land at their full original path; empty: where they were."""
    autorun: NotRequired[bool]
    """Whether the restore is queued by itself when a host is authorised again under the client's hardware id."""
    priority: NotRequired[int]
    """Higher runs first."""
    description: NotRequired[str]
    """Free text."""


class RecoveryChecked(TypedDict):
    """The result of a check."""

    id: int
    """Id of the entry."""
    status: str
    """A name of disaster_recovery_record_status: Ready or Failed."""
    checked_at: str
    """When it was checked."""
    problems: list[str]
    """Everything that a recovery would lack; empty when Ready."""


class RecoveryPlanChange(TypedDict):
    """What to change of an entry."""

    client: NotRequired[int | str]
    """The client that is recovered: `hostname (hwid)` or id."""
    resource_type: NotRequired[str]
    """A name of resource_types."""
    resource: NotRequired[str]
    """What is restored, as its copies name it; empty: every resource of the type that the client has copies of."""
    restore_destination: NotRequired[str]
    """Absolute folder below which files land at their full original path; empty: where they were."""
    autorun: NotRequired[bool]
    """Whether the restore is queued by itself when a host is authorised again under the client's hardware id."""
    priority: NotRequired[int]
    """Higher runs first."""
    description: NotRequired[str]
    """Free text."""


class RecoveryPlanRow(TypedDict):
    """An entry of the disaster recovery plan."""

    id: int
    """Id of the entry."""
    client: str
    """The client that is recovered, as `hostname (hwid)`."""
    client_ref: int | None
    """Id of the client; null while it is not authorised."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What is restored; empty: every resource of the type that has copies."""
    restore_destination: str
    """Folder to restore below; empty: where files were."""
    autorun: bool
    """Whether it is restored when the client is authorised again."""
    priority: int
    """Priority of the restores; higher runs first."""
    description: str
    """Free text."""
    status: str
    """A name of disaster_recovery_record_status."""
    checked_at: str | None
    """When it was checked last."""
    problem: str
    """What the last check, or the last automatic restore, found missing."""
    created_at: str
    """When the entry was made."""


ListColumn = Literal[
    "id", "client", "client_ref", "resource_type", "resource", "restore_destination", "autorun", "priority",
    "description", "status", "checked_at", "problem", "created_at",
]  # fmt: skip


class DisasterRecoveryPlan(Family):
    """Disaster Recovery Plan."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[RecoveryPlanRow]]:
        """List: Disaster Recovery Plan. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/disaster_recovery_plan",
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
    ) -> Iterator[RecoveryPlanRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/disaster_recovery_plan", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewRecoveryPlan, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Disaster Recovery Plan. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "POST", "/disaster_recovery_plan", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Disaster Recovery Plan. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "DELETE",
            "/disaster_recovery_plan",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[RecoveryPlanRow]:
        """Read one: Disaster Recovery Plan. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/disaster_recovery_plan/{segment(row_id)}")

    def update(
        self, row_id: int, data: RecoveryPlanChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Disaster Recovery Plan. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "PATCH",
            f"/disaster_recovery_plan/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Disaster Recovery Plan. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "DELETE",
            f"/disaster_recovery_plan/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def checking(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[RecoveryChecked]:
        """Find out whether a recovery would find what it needs. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "POST",
            f"/disaster_recovery_plan/{segment(row_id)}/checking",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
