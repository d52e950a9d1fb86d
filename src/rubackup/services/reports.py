"""Reports: which user group gets one, and when. Making and delivering them is the scheduler's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import RuleStatus
from rubackup.domain.names import NAME
from rubackup.services import cron, policy_fields, rule_status
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.scopes import EVERYTHING

_INSERT = """
INSERT INTO reports (name, owner_group_id, min, hour, dom, mon, dow, perpetually, start_period, end_period, status,
    notify_group_id, notify_cc, description)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (name) DO NOTHING RETURNING id"""
_ROW = "SELECT * FROM reports WHERE id = $1"
_BEGIN = "UPDATE reports SET schedule_since = now() WHERE id = $1"
_OF_GROUPS = """
SELECT x.name AS used, string_agg(r.name, ', ' ORDER BY r.name) AS names
FROM user_groups x JOIN reports r ON x.id IN (r.owner_group_id, r.notify_group_id)
WHERE x.id = ANY ($1::bigint[]) GROUP BY x.name LIMIT 1"""
_SCHEDULE = frozenset({*cron.FIELDS, "perpetually", "start_period", "end_period"})

_NAME = Meta(description="Name of the report; unique.", min_length=1, max_length=128, pattern=NAME)
_OWNER = Meta(description="User group that the report belongs to: name or id.")
_PERPETUALLY = Meta(
    description="Whether the report is made without end; start_period and end_period do not count then."
)
_START = Meta(description="When the report is made first; null: from now on.")
_END = Meta(description="When the report is made last; required unless perpetually is true.")
_NOTIFY, _CC = policy_fields.notify("the report"), policy_fields.copied("the report")
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewReport(msgspec.Struct, kw_only=True):
    """A report to be set up."""

    name: Annotated[str, _NAME]
    owner: Annotated[Ref, _OWNER] = "Nobody"
    min: cron.Min = None
    hour: cron.Hour = None
    dom: cron.Dom = None
    mon: cron.Mon = None
    dow: cron.Dow = None
    perpetually: Annotated[bool, _PERPETUALLY] = False
    start_period: Annotated[dt.datetime | None, _START] = None
    end_period: Annotated[dt.datetime | None, _END] = None
    status: Annotated[str, policy_fields.STATUS] = RuleStatus.WAIT.label
    notify: Annotated[Ref, _NOTIFY] = "Nobody"
    notify_cc: Annotated[str, _CC] = ""
    description: Annotated[str, _DESCRIPTION] = ""


class ReportChange(msgspec.Struct, kw_only=True):
    """What to change of a report."""

    name: Annotated[str, _NAME] | UnsetType = UNSET
    owner: Annotated[Ref, _OWNER] | UnsetType = UNSET
    min: cron.Min | UnsetType = UNSET
    hour: cron.Hour | UnsetType = UNSET
    dom: cron.Dom | UnsetType = UNSET
    mon: cron.Mon | UnsetType = UNSET
    dow: cron.Dow | UnsetType = UNSET
    perpetually: Annotated[bool, _PERPETUALLY] | UnsetType = UNSET
    start_period: Annotated[dt.datetime | None, _START] | UnsetType = UNSET
    end_period: Annotated[dt.datetime | None, _END] | UnsetType = UNSET
    status: Annotated[str, policy_fields.STATUS] | UnsetType = UNSET
    notify: Annotated[Ref, _NOTIFY] | UnsetType = UNSET
    notify_cc: Annotated[str, _CC] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET


class ReportStatus(msgspec.Struct):
    """The status that a report shall have."""

    id: Annotated[int, Meta(description="Id of the report.", ge=1)]
    status: Annotated[str, policy_fields.STATUS]


async def create(change: Change, new: NewReport) -> int:
    """A new report; the id. Conflict when the name is taken."""
    problems = Problems()
    columns = await _columns(change, problems, new)
    _check_whole(problems, columns)
    problems.raise_any()
    report_id: int | None = await change.db.fetchval(
        _INSERT, *(columns[name] for name in (
            "name", "owner_group_id", *cron.FIELDS, "perpetually", "start_period", "end_period", "status",
            "notify_group_id", "notify_cc", "description",
        )),
    )  # fmt: skip
    if report_id is None:
        raise Conflict(f"A report with the name {new.name} exists already.")
    await change.event("created", "reports", report_id)
    return report_id


async def update(change: Change, report_id: int, wanted: ReportChange) -> None:
    """Change what is given; another schedule, or the status run, begins the schedule anew."""
    problems = Problems()
    before = await change.db.fetchrow(_ROW, report_id)
    columns = await _columns(change, problems, wanted)
    _check_whole(problems, dict(before) | columns)
    problems.raise_any()
    await update_columns(change.db, "reports", report_id, columns)
    begun = columns.get("status") == RuleStatus.RUN.label != before["status"]
    if begun or any(columns[name] != before[name] for name in _SCHEDULE & columns.keys()):
        await change.db.execute(_BEGIN, report_id)
    await change.event("changed", "reports", report_id)


async def set_status(change: Change, wanted: Sequence[ReportStatus]) -> str:
    """Set the status of several reports, all or none; a sentence."""
    asked = [(one.id, one.status) for one in wanted]
    for report_id in await rule_status.set_all(change, "reports", "id", asked, EVERYTHING, EVERYTHING):
        await change.event("changed", "reports", report_id)
    return f"The status of {len(asked)} reports is set."


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete reports."""
    await change.db.execute("DELETE FROM reports WHERE id = ANY ($1::bigint[])", list(ids))
    for report_id in ids:
        await change.event("deleted", "reports", report_id)


async def refuse_user_groups(db: Connection, ids: Sequence[int]) -> None:
    """Conflict names a user group of these that reports belong or go to, and the reports."""
    row = await db.fetchrow(_OF_GROUPS, list(ids))
    if row is not None:
        raise Conflict(f"User group {row['used']} is used by reports: {row['names']}.")


async def _columns(change: Change, problems: Problems, body: NewReport | ReportChange) -> dict[str, Any]:
    columns = given(
        name=body.name, perpetually=body.perpetually, start_period=body.start_period, end_period=body.end_period,
        description=body.description,
    )  # fmt: skip
    for name, value in given(**{one: getattr(body, one) for one in cron.FIELDS}).items():
        columns[name] = cron.check(problems, name, value, f"data.{name}")
    if body.status is not UNSET:
        columns["status"] = problems.label(RuleStatus, body.status, "data.status")
    if body.notify_cc is not UNSET:
        columns["notify_cc"] = policy_fields.addresses(problems, body.notify_cc, "data.notify_cc")
    for name, value in given(owner=body.owner, notify=body.notify).items():
        group = await problems.user_group(change.db, value, f"data.{name}")
        columns[f"{name}_group_id"] = group and group["id"]
    return columns


def _check_whole(problems: Problems, row: Mapping[str, Any]) -> None:
    """Note what does not fit together; `row` are the columns as they will be."""
    cron.check_whole(problems, {name: row[name] for name in cron.FIELDS}, "data.dom")
    if row["perpetually"]:
        return
    if row["end_period"] is None:
        problems.add("data.end_period", "is required unless perpetually is true.")
    policy_fields.validity(problems, row["start_period"], row["end_period"], "data.end_period")
