"""Reports: what their keys take, and when their schedule begins."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from samples_strategies import report_body

from rubackup.domain.permissions import Role
from support.api import Api
from support.fixtures import Stock


def read(api: Api, report: int) -> dict[str, Any]:
    """A report as it is read."""
    found: dict[str, Any] = api.get(f"/reports/{report}").json()["data"]
    return found


def test_every_key_of_the_guides_body_is_kept_and_shown(office: Api, rows: Stock) -> None:
    """What was written is read with the same text, the instants with their zone."""
    group = rows.named("user_groups", rows.user_group(), "name")
    body = report_body(
        owner=group, notify=group, start_period="2024-09-07T22:06:09.809052Z", end_period="2035-09-07T22:06:09.809067Z",
        perpetually=False, status="run", description="weekly",
    )["data"]  # fmt: skip

    answer = office.post("/reports", {"data": body})

    found = read(office, int(answer.headers["location"].rpartition("/")[2]))
    assert {key: found[key] for key in body} == body


def test_a_report_without_end_needs_none(office: Api) -> None:
    """Perpetually makes start and end irrelevant; otherwise an end is required, after the start."""
    odd = {"start_period": "2025-01-01T00:00:00Z", "end_period": "2024-01-01T00:00:00Z"}

    assert office.post("/reports", report_body(perpetually=True, **odd)).status_code == 201
    late = office.post("/reports", report_body(perpetually=False, **odd))
    endless = office.post("/reports", report_body(perpetually=False, end_period=None))

    assert late.json()["errors"] == {"data.end_period": "must be later than the start."}
    assert endless.json()["errors"] == {"data.end_period": "is required unless perpetually is true."}


def test_every_wrong_field_is_told_at_once(office: Api) -> None:
    """Groups, cron fields, addresses and status are named."""
    answer = office.post(
        "/reports", report_body(owner="x", notify="y", notify_cc="z", status="on", min=60, dom=31, mon=2, dow=None)
    )

    assert answer.json()["errors"].keys() == {
        f"data.{name}" for name in ("owner", "notify", "notify_cc", "status", "min", "dom")
    }


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"hour": 7}, True),
        ({"status": "run"}, True),
        ({"description": "x", "notify_cc": ""}, False),
        ({"hour": 6}, False),
    ],
)
def test_another_schedule_begins_now(office: Api, rows: Stock, change: dict[str, Any], begins: bool) -> None:
    """What is no schedule does not move its beginning."""
    before = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    report = rows.report(schedule_since=before)

    assert office.patch(f"/reports/{report}", {"data": change}).status_code == 200

    assert (rows.row("SELECT schedule_since FROM reports")["schedule_since"] > before) is begins


def test_the_status_of_several_is_set_for_all_or_none(office: Api, rows: Stock) -> None:
    """A missing report is a 404 and starts none."""
    one, two = rows.report(), rows.report()
    started = [{"id": report, "status": "run"} for report in (one, two)]

    assert office.patch("/reports", {"data": [*started, {"id": 4711, "status": "run"}]}).status_code == 404
    assert read(office, one)["status"] == "wait"
    assert office.patch("/reports", {"data": started}).status_code == 200
    assert (read(office, one)["status"], read(office, two)["status"]) == ("run", "run")


@pytest.mark.parametrize("key", ["owner", "notify"])
def test_a_user_group_of_a_report_is_not_deleted(office: Api, rows: Stock, key: str) -> None:
    """The 409 names the report; when that is gone, the group goes."""
    group = rows.user_group()
    office.post("/reports", report_body(name="weekly", **{key: group}))

    answer = office.delete(f"/user_groups/{group}")
    assert answer.status_code == 409
    assert "weekly" in answer.json()["message"]

    office.delete("/reports", {"ids": [rows.row("SELECT id FROM reports")["id"]]})
    assert office.delete(f"/user_groups/{group}").status_code == 200


def test_reports_are_for_those_who_see_everything(office: Api, rows: Stock) -> None:
    """An auditor reads them and changes none; an administrator of clients does not get them."""
    report = rows.report()
    auditor = office.user("eye", Role.AUDITOR)

    assert read(auditor, report)["id"] == report
    assert auditor.patch(f"/reports/{report}", {"data": {"description": "x"}}).status_code == 403
    assert rows.administrator(rows.client_group()).get("/reports").status_code == 403
