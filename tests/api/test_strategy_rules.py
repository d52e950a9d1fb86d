"""Rules of strategies: nested bodies, whose clients may be named, and what becomes of rules."""

from __future__ import annotations

from typing import Any

import pytest
from samples_strategies import EXTENSIONS, rule_body

from support.api import Api
from support.fixtures import Stock


def read(api: Api, rule: int) -> dict[str, Any]:
    """A rule as it is read."""
    found: dict[str, Any] = api.get(f"/strategy_rules/{rule}").json()["data"]
    return found


def patch(api: Api, rule: int, **fields: Any) -> Any:
    """The answer to a change of the rule itself."""
    return api.patch(f"/strategy_rules/{rule}", {"data": {"strategy_rule": fields}})


def test_every_key_of_the_guides_body_is_kept_and_shown(office: Api, rows: Stock) -> None:
    """The rule's keys are read flat, both objects of parameters as they were written."""
    body = rule_body(
        office, normal_execution_script="/opt/good", exception_execution_script="/opt/bad",
        restore_script="/opt/restored", priority=7, resource="/home",
    )  # fmt: skip

    answer = office.post("/strategy_rules", body)

    found = read(office, int(answer.headers["location"].rpartition("/")[2]))
    rule = body["data"]["strategy_rule"]
    assert {key: found[key] for key in rule} == rule
    assert {key: found[key] for key in EXTENSIONS} == EXTENSIONS
    assert found["strategy_id_ref"] == rows.row("SELECT id FROM backup_strategies")["id"]


def test_every_wrong_field_is_told_at_once(office: Api) -> None:
    """Client, strategy, type, path, scripts and parameters are named by their dotted path."""
    body = rule_body(
        office, client_id="nobody (0123456789abcdef)", strategy_id="None", resource_type="Tape", resource="home",
        restore_script="script.sh", normal_execution_script="/opt/../etc",
    )  # fmt: skip
    body["data"]["common_modules_extensions"] = {"parameters": {"worker_parallelism": 0}}

    answer = office.post("/strategy_rules", body)

    assert answer.status_code == 400
    inside = {"client_id", "strategy_id", "resource_type", "resource", "restore_script", "normal_execution_script"}
    assert answer.json()["errors"].keys() == {f"data.strategy_rule.{name}" for name in inside} | {
        "data.common_modules_extensions.parameters.worker_parallelism"
    }
    assert "File system" in answer.json()["errors"]["data.strategy_rule.resource_type"]


def test_a_client_must_serve_the_resource_type(office: Api, rows: Stock) -> None:
    """What a client said of itself counts; one that never came online is not judged."""
    deaf = rows.client(resource_types=["Other"])
    silent = rows.client(resource_types=[])

    refused = office.post("/strategy_rules", rule_body(office, client_id=deaf))

    assert refused.json()["errors"].keys() == {"data.strategy_rule.resource_type"}
    assert office.post("/strategy_rules", rule_body(office, client_id=silent)).status_code == 201


def test_parameters_that_are_not_given_stay(office: Api, rows: Stock) -> None:
    """A change of one parameter leaves the others."""
    rule = rows.strategy_rule(module_parameters={"numeric_owner": True, "file_list": True})

    office.patch(f"/strategy_rules/{rule}", {"data": {"module_extensions": {"parameters": {"numeric_owner": False}}}})

    assert read(office, rule)["module_extensions"] == {"parameters": {"numeric_owner": False, "file_list": True}}
    assert read(office, rule)["common_modules_extensions"] == {"parameters": {"worker_parallelism": 4}}


def test_a_strategy_backs_up_a_resource_once(office: Api, rows: Stock) -> None:
    """The same again is a 409, made new or by a change."""
    strategy, client = rows.strategy(), rows.client()
    rows.strategy_rule(strategy=strategy, client=client, resource="/home")
    other = rows.strategy_rule(strategy=strategy, client=client, resource="/srv")

    again = office.post("/strategy_rules", rule_body(office, strategy_id=strategy, client_id=client, resource="/home/"))
    moved = patch(office, other, resource="/home")

    assert (again.status_code, moved.status_code) == (409, 409)
    assert read(office, other)["resource"] == "/srv"


def test_a_resource_may_be_as_long_as_its_description_says(office: Api) -> None:
    """32768 characters that cannot be compressed, and no more."""
    text = "/" + "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(32767))

    assert office.post("/strategy_rules", rule_body(office, resource=text)).status_code == 201
    assert office.post("/strategy_rules", rule_body(office, resource=text + "x")).status_code == 400


# --- who ---


def test_an_administrator_sees_the_rules_of_his_clients(rows: Stock) -> None:
    """Others of the same strategy do not exist for him; he changes none."""
    group, strategy = rows.client_group(), rows.strategy()
    own = rows.strategy_rule(strategy=strategy, client=rows.client(group=group))
    rows.strategy_rule(strategy=strategy)
    caller = rows.administrator(group)

    assert [item["id"] for item in caller.get("/strategy_rules").json()["data"]["items"]] == [own]
    assert patch(caller, own, priority=1).status_code == 403
    assert caller.delete(f"/strategy_rules/{own}").status_code == 403


def test_a_strategy_administrator_names_clients_that_the_strategy_has(rows: Stock) -> None:
    """Clients of which he knows nothing are unknown, also by moving a rule to them."""
    strategy = rows.strategy()
    rule = rows.strategy_rule(strategy=strategy)
    known = read(rows.api, rule)["client_id"]
    stranger, elsewhere = rows.client(), rows.strategy_rule()
    caller = rows.strategy_administrator(strategy)

    good = caller.post("/strategy_rules", rule_body(rows.api, strategy_id=strategy, client_id=known))
    bad = caller.post("/strategy_rules", rule_body(rows.api, strategy_id=strategy, client_id=stranger))
    moved = patch(caller, rule, client_id=stranger)

    assert good.status_code == 201, good.text
    assert bad.json()["errors"] == moved.json()["errors"] == {"data.strategy_rule.client_id": "unknown client."}
    assert patch(caller, rule, client_id=known, priority=3).status_code == 200
    assert caller.get(f"/strategy_rules/{elsewhere}").status_code == 404


def test_a_strategy_administrator_who_has_clients_adds_them(rows: Stock) -> None:
    """Clients of groups that he administers may be named in his strategy."""
    strategy, group = rows.strategy(), rows.client_group()
    client = rows.client(group=group)
    caller = rows.strategy_administrator(strategy)
    user = rows.row("SELECT user_id FROM strategy_administrators WHERE strategy_id = $1", strategy)["user_id"]
    rows.insert("administrators", user_id=user, client_group_id=group)

    assert (
        caller.post("/strategy_rules", rule_body(rows.api, strategy_id=strategy, client_id=client)).status_code == 201
    )


def test_a_rule_is_moved_between_own_strategies_only(rows: Stock) -> None:
    """Another strategy is unknown, and a client may only come along where it can be named."""
    own, second, foreign = rows.strategy(), rows.strategy(), rows.strategy()
    client = rows.client()
    rule = rows.strategy_rule(strategy=own, client=client)
    caller = rows.strategy_administrator(own, second)

    assert patch(caller, rule, strategy_id=foreign).json()["errors"].keys() == {"data.strategy_rule.strategy_id"}
    assert patch(caller, rule, strategy_id=second).json()["errors"].keys() == {"data.strategy_rule.client_id"}
    rows.strategy_rule(strategy=second, client=client)
    assert patch(caller, rule, strategy_id=second).status_code == 200
    assert read(rows.api, rule)["strategy_id_ref"] == second


# --- what becomes of rules ---


def test_a_deleted_clients_rules_go_with_it(office: Api, rows: Stock) -> None:
    """They say nothing without it; its copies stay. Each is an event of its group."""
    client = rows.client()
    rule, other = rows.strategy_rule(client=client), rows.strategy_rule()
    record = rows.record(client=client, strategy_rule_id=rule)

    assert office.delete(f"/clients/{client}").status_code == 200

    assert [item["id"] for item in office.get("/strategy_rules").json()["data"]["items"]] == [other]
    assert office.get(f"/repository/{record}").status_code == 200
    event = rows.row("SELECT * FROM events WHERE family = 'strategy_rules'")
    assert (event["kind"], event["row_id"], event["client_group_id"]) == (
        "deleted", rule, rows.row("SELECT client_group_id FROM repository")["client_group_id"],
    )  # fmt: skip


@pytest.mark.parametrize("column", ["strategy_id", "client_id", "resource", "priority", "restore_script"])
def test_rules_are_found_by_what_they_show(office: Api, rows: Stock, column: str) -> None:
    """Every flat key filters, though it is written inside an object."""
    rule = rows.strategy_rule(priority=77, restore_script="/opt/only")
    rows.strategy_rule()
    value = read(office, rule)[column]

    found = office.get("/strategy_rules", params={"filter_data": f'{column}="{value}"'}).json()["data"]["items"]

    assert [item["id"] for item in found] == [rule]
