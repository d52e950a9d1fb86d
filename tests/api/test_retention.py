"""What would become of copies by time is shown and not done; and the clock that leapt."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rubackup.services import retention
from support.api import Api
from support.fixtures import Stock

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def made(rows: Stock, days_ago: float, **fields: Any) -> int:
    """A copy that is kept for ten days."""
    at = NOW - days_ago * DAY
    return rows.record(created_at=at, store_until=at + 10 * DAY, **fields)


def rule_of(rows: Stock, *days_ago: float, **fields: Any) -> tuple[int, list[int]]:
    """A rule whose copies go by themselves, with copies of these ages."""
    client = fields.pop("client", None) or rows.client()
    rule = rows.rule(client=client, auto_delete_obsoleted_copy_flag=True, **fields)
    return rule, [made(rows, days, client=client, rule_id=rule) for days in days_ago]


def ask(api: Api, *, status: int = 200, query: str = "", **fields: Any) -> Any:
    """What the simulation answers."""
    answer = api.post(f"/retention/simulation{query}", {"data": fields})
    assert answer.status_code == status, answer.text
    return answer.json()["data"] if status == 200 else answer.json()["errors"]


def shown(api: Api, **fields: Any) -> list[tuple[int, str]]:
    """Copy and action of each row."""
    return [(row["record"], row["action"]) for row in ask(api, query="?limit=1000", **fields)["items"]]


def test_the_simulation_shows_what_the_leader_then_does(office: Api, rows: Stock) -> None:
    """Copy, action, instant, reason and names; asking changes nothing; then it happens just so."""
    rule, (old, older, _young) = rule_of(rows, 11, 12, 1)
    data = ask(office, rule_id=rule, period="1 day")

    assert [(row["record"], row["action"]) for row in data["items"]] == [(older, "delete"), (old, "delete")]
    row = data["items"][1]
    assert dt.datetime.fromisoformat(row["at"]) == NOW - DAY
    assert (row["why"], row["rule"], row["strategy"]) == (
        "Its storage_duration is over (auto_delete_obsoleted_copy_flag).", rule, None
    )  # fmt: skip
    assert (row["stored_bytes"], row["target_pool"], data["total"]) == (5, None, 2)
    assert office.get(f"/repository/{old}").status_code == 200
    office.run(retention.run(office.database))
    assert [office.get(f"/repository/{one}").status_code for one in (old, older, _young)] == [404, 404, 200]


def test_the_period_bounds_what_is_shown(office: Api, rows: Stock) -> None:
    """What is due already is shown with any; the instants are those of the end."""
    rule, (due, soon, late, _last) = rule_of(rows, 11, 9, 2, 1)

    assert shown(office, rule_id=rule, period="1 min") == [(due, "delete")]
    assert shown(office, rule_id=rule, period="2 days") == [(due, "delete"), (soon, "delete")]
    assert (late, "delete") in shown(office, rule_id=rule, period="9 days")
    assert ask(office, status=400, period="soon").keys() == {"data.period"}


def test_only_some_actions_are_shown(office: Api, rows: Stock) -> None:
    """What stays though its time is over is a row, too, with the reason."""
    rule, (old, last) = rule_of(rows, 12, 11)

    assert shown(office, rule_id=rule) == [(old, "delete"), (last, "keep")]
    assert shown(office, rule_id=rule, actions=["keep"]) == [(last, "keep")]
    (kept,) = ask(office, rule_id=rule, actions=["keep"])["items"]
    assert "dont_delete_last_gs_rule_archive" in kept["why"]
    assert ask(office, status=400, actions=["delete", "burn"]).keys() == {"data.actions.1"}


def test_another_policy_is_tried(office: Api, rows: Stock) -> None:
    """Whatever key is given counts, the others are the rule's own; the rule stays as it is."""
    pool = rows.pool_with_storage()
    rule, (first, second, third) = rule_of(rows, 12, 11, 1, pool=pool)
    other = rows.named("pools", rows.pool_with_storage(), "pool_name")

    def tried(**policy: Any) -> list[tuple[int, str]]:
        return shown(office, rule_id=rule, period="1 hour", policy=policy)

    assert tried() == [(first, "delete"), (second, "delete")]
    assert tried(keep_last=2) == [(first, "delete"), (second, "keep")]
    for key, left in (("keep_daily", 1), ("keep_weekly", 0), ("keep_monthly", 0), ("keep_yearly", 0)):
        assert (first, "delete") in tried(**{key: 2 if left else 1}), key
    assert tried(auto_delete_obsoleted_copy_flag=False) == [(first, "keep"), (second, "keep")]
    assert tried(storage_duration="1 hour") == [(first, "delete"), (second, "delete"), (third, "keep")]
    moved = tried(storage_duration="1 year", move_copy_flag=True, move_copy_pool=other, move_copy_while="5 days")
    assert moved == [(first, "move"), (second, "move")]
    copied = ask(
        office, rule_id=rule, period="1 hour", actions=["copy"],
        policy={"second_copy_flag": True, "second_copy_pool": other, "second_copy_while": "2 hours",
                "second_copy_duration": "1 Years"},
    )["items"]  # fmt: skip
    assert [(row["record"], row["target_pool"]) for row in copied] == [(first, other), (second, other), (third, other)]
    assert office.get(f"/global_schedule/{rule}").json()["data"]["keep_last"] == 0
    assert tried() == [(first, "delete"), (second, "delete")]


def test_another_policy_of_one_leg_is_tried(office: Api, rows: Stock) -> None:
    """The strategy's keys, and the move of one type only."""
    client, strategy = rows.client(), rows.strategy(auto_delete_obsoleted_copy_flag=True)
    rule = rows.strategy_rule(strategy=strategy, client=client)
    of = {"client": client, "strategy_id": strategy, "strategy_rule_id": rule}
    full, inc = made(rows, 2, **of), made(rows, 1, **of, backup_type="incremental")
    other = rows.pool_with_storage()
    move = {"move_copy_flag": True, "move_copy_pool": other, "move_copy_while": "1 hour"}

    both = shown(office, strategy_id=strategy, period="1 hour", policy=move)
    one = shown(office, strategy_id=strategy, period="1 hour", policy=move | {"backup_type": "incremental"})

    assert both == [(full, "move"), (inc, "move")]
    assert one == [(inc, "move")]


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
        ({"policy": {"keep_last": 1}}, "data.rule_id"),
        ({"rule_id": 1, "strategy_id": 1}, "data.strategy_id"),
        ({"policy": {"keep_last": -1}}, "data.policy.keep_last"),
        ({"policy": {"storage_duration": "never"}}, "data.policy.storage_duration"),
        ({"policy": {"move_copy_pool": "no pool"}}, "data.policy.move_copy_pool"),
        ({"policy": {"move_copy_flag": True}}, "data.policy.move_copy_pool"),
        ({"policy": {"second_copy_flag": True, "second_copy_pool": "Default"}}, "data.policy.second_copy_duration"),
        ({"policy": {"backup_type": "half"}}, "data.policy.backup_type"),
        ({"policy": {"keep_hourly": 1}}, "data.policy.keep_hourly"),
        ({"rule_id": 10**15}, "data.rule_id"),
)  # fmt: skip


def test_every_wrong_key_is_named(office: Api) -> None:
    """Also those of the policy."""
    for fields, named in WRONG:
        assert named in ask(office, status=400, **fields), named


def test_pages_follow_one_another(office: Api, rows: Stock) -> None:
    """Soonest first over all rules; a page too far is named."""
    client = rows.client()
    copies = [
        one
        for days in (15, 14, 13)
        for one in rule_of(rows, days, 1, client=client, pool=rows.pool_with_storage())[1][:1]
    ]
    pages = [ask(office, query=f"?page={page}&limit=2", client_id=client, period="1 hour") for page in (1, 2, 3)]

    assert [row["record"] for page in pages for row in page["items"]] == copies
    assert [page["total"] for page in pages] == [3, 3, 3]
    assert ask(office, status=400, query="?page=1000&limit=1000").keys() == {"page"}


def test_names_out_of_scope_are_unknown(office: Api, rows: Stock) -> None:
    """A rule, strategy or client of another group; and without a name only own copies are shown."""
    mine, theirs = rows.client_group(), rows.client_group()
    own_client, other_client = rows.client(group=mine), rows.client(group=theirs)
    own_rule, (own, _newest) = rule_of(rows, 11, 1, client=own_client)
    other_rule, _ = rule_of(rows, 11, 1, client=other_client)
    strategy = rows.strategy()
    rows.strategy_rule(strategy=strategy, client=other_client)
    admin = rows.administrator(mine)

    assert shown(admin, period="1 hour") == [(own, "delete")]
    assert shown(admin, rule_id=own_rule, client_id=own_client, period="1 hour") == [(own, "delete")]
    for key, value in (("rule_id", other_rule), ("client_id", other_client), ("strategy_id", strategy)):
        assert ask(admin, status=400, **{key: value}).keys() == {f"data.{key}"}


def test_a_maintainer_sees_what_becomes_of_copies_on_own_servers(office: Api, rows: Stock) -> None:
    """Of a rule with copies elsewhere, those here; what is decided is decided by all of them."""
    media = rows.media_server()
    client = rows.client()
    rule, (_there, _newest) = rule_of(rows, 11, 1, client=client)
    here = made(rows, 12, client=client, rule_id=rule, pool=rows.pool_with_storage(media=media))

    assert shown(rows.maintainer(media), period="1 hour") == [(here, "delete")]


def test_too_much_at_once_is_refused(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 400 that says what to name."""
    monkeypatch.setattr("rubackup.services.retention_simulation.MOST_COPIES", 1)
    client = rows.client()
    rule_of(rows, 11, 1, client=client)

    assert ask(office, status=400, client_id=client).keys() == {"data.client_id"}


def test_a_clock_that_leapt_is_acknowledged(office: Api, rows: Stock) -> None:
    """Meanwhile nothing acts, and the state says why; once is enough."""
    assert office.get("/retention").json()["data"]["acts"] is True
    rows.row(
        "UPDATE retention_state SET suspended_at = now(), reason = 'The clock leapt.', resumes_at = NULL RETURNING 1"
    )
    state = office.get("/retention").json()["data"]
    rule, (old, _newest) = rule_of(rows, 11, 1)
    office.run(retention.run(office.database))

    assert (state["acts"], state["reason"], state["resumes_at"]) == (False, "The clock leapt.", None)
    assert office.get(f"/repository/{old}").status_code == 200
    body = {"data": {"clock_is_right": False}}
    assert office.post("/retention/acknowledgement", body).json()["errors"].keys() == {"data.clock_is_right"}
    body["data"]["clock_is_right"] = True
    assert office.post("/retention/acknowledgement", body).status_code == 200
    assert office.post("/retention/acknowledgement", body).status_code == 409
    office.run(retention.run(office.database))
    assert office.get(f"/repository/{old}").status_code == 404
    assert rule
