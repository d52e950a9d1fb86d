"""Reports. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewReport(TypedDict):
    """A report to be set up."""

    name: str
    """Name of the report; unique."""
    owner: NotRequired[int | str]
    """User group that the report belongs to: name or id."""
    min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step."""
    hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step."""
    dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step."""
    mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step."""
    dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step."""
    perpetually: NotRequired[bool]
    """Whether the report is made without end; start_period and end_period do not count then."""
    start_period: NotRequired[str | None]
    """When the report is made first; null: from now on."""
    end_period: NotRequired[str | None]
    """When the report is made last; required unless perpetually is true."""
    status: NotRequired[str]
    """A name of status_of_rule: wait (stopped) or run (started)."""
    notify: NotRequired[int | str]
    """User group that is told the report: name or id; Nobody: no one."""
    notify_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told the report."""
    description: NotRequired[str]
    """Free text."""


class ReportChange(TypedDict):
    """What to change of a report."""

    name: NotRequired[str]
    """Name of the report; unique."""
    owner: NotRequired[int | str]
    """User group that the report belongs to: name or id."""
    min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step."""
    hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step."""
    dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step."""
    mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step."""
    dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step."""
    perpetually: NotRequired[bool]
    """Whether the report is made without end; start_period and end_period do not count then."""
    start_period: NotRequired[str | None]
    """When the report is made first; null: from now on."""
    end_period: NotRequired[str | None]
    """When the report is made last; required unless perpetually is true."""
    status: NotRequired[str]
    """A name of status_of_rule: wait (stopped) or run (started)."""
    notify: NotRequired[int | str]
    """User group that is told the report: name or id; Nobody: no one."""
    notify_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told the report."""
    description: NotRequired[str]
    """Free text."""


class ReportRow(TypedDict):
    """A report that is made by a schedule."""

    id: int
    """Id of the report."""
    name: str
    """Name of the report."""
    owner: str
    """Name of the user group that the report belongs to."""
    owner_ref: int
    """Id of that group."""
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
    perpetually: bool
    """Whether it is made without end."""
    start_period: str | None
    """When it is made first; null: since it was set up."""
    end_period: str | None
    """When it is made last."""
    status: str
    """A name of status_of_rule: wait (stopped) or run (started)."""
    notify: str
    """Name of the user group that gets it; Nobody: no one."""
    notify_ref: int
    """Id of that group."""
    notify_cc: str
    """Further e-mail addresses that get it."""
    description: str
    """Free text."""
    created_at: str
    """When it was set up."""


class ReportStatus(TypedDict):
    """The status that a report shall have."""

    id: int
    """Id of the report."""
    status: str
    """A name of status_of_rule: wait (stopped) or run (started)."""


ListColumn = Literal[
    "id", "name", "owner", "owner_ref", "min", "hour", "dom", "mon", "dow", "perpetually", "start_period",
    "end_period", "status", "notify", "notify_ref", "notify_cc", "description", "created_at",
]  # fmt: skip


class Reports(Family):
    """Reports."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ReportRow]]:
        """List: Reports. Permission: See reports."""
        return self._call(
            "GET",
            "/reports",
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
    ) -> Iterator[ReportRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/reports", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewReport, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Reports. Permission: Create, change and delete reports."""
        return self._call("POST", "/reports", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Reports. Permission: Create, change and delete reports."""
        return self._call(
            "DELETE", "/reports", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def set_status(self, data: Sequence[ReportStatus], *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Start and stop reports, all or none. Permission: Create, change and delete reports."""
        return self._call("PATCH", "/reports", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def read(self, row_id: int) -> Answer[ReportRow]:
        """Read one: Reports. Permission: See reports."""
        return self._call("GET", f"/reports/{segment(row_id)}")

    def update(
        self, row_id: int, data: ReportChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Reports. Permission: Create, change and delete reports."""
        return self._call(
            "PATCH",
            f"/reports/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Reports. Permission: Create, change and delete reports."""
        return self._call(
            "DELETE", f"/reports/{segment(row_id)}", if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )
