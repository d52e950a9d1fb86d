"""Reports and notifications: what users are told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, LOG, Action, Body, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making, with_body
from rubackup.services import cron, reports, scopes


class ReportRow(msgspec.Struct, kw_only=True):
    """A report that is made by a schedule."""

    id: Annotated[int, Meta(description="Id of the report.")]
    name: Annotated[str, Meta(description="Name of the report.")]
    owner: Annotated[str, Meta(description="Name of the user group that the report belongs to.")]
    owner_ref: Annotated[int, Meta(description="Id of that group.")]
    min: cron.Min
    hour: cron.Hour
    dom: cron.Dom
    mon: cron.Mon
    dow: cron.Dow
    perpetually: Annotated[bool, Meta(description="Whether it is made without end.")]
    start_period: Annotated[datetime | None, Meta(description="When it is made first; null: since it was set up.")]
    end_period: Annotated[datetime | None, Meta(description="When it is made last.")]
    status: Annotated[str, Meta(description="A name of status_of_rule: wait (stopped) or run (started).")]
    notify: Annotated[str, Meta(description="Name of the user group that gets it; Nobody: no one.")]
    notify_ref: Annotated[int, Meta(description="Id of that group.")]
    notify_cc: Annotated[str, Meta(description="Further e-mail addresses that get it.")]
    description: Annotated[str, Meta(description="Free text.")]
    created_at: Annotated[datetime, Meta(description="When it was set up.")]


_OWN = ("id", "name", *cron.FIELDS, "perpetually", "start_period", "end_period", "status", "notify_cc", "description",
        "created_at")  # fmt: skip
_CHANGE = {
    "data": {
        "perpetually": True, "start_period": "2024-09-07T22:06:09.809052", "end_period": "2025-09-07T22:06:09.809067",
        "status": "wait", "notify": "Nobody", "notify_cc": "email@domain.ru", "description": "",
    }
}  # fmt: skip
_NEW = {
    "data": {
        "name": "my_report_name", "owner": "Nobody", "min": 0, "hour": 0, "dom": 1, "mon": 1, "dow": 1,
        **_CHANGE["data"],
    }
}  # fmt: skip
REPORTS = Resource(
    path="reports",
    name="Reports",
    tag="Reports",
    summary="Reports that are made by a schedule",
    read=Permission.READ_REPORTS,
    write=Permission.WRITE_REPORTS,
    row=ReportRow,
    source=Source(
        "reports r JOIN user_groups o ON o.id = r.owner_group_id JOIN user_groups g ON g.id = r.notify_group_id",
        "r.id",
        {
            **{one: f"r.{one}" for one in _OWN},
            "owner": "o.name", "owner_ref": "r.owner_group_id", "notify": "g.name", "notify_ref": "r.notify_group_id",
        },
        frozenset({"id", "name", "status"}),
    ),
    ops=CRUD,
    create=making(reports.create),
    create_body=Body(reports.NewReport, example=_NEW),
    update=reports.update,
    update_body=Body(reports.ReportChange, example=_CHANGE),
    delete=reports.delete,
    actions=(
        Action(
            "PATCH", "", "Start and stop reports, all or none", Permission.WRITE_REPORTS,
            with_body(reports.set_status), operation_id="set_status_reports",
            body=Body(reports.ReportStatus, many=True, example={"data": [{"id": 1, "status": "wait"}]}),
            statuses={404: "There is no such report"},
        ),
    ),
)  # fmt: skip


class NotificationRow(msgspec.Struct, kw_only=True):
    """Something that a user group is told."""

    id: Annotated[int, Meta(description="Id of the notification.")]
    kind: Annotated[
        str, Meta(description="normal (a task ended well), exception (it failed) or verify (a verification ended).")
    ]
    status: Annotated[str, Meta(description="A name of notifications_status.")]
    user_group: Annotated[str | None, Meta(description="Name of the group that is told; null when it was deleted.")]
    user_group_ref: Annotated[int | None, Meta(description="Id of that group.")]
    cc: Annotated[str, Meta(description="Further e-mail addresses that are told.")]
    subject: Annotated[str, Meta(description="What it is about, in one line.")]
    text: Annotated[str, Meta(description="What there is to tell.")]
    task: Annotated[int | None, Meta(description="Number of the task that it is about; it may be gone.")]
    client: Annotated[str, Meta(description="The client as `hostname (hwid)` when it happened; empty: none.")]
    client_ref: Annotated[int | None, Meta(description="Id of the client; null when it was deleted.")]
    rule: Annotated[int | None, Meta(description="Id of the rule of the global schedule that the task came from.")]
    strategy: Annotated[int | None, Meta(description="Id of the strategy that the task came from.")]
    created_at: Annotated[datetime, Meta(description="When it happened.")]


NOTIFICATIONS = Resource(
    path="notifications",
    name="Notifications",
    tag="Notifications",
    summary="What user groups are told",
    read=Permission.READ_NOTIFICATIONS,
    row=NotificationRow,
    source=Source(
        "notifications n LEFT JOIN clients c ON c.id = n.client_id LEFT JOIN user_groups g ON g.id = n.user_group_id",
        "n.id",
        {
            **{one: f"n.{one}" for one in ("id", "kind", "status", "cc", "subject", "text", "client", "created_at")},
            "user_group": "g.name", "user_group_ref": "n.user_group_id", "task": "n.task_id",
            "client_ref": "c.id", "rule": "n.rule_id", "strategy": "n.strategy_id",
        },
        frozenset({"id", "status", "user_group_ref", "task", "client_ref", "rule", "strategy", "created_at"}),
        descending=True,
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.notifications(principal, "n", "coalesce(c.group_id, n.client_group_id)")),
)  # fmt: skip
