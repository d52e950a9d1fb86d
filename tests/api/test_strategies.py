"""Strategies: what their keys take, when their schedule begins, who sees and changes them, what deleting needs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from samples_strategies import instants, strategy_body

from rubackup.domain.permissions import Role
from rubackup.services.strategy_fields import KEYS
from support.api import Api
from support.fixtures import Stock


def make(api: Api, **fields: Any) -> int:
    """A strategy made by the guide's body; its id."""
    answer = api.post("/backup_strategies", strategy_body(api, **fields))
    assert answer.status_code == 201, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def read(api: Api, strategy: int) -> dict[str, Any]:
    """A strategy as it is read."""
    found: dict[str, Any] = api.get(f"/backup_strategies/{strategy}").json()["data"]
    return found


def wrong(api: Api, **fields: Any) -> dict[str, str]:
    """The errors of the guide's body with other values, without the wrapper's name."""
    answer = api.post("/backup_strategies", strategy_body(api, **fields))
    assert answer.status_code == 400, answer.text
    return {key.removeprefix("data."): text for key, text in answer.json()["errors"].items()}


def since(rows: Stock, strategy: int) -> dt.datetime:
    """When the schedule of a strategy began."""
    found: dt.datetime = rows.row("SELECT schedule_since FROM backup_strategies WHERE id = $1", strategy)[
        "schedule_since"
    ]
    return found


def begun_long_ago(rows: Stock, **fields: Any) -> tuple[int, dt.datetime]:
    """A strategy whose schedule began in 2024, and that instant."""
    begun = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return rows.strategy(schedule_since=begun, **fields), begun


OURS = {name for name in KEYS if "second_copy" in name or name.startswith("keep_")}
"""Keys beside the guide's."""


def test_every_key_of_the_guides_body_is_kept_and_shown(office: Api) -> None:
    """What was written is read with the same text, the instants with their zone."""
    body = strategy_body(office, **instants(), name="kept")["data"]

    found = read(office, make(office, **body))

    assert body.keys() | OURS == KEYS.keys()
    assert {key: found[key] for key in body} == body


def test_keys_of_ours_are_kept_and_shown(office: Api, rows: Stock) -> None:
    """How many copies stay, and where second copies go, read with the same text; left out they say nothing."""
    pool = rows.named("pools", rows.pool_with_storage(), "pool_name")
    ours = {f"keep_{one}": number for number, one in enumerate(("last", "daily", "weekly", "monthly", "yearly"), 3)}
    for leg in ("full", "inc", "diff"):
        ours |= {
            f"{leg}_second_copy_flag": True, f"{leg}_second_copy_pool": pool, f"{leg}_second_copy_while": "2 days",
            f"{leg}_second_copy_duration": "1 Years",
        }  # fmt: skip
    found, bare = read(office, make(office, **ours)), read(office, make(office))

    assert ours.keys() == OURS
    assert {key: found[key] for key in ours} == ours
    assert {bare[key] for key in OURS} == {0, None, ""}


@pytest.mark.parametrize("leg", ["full", "inc", "diff"])
def test_a_second_copy_says_where_and_for_how_long(office: Api, rows: Stock, leg: str) -> None:
    """*_second_copy_flag needs another pool and a duration; the pool cannot be deleted meanwhile."""
    pool, flag = rows.pool(), {f"{leg}_second_copy_flag": True}

    missing = wrong(office, **flag)
    same = wrong(
        office, **flag, pool_id=pool, **{f"{leg}_second_copy_pool": pool, f"{leg}_second_copy_duration": "1 day"}
    )
    make(office, **{f"{leg}_second_copy_pool": pool, f"{leg}_second_copy_duration": "1 day"}, **flag)

    assert missing.keys() == {f"{leg}_second_copy_pool", f"{leg}_second_copy_duration"}
    assert same.keys() == {f"{leg}_second_copy_pool"}
    assert office.delete(f"/pool_list/{pool}").status_code == 409


@pytest.mark.parametrize("value", [-1, 100_001, "7", 1.5, True, None])
def test_how_many_copies_stay_is_a_number(office: Api, value: Any) -> None:
    """A whole number from 0; the refusal names the key."""
    body = strategy_body(office, name="many", keep_daily=value)

    assert office.post("/backup_strategies", body).json()["errors"].keys() == {"data.keep_daily"}


def test_names_and_ids_say_the_same(office: Api, rows: Stock) -> None:
    """Pools and user groups are written by name or id, and read as name and id."""
    pool, told = rows.pool(), rows.user_group()

    found = read(office, make(office, pool_id=pool, notify_normal=told, inc_move_copy_pool=pool))

    assert (found["pool_id_ref"], found["notify_normal_ref"], found["inc_move_copy_pool_ref"]) == (pool, told, pool)
    assert found["pool_id"] == rows.named("pools", pool, "pool_name")
    assert found["notify_normal"] == rows.named("user_groups", told, "name")


def test_every_wrong_field_is_told_at_once(office: Api) -> None:
    """Names, intervals, cron fields, addresses, status and crypto are named with what is allowed."""
    errors = wrong(
        office, status="paused", pool_id="Nowhere", crypto="rot13", verify_interval="often", notify_normal="No one",
        notify_normal_cc="no address", full_min=60, inc_dow="8", diff_storage_duration="-1 day", full_move_copy_pool=99,
    )  # fmt: skip

    assert errors.keys() == {
        "status", "pool_id", "crypto", "verify_interval", "notify_normal", "notify_normal_cc", "full_min", "inc_dow",
        "diff_storage_duration", "full_move_copy_pool",
    }  # fmt: skip
    assert "wait, run" in errors["status"]
    assert "nocrypt" in errors["crypto"]


@pytest.mark.parametrize("leg", ["full", "inc", "diff"])
def test_a_leg_that_makes_copies_says_how_long_they_live(office: Api, leg: str) -> None:
    """*_archive_enabled needs *_storage_duration, within what the pool allows."""
    missing = wrong(office, **{f"{leg}_archive_enabled": True, f"{leg}_storage_duration": ""})
    office.execute("UPDATE pools SET retention_period = interval '1 month'")
    assert missing.keys() == {f"{leg}_storage_duration"}

    body = strategy_body(office, **{f"{leg}_archive_enabled": True, f"{leg}_storage_duration": "1 Years"})
    office.execute("UPDATE pools SET retention_period = interval '1 month'")
    answer = office.post("/backup_strategies", body)

    assert answer.json()["errors"] == {
        f"data.{leg}_storage_duration": "is longer than the retention_period of the pool."
    }


@pytest.mark.parametrize("leg", ["full", "inc", "diff"])
def test_a_leg_is_not_switched_on_without_a_word_on_when(office: Api, rows: Stock, leg: str) -> None:
    """Cron fields that nobody gave would mean each minute; to want that, say so."""
    enabled = {f"{leg}_archive_enabled": True, f"{leg}_storage_duration": "1 day"}
    strategy = rows.strategy()

    refused = office.patch(f"/backup_strategies/{strategy}", {"data": enabled})
    said = office.patch(f"/backup_strategies/{strategy}", {"data": enabled | {f"{leg}_min": "*"}})

    assert refused.json()["errors"].keys() == {f"data.{leg}_periodic_launch"}
    assert said.status_code == 200


def test_cron_fields_must_name_an_instant_together(office: Api) -> None:
    """There is no 31st of February; null and * are any, lists and steps are taken as they are."""
    assert wrong(office, full_dom=31, full_mon=2, full_dow=None).keys() == {"full_dom"}
    found = read(office, make(office, full_min="0,30", full_hour="*/4", full_dom=None, full_mon="*", full_dow="1-5"))

    assert [found[f"full_{name}"] for name in ("min", "hour", "dom", "mon", "dow")] == [
        "0,30",
        "*/4",
        None,
        None,
        "1-5",
    ]


@pytest.mark.parametrize("leg", ["full", "inc", "diff"])
def test_copies_move_to_another_pool_within_their_life(office: Api, rows: Stock, leg: str) -> None:
    """*_move_copy_flag needs a pool that is another, and a time that is shorter than the storage duration."""
    pool, flag = rows.pool(), {f"{leg}_move_copy_flag": True}

    missing = wrong(office, **flag, **{f"{leg}_move_copy_while": "", f"{leg}_move_copy_pool": None})
    same = wrong(office, **flag, **{"pool_id": pool, f"{leg}_move_copy_pool": pool, f"{leg}_move_copy_while": "2 days"})
    good = make(office, **flag, **{f"{leg}_move_copy_pool": pool, f"{leg}_move_copy_while": "20 hours"})

    assert missing.keys() == {f"{leg}_move_copy_while", f"{leg}_move_copy_pool"}
    assert same.keys() == missing.keys()
    assert read(office, good)[f"{leg}_move_copy_pool_ref"] == pool


def test_a_strategy_ends_after_it_began(office: Api, rows: Stock) -> None:
    """Also when only one of both is changed."""
    strategy = rows.strategy(validity_start_period=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))

    answer = office.patch(f"/backup_strategies/{strategy}", {"data": {"validity_end_period": "2023-01-01T00:00:00Z"}})

    assert answer.json()["errors"] == {"data.validity_end_period": "must be later than the start."}


def test_verifying_needs_an_interval(office: Api, rows: Stock) -> None:
    """verify_flag and verify_interval go together, also in a change."""
    answer = office.patch(f"/backup_strategies/{rows.strategy()}", {"data": {"verify_flag": True}})

    assert answer.json()["errors"].keys() == {"data.verify_interval"}


def test_intervals_are_read_as_they_were_written(office: Api, rows: Stock) -> None:
    """Whatever is kept is an interval for the catalogue, too."""
    strategy = make(
        office, full_periodic_launch="90 min", inc_periodic_launch="2 H", diff_periodic_launch="1 week, 2 days"
    )

    found = read(office, strategy)
    kept = rows.row(
        "SELECT full_periodic_launch::interval AS a, inc_periodic_launch::interval AS b, diff_periodic_launch::interval AS c "
        "FROM backup_strategies WHERE id = $1", strategy
    )  # fmt: skip

    assert [found[f"{leg}_periodic_launch"] for leg in ("full", "inc", "diff")] == [
        "90 min",
        "2 hours",
        "1 week, 2 days",
    ]
    assert tuple(kept) == (dt.timedelta(minutes=90), dt.timedelta(hours=2), dt.timedelta(days=9))


def test_names_are_unique(office: Api, rows: Stock) -> None:
    """A taken name is a 409, for a new strategy and for a renamed one."""
    make(office, name="nightly")

    assert office.post("/backup_strategies", strategy_body(office, name="nightly")).status_code == 409
    assert office.patch(f"/backup_strategies/{rows.strategy()}", {"data": {"name": "nightly"}}).status_code == 409


# --- the schedule's beginning ---


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"full_min": 5}, True),
        ({"inc_periodic_launch": "1 hour"}, True),
        ({"validity_end_period": "2036-01-01T00:00:00Z"}, True),
        ({"description": "x", "notify_normal_cc": "a@example.org", "full_min": None}, False),
        ({"status": "run"}, True),
        ({"status": "wait"}, False),
    ],
)
def test_another_schedule_begins_now(office: Api, rows: Stock, change: dict[str, Any], begins: bool) -> None:
    """Ticks before a strategy was edited or set to run are not missed; what is no schedule does not move it."""
    strategy, before = begun_long_ago(rows)

    assert office.patch(f"/backup_strategies/{strategy}", {"data": change}).status_code == 200

    assert (since(rows, strategy) > before) is begins


def test_starting_begins_the_schedule_and_starting_again_does_not(office: Api, rows: Stock) -> None:
    """A strategy that runs already misses nothing by being started once more."""
    waits, old = begun_long_ago(rows)
    runs, _ = begun_long_ago(rows, status="run")

    answer = office.patch(
        "/backup_strategies",
        {"data": [{"strategy_id": waits, "status": "run"}, {"strategy_id": runs, "status": "run"}]},
    )

    assert answer.status_code == 200
    assert since(rows, waits) > old
    assert since(rows, runs) == old


def test_the_status_of_several_is_set_for_all_or_none(office: Api, rows: Stock) -> None:
    """A missing strategy is a 404 that names it, a wrong status or a double one a 400; nothing is changed."""
    strategy = rows.strategy()
    good = {"strategy_id": strategy, "status": "run"}

    missing = office.patch("/backup_strategies", {"data": [good, {"strategy_id": 4711, "status": "run"}]})
    bad = office.patch("/backup_strategies", {"data": [good, {"strategy_id": strategy, "status": "go"}]})

    assert (missing.status_code, bad.status_code) == (404, 400)
    assert "4711" in missing.json()["message"]
    assert bad.json()["errors"].keys() == {"data.1.strategy_id", "data.1.status"}
    assert read(office, strategy)["status"] == "wait"
    assert office.patch("/backup_strategies", {"data": [good]}).status_code == 200
    assert read(office, strategy)["status"] == "run"


# --- who ---


def test_a_strategy_administrator_changes_the_own_strategy_only(rows: Stock) -> None:
    """Others do not exist for him, and he makes and deletes none."""
    own, other = rows.strategy(), rows.strategy()
    caller = rows.strategy_administrator(own)

    assert [item["id"] for item in caller.get("/backup_strategies").json()["data"]["items"]] == [own]
    assert caller.patch(f"/backup_strategies/{own}", {"data": {"description": "mine"}}).status_code == 200
    assert caller.patch("/backup_strategies", {"data": [{"strategy_id": own, "status": "run"}]}).status_code == 200
    assert caller.patch(f"/backup_strategies/{other}", {"data": {"description": "mine"}}).status_code == 404
    assert caller.patch("/backup_strategies", {"data": [{"strategy_id": other, "status": "run"}]}).status_code == 404
    assert caller.delete(f"/backup_strategies/{own}").status_code == 403
    assert caller.post("/backup_strategies", strategy_body(rows.api)).status_code == 403


def test_a_strategy_administrator_names_the_pools_that_the_strategy_has(rows: Stock) -> None:
    """A pool of which he knows nothing is unknown; with a role that shows pools it is not."""
    pool, other = rows.pool(), rows.pool()
    own = rows.strategy(pool=pool)
    caller = rows.strategy_administrator(own)

    assert caller.patch(f"/backup_strategies/{own}", {"data": {"pool_id": pool}}).status_code == 200
    refused = caller.patch(f"/backup_strategies/{own}", {"data": {"pool_id": other}})
    user = rows.row("SELECT user_id FROM strategy_administrators WHERE strategy_id = $1", own)["user_id"]
    rows.insert("administrators", user_id=user, client_group_id=rows.client_group())

    assert refused.json()["errors"] == {"data.pool_id": "unknown pool."}
    assert caller.patch(f"/backup_strategies/{own}", {"data": {"pool_id": other}}).status_code == 200


def test_an_administrator_sees_the_strategies_that_back_up_his_clients(rows: Stock) -> None:
    """He sees them, and changes nothing."""
    group = rows.client_group()
    strategy = rows.strategy()
    rows.strategy_rule(strategy=strategy, client=rows.client(group=group))
    rows.strategy_rule()
    caller = rows.administrator(group)

    assert [item["id"] for item in caller.get("/backup_strategies").json()["data"]["items"]] == [strategy]
    assert caller.patch(f"/backup_strategies/{strategy}", {"data": {"status": "run"}}).status_code == 403


def test_seeing_through_one_role_does_not_change_through_another(rows: Stock) -> None:
    """An administrator of clients who has a strategy, too, cannot start the other strategies that he sees."""
    group, seen, own = rows.client_group(), rows.strategy(), rows.strategy()
    rows.strategy_rule(strategy=seen, client=rows.client(group=group))
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id FROM administrators WHERE client_group_id = $1", group)["user_id"]
    rows.insert("strategy_administrators", user_id=user, strategy_id=own)

    assert {item["id"] for item in caller.get("/backup_strategies").json()["data"]["items"]} == {seen, own}
    assert caller.patch("/backup_strategies", {"data": [{"strategy_id": seen, "status": "run"}]}).status_code == 403
    assert caller.patch(f"/backup_strategies/{seen}", {"data": {"status": "run"}}).status_code == 403
    assert caller.patch("/backup_strategies", {"data": [{"strategy_id": own, "status": "run"}]}).status_code == 200


# --- deleting, and what is in use ---


def test_a_strategy_with_rules_or_tasks_is_not_deleted(office: Api, rows: Stock) -> None:
    """A 409 says how many there are; without them it goes, with its administrators' role and sessions."""
    strategy, idle = rows.strategy(), rows.strategy()
    rule = rows.strategy_rule(strategy=strategy)
    rows.task(strategy_id=strategy, status="New")
    caller = rows.strategy_administrator(strategy)

    refused = office.delete("/backup_strategies", {"ids": [idle, strategy]})
    assert refused.status_code == 409
    assert "1 rules and 1 unfinished tasks" in refused.json()["message"]
    assert office.get(f"/backup_strategies/{idle}").status_code == 200

    office.execute("UPDATE task_queue SET status = 'Done'")
    office.delete(f"/strategy_rules/{rule}")
    assert office.delete(f"/backup_strategies/{strategy}").status_code == 200
    assert caller.get("/backup_strategies").status_code == 401
    assert office.get("/strategy_administrators").json()["data"]["total"] == 0


@pytest.mark.parametrize("key", ["pool_id", "full_move_copy_pool", "inc_move_copy_pool", "diff_move_copy_pool"])
def test_a_pool_that_a_strategy_uses_is_not_deleted(office: Api, rows: Stock, key: str) -> None:
    """The 409 names pool and strategy."""
    pool = rows.pool()
    make(office, name="nightly", **{key: pool})

    answer = office.delete(f"/pool_list/{pool}")

    assert answer.status_code == 409
    assert "nightly" in answer.json()["message"]
    assert rows.named("pools", pool, "pool_name") in answer.json()["message"]


@pytest.mark.parametrize("key", [key.name for key in KEYS.values() if key.form.value == "group"])
def test_a_user_group_that_a_strategy_tells_is_not_deleted(office: Api, rows: Stock, key: str) -> None:
    """The 409 names the strategy."""
    group = rows.user_group()
    make(office, name="nightly", **{key: group})

    answer = office.delete(f"/user_groups/{group}")

    assert answer.status_code == 409
    assert "nightly" in answer.json()["message"]


def test_expired_strategies_are_in_the_state(office: Api, rows: Stock) -> None:
    """Those whose end has passed, as far as the caller sees them."""
    past, future = (dt.datetime.now(dt.UTC) + dt.timedelta(days=days) for days in (-1, 1))
    expired, other = rows.strategy(validity_end_period=past), rows.strategy(validity_end_period=past)
    rows.strategy(validity_end_period=future)

    def told(caller: Api) -> list[int]:
        return [one["id"] for one in caller.get("/server_state").json()["data"]["expired_strategies"]]

    assert told(office) == [expired, other]
    assert told(rows.strategy_administrator(other)) == [other]
    assert told(office.user("keeper", Role.MAINTAINER)) == []
