"""The calendar: what the schedule and strategies would back up in a span of time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rubackup.domain.permissions import Role
from rubackup.services import schedule_calendar
from support.api import Api
from support.fixtures import Stock

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = {"from": "2026-03-29T00:00:00+01:00", "to": "2026-03-30T00:00:00+02:00"}
"""The day on which the clock of Berlin goes from 02:00 to 03:00."""


@pytest.fixture
def berlin(office: Api) -> Api:
    """The superuser of an installation whose leader reckons in the time of Berlin."""
    office.execute("UPDATE schedule_state SET zone = 'Europe/Berlin'")
    return office


def running(rows: Stock, **fields: Any) -> int:
    """A rule that runs since long ago."""
    return rows.rule(**({"status": "run", "schedule_since": LONG_AGO, "created_at": LONG_AGO} | fields))


def calendar(api: Api, **query: Any) -> list[dict[str, Any]]:
    """The launches of a span."""
    answer = api.get("/global_schedule/calendar", params=DAY | query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["data"]["items"]
    return items


def refused(api: Api, **query: Any) -> dict[str, str]:
    """The fields of a refusal."""
    answer = api.get("/global_schedule/calendar", params=query)
    assert answer.status_code == 400, answer.text
    errors: dict[str, str] = answer.json()["errors"]
    return errors


def test_a_launch_says_when_what_and_whose(berlin: Api, rows: Stock) -> None:
    """An instant in UTC and in the zone of the schedule, moved by the change of the clock; rule, client, resource, type."""
    client = rows.client()
    rule = running(rows, client=client, resource="/home", name="nightly", hour="2", min="30")

    (launch,) = calendar(berlin)

    assert launch == {
        "at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00", "zone": "Europe/Berlin", "rule": "nightly",
        "rule_ref": rule, "strategy": None, "strategy_ref": None, "strategy_rule_ref": None,
        "client": rows.label(client), "client_ref": client, "resource_type": "File system", "resource": "/home",
        "backup_type": "full", "left_out": "",
    }  # fmt: skip


def test_strategies_are_shown_leg_by_leg_and_what_a_full_covers(berlin: Api, rows: Stock) -> None:
    """Each rule of a strategy at each launch of its legs; a partial one that comes with a full one says why it is left out."""
    strategy = rows.strategy(
        status="run", schedule_since=LONG_AGO, created_at=LONG_AGO, name="weekly", full_archive_enabled=True,
        full_storage_duration="1 day", full_min="0", full_hour="12", inc_archive_enabled=True,
        inc_storage_duration="1 day", inc_min="0", inc_hour="*/12", diff_min="0", diff_hour="1",
    )  # fmt: skip
    member = rows.strategy_rule(strategy=strategy, resource="/srv")

    found = [(one["at"], one["backup_type"], one["left_out"]) for one in calendar(berlin)]

    assert found == [
        ("2026-03-28T23:00:00Z", "incremental", ""),
        ("2026-03-29T10:00:00Z", "full", ""),
        (
            "2026-03-29T10:00:00Z",
            "incremental",
            "No task: a full backup of the same resource was due at the same time.",
        ),
    ]
    assert {
        (one["strategy"], one["strategy_ref"], one["strategy_rule_ref"], one["rule"]) for one in calendar(berlin)
    } == {("weekly", strategy, member, None)}


def test_only_what_would_run_is_shown(berlin: Api, rows: Stock) -> None:
    """Rules that wait, launches before the last edit, beyond the validity, and strategies without rules are not there."""
    running(rows, status="wait")
    running(rows, hour="1-5", schedule_since=dt.datetime(2026, 3, 29, 2, tzinfo=dt.UTC))
    running(rows, hour="12", validity_end_period=dt.datetime(2026, 3, 29, 10, tzinfo=dt.UTC))
    rows.strategy(status="run", schedule_since=LONG_AGO, full_archive_enabled=True, full_storage_duration="1 day")

    assert [one["local"] for one in calendar(berlin)] == ["2026-03-29T05:00:00+02:00"]


def test_a_rule_of_a_group_shows_each_client(berlin: Api, rows: Stock) -> None:
    """One launch for each client that is in the group now."""
    group = rows.client_group()
    clients = [rows.client(group=group) for _ in range(3)]
    running(rows, client_id=None, client_group_id=group, hour="4")

    assert [one["client_ref"] for one in calendar(berlin)] == clients


def test_pages_hold_everything_once(berlin: Api, rows: Stock) -> None:
    """Launches come in order, over pages too, with their number in all."""
    for minute in ("0", "30"):
        running(rows, hour="*", min=minute)
    whole = calendar(berlin, limit=1000)
    pages = [one for page in range(1, 6) for one in calendar(berlin, page=page, limit=10)]

    answer = berlin.get("/global_schedule/calendar", params=DAY | {"limit": 10, "page": 6}).json()["data"]
    assert (len(whole), pages) == (47, whole)  # 24 half hours, of which one at the change, and 23 hours
    assert (answer["total"], answer["pages"], answer["items"]) == (47, 5, [])
    assert [one["at"] for one in whole] == sorted(one["at"] for one in whole)


def test_a_day_from_now_is_shown_when_nothing_is_said(office: Api, rows: Stock) -> None:
    """Without from and to: the next 24 hours."""
    running(rows, hour="*", min="*/30")

    assert office.get("/global_schedule/calendar").json()["data"]["total"] == 48


def test_the_span_is_checked(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong end is named with what is allowed; a span with too many launches says so."""
    day = "2026-03-01T00:00:00Z"

    assert refused(office, **{"from": "soon"}).keys() == {"from"}
    assert refused(office, **{"from": "1800-01-01T00:00:00Z", "to": "9999-01-01T00:00:00Z"}).keys() == {"from", "to"}
    assert refused(office, **{"from": day, "to": day}) == {"to": "must be later than from."}
    assert "31 days" in refused(office, **{"from": day, "to": "2026-04-01T00:00:01Z"})["to"]
    assert refused(office, until=day).keys() == {"until"}
    running(rows, hour="*", min="*")
    monkeypatch.setattr(schedule_calendar, "MOST_BACKUPS", 100)
    assert "more than 100 launches" in refused(office, **{"from": day, "to": "2026-03-02T00:00:00Z"})["to"]


def test_an_administrator_sees_his_own_clients(berlin: Api, rows: Stock) -> None:
    """Rules, groups' rules and strategies' rules of clients of other groups do not exist."""
    group, other = rows.client_group(), rows.client_group()
    own, foreign = rows.client(group=group), rows.client(group=other)
    strategy = rows.strategy(
        status="run", schedule_since=LONG_AGO, full_archive_enabled=True, full_storage_duration="1 day", full_hour="6",
        full_min="0",
    )  # fmt: skip
    for client in (own, foreign):
        running(rows, client=client, hour="5")
        rows.strategy_rule(strategy=strategy, client=client)
    for one in (group, other):
        running(rows, client_id=None, client_group_id=one, hour="7")

    assert [one["client_ref"] for one in calendar(rows.administrator(group))] == [own] * 3
    assert [one["client_ref"] for one in calendar(berlin)] == [own, foreign] * 3


def test_a_full_backup_out_of_sight_covers_all_the_same(berlin: Api, rows: Stock) -> None:
    """The administrator of a strategy sees that a rule which is not his leaves his launch out, not the rule itself."""
    client = rows.client()
    strategy = rows.strategy(
        status="run", schedule_since=LONG_AGO, inc_archive_enabled=True, inc_storage_duration="1 day", inc_hour="5",
        inc_min="0",
    )  # fmt: skip
    rows.strategy_rule(strategy=strategy, client=client, resource="/home")
    running(rows, client=client, resource="/home", hour="5")
    caller = rows.strategy_administrator(strategy)

    (launch,) = calendar(caller)
    assert launch["left_out"].startswith("No task: a full backup")


def test_who_may_not_read_policies_sees_no_calendar(office: Api) -> None:
    """A maintainer of storage has nothing to do with it."""
    assert office.user("keeper", Role.MAINTAINER).get("/global_schedule/calendar").status_code == 403
