"""Limits of the bandwidth of rules: rows of our own."""

from __future__ import annotations

import pytest
from samples_schedule import short_rule, three_rules

from support.api import Api
from support.fixtures import Stock


def test_a_limit_is_kept_and_goes_with_its_rule(office: Api) -> None:
    """Only the rule is required; what is left out limits nothing all day."""
    rule = three_rules(office)[0]
    made = office.post("/rule_bandwidth", {"data": {"rule": rule}})
    assert made.status_code == 201, made.text
    (row,) = office.get("/rule_bandwidth").json()["data"]["items"]
    assert (row["rule"], row["backup_bandwidth"], row["restore_bandwidth"]) == (rule, 0, 0)
    assert (row["window_start"], row["window_end"]) == ("00:00:00", "00:00:00")
    assert office.get(f"/rule_bandwidth/{row['id']}").json()["data"] == row

    assert office.delete(f"/global_schedule/{rule}").status_code == 200
    assert office.get("/rule_bandwidth").json()["data"]["total"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("rule", 10**6), ("backup_bandwidth", -1), ("restore_bandwidth", 2**41), ("window_start", "24:00:00")],
)
def test_a_wrong_value_is_named(office: Api, field: str, value: object) -> None:
    """With its field."""
    body = {"rule": three_rules(office)[0]} | {field: value}
    answer = office.post("/rule_bandwidth", {"data": body})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [f"data.{field}"]


def test_limits_of_rules_of_other_groups_are_unknown(office: Api, rows: Stock) -> None:
    """An administrator limits rules of clients of the own groups, and sees no others."""
    group = rows.client_group()
    own, other = rows.rule(client=rows.client(group=group)), rows.rule()
    boss = rows.administrator(group)
    assert boss.post("/rule_bandwidth", {"data": {"rule": own}}).status_code == 201
    assert office.post("/rule_bandwidth", {"data": {"rule": other}}).status_code == 201
    refused = boss.post("/rule_bandwidth", {"data": {"rule": other}})
    (limit,) = boss.get("/rule_bandwidth").json()["data"]["items"]
    moved = boss.patch(f"/rule_bandwidth/{limit['id']}", {"data": {"rule": other}})

    assert refused.json()["errors"] == moved.json()["errors"] == {"data.rule": "unknown rule."}
    assert limit["rule"] == own


def test_rules_of_groups_are_limited_by_the_groups_administrators(office: Api, rows: Stock) -> None:
    """The limit is theirs as the rule is."""
    group, other = rows.client_group(), rows.client_group()
    made = office.post("/global_schedule", short_rule(office, client_id=rows.named("client_groups", group, "name")))
    rule = int(made.headers["location"].rpartition("/")[2])
    assert rows.administrator(group).post("/rule_bandwidth", {"data": {"rule": rule}}).status_code == 201
    assert rows.administrator(other).post("/rule_bandwidth", {"data": {"rule": rule}}).status_code == 400
    assert rows.administrator(group).get("/rule_bandwidth").json()["data"]["total"] == 1
    assert rows.administrator(other).get("/rule_bandwidth").json()["data"]["total"] == 0
