"""Requests of clients about rules: what an administrator sees of them and decides, and what follows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from samples_requests import delete_rule_request, new_rule_request

from rubackup.domain.permissions import Role
from support.api import Api
from support.catalogue import waiting_for_locks
from support.fixtures import Stock

NEW, DELETIONS = "/new_rule_requests", "/delete_rule_requests"
MISSING = 2**62


def listed(caller: Api, path: str) -> set[int]:
    """The ids in a list."""
    answer = caller.get(path, params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["data"]["items"]}


def rule_of(office: Api, name: str) -> dict[str, Any]:
    """The one rule of that name."""
    (rule,) = office.get("/global_schedule", params={"filter_data": f'name="{name}"'}).json()["data"]["items"]
    return dict(rule)


def test_an_approved_request_becomes_a_stopped_rule(office: Api, rows: Stock) -> None:
    """Every field of the request is the rule's, whose status is wait; the request is gone, the audit has it."""
    request = new_rule_request(rows, min="0,30", hour=None, dow="1-5", periodic_launch="")
    asked = office.get(f"{NEW}/{request}").json()["data"]

    answer = office.post(f"{NEW}/approve", {"ids": [request]})

    assert answer.status_code == 200, answer.text
    rule = rule_of(office, asked["name"])
    same = (
        "name", "client_id", "client_id_ref", "resource_type", "resource", "backup_type", "pool_id", "pool_id_ref",
        "storage_duration", "priority", "crypto", "min", "hour", "dom", "mon", "dow",
    )  # fmt: skip
    assert {key: rule[key] for key in same} == {key: asked[key] for key in same}
    assert rule["status"] == "wait"
    assert office.get(f"{NEW}/{request}").status_code == 404
    audit = rows.row("SELECT * FROM audit WHERE resource = 'new_rule_requests' ORDER BY id DESC LIMIT 1")
    assert (audit["user_name"], audit["row_ids"]) == ("rubackup", [request])
    assert audit["before"]["comment"] == "please"


def test_a_periodic_request_becomes_a_periodic_rule(office: Api, rows: Stock) -> None:
    """An interval wins over cron fields in the request as in the rule."""
    request = new_rule_request(rows, name="each week", periodic_launch="7 days", min=None, hour=None)

    assert office.post(f"{NEW}/approve", {"ids": [request]}).status_code == 200

    assert rule_of(office, "each week")["periodic_launch"] == "7 days"


def test_a_declined_request_makes_nothing(office: Api, rows: Stock) -> None:
    """200; the request is gone and there is no rule."""
    request = new_rule_request(rows, name="unwanted")

    assert office.delete(f"{NEW}/decline", {"ids": [request]}).status_code == 200

    assert request not in listed(office, NEW)
    assert rows.api.fetch("SELECT 1 FROM global_schedule WHERE name = 'unwanted'") == []


def test_some_approved_and_some_not_is_207_with_a_result_each(office: Api, rows: Stock) -> None:
    """What can be made is made; a request whose pool is gone stays, with the reason told; a missing id is told too."""
    good, bad = new_rule_request(rows, name="good"), new_rule_request(rows, name="bad", pool_id=None)

    answer = office.post(f"{NEW}/approve", {"ids": [bad, good, MISSING]})

    assert answer.status_code == 207, answer.text
    results = {one["id"]: one for one in answer.json()["data"]["items"]}
    assert [results[i]["ok"] for i in (bad, good, MISSING)] == [False, True, False]
    assert "pool" in results[bad]["message"]
    assert {bad} <= listed(office, NEW)
    assert rule_of(office, "good")["status"] == "wait"


def test_a_request_that_cannot_be_a_rule_any_more_stays(office: Api, rows: Stock) -> None:
    """A pool that keeps copies for less time than was asked for: 409 with the reason, nothing is changed."""
    request = new_rule_request(rows, storage_duration="10 years", name="long")
    pool = rows.row("SELECT pool_id FROM new_rule_requests WHERE id = $1", request)["pool_id"]
    rows.api.execute("UPDATE pools SET retention_period = interval '1 year' WHERE id = $1", pool)

    answer = office.post(f"{NEW}/approve", {"ids": [request]})

    assert answer.status_code == 409
    assert "retention_period" in answer.json()["message"]
    assert request in listed(office, NEW)


@pytest.mark.parametrize("path", [f"{NEW}/approve", f"{DELETIONS}/approve"])
def test_approving_what_is_not_there_is_404(office: Api, path: str) -> None:
    """None exists: 404 that names them."""
    answer = office.post(path, {"ids": [MISSING]})

    assert answer.status_code == 404
    assert str(MISSING) in answer.json()["message"]


@pytest.mark.parametrize("path", [f"{NEW}/decline", f"{DELETIONS}/decline"])
def test_declining_what_is_not_there_is_404(office: Api, path: str) -> None:
    """None exists: 404."""
    assert office.delete(path, {"ids": [MISSING]}).status_code == 404


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": ["a"]}, {"ids": [0]}, {"ids": [1], "more": 1}])
def test_a_wrong_body_is_named(office: Api, body: dict[str, Any]) -> None:
    """Ids are at least one number from 1; other keys are unknown."""
    for method, path in (("POST", f"{NEW}/approve"), ("DELETE", f"{NEW}/decline"), ("POST", f"{DELETIONS}/approve")):
        answer = office.request(method, path, json=body)
        assert answer.status_code == 400, path
        assert answer.json()["errors"], path


def test_an_approved_deletion_deletes_the_rule_and_keeps_its_copies(office: Api, rows: Stock) -> None:
    """The rule is gone, the request with it, the copy stays and keeps the rule's number."""
    client = rows.client()
    rule = rows.rule(client=client)
    record = rows.record(client=client, rule_id=rule)
    request = delete_rule_request(rows, client=client, rule=rule)
    assert office.get(f"{DELETIONS}/{request}").json()["data"]["rule_ref"] == rule

    answer = office.post(f"{DELETIONS}/approve", {"ids": [request]})

    assert answer.status_code == 200, answer.text
    assert office.get(f"/global_schedule/{rule}").status_code == 404
    assert office.get(f"{DELETIONS}/{request}").status_code == 404
    assert office.get(f"/repository/{record}").status_code == 200


def test_a_declined_deletion_keeps_the_rule(office: Api, rows: Stock) -> None:
    """204 without a body; the rule is there, and its deletion can be requested again."""
    client = rows.client()
    rule = rows.rule(client=client)
    request = delete_rule_request(rows, client=client, rule=rule)

    answer = office.delete(f"{DELETIONS}/decline", {"ids": [request]})

    assert (answer.status_code, answer.content) == (204, b"")
    assert office.get(f"/global_schedule/{rule}").status_code == 200
    assert delete_rule_request(rows, client=client, rule=rule) != request


def test_some_deletions_declined_and_some_not_is_207(office: Api, rows: Stock) -> None:
    """A missing id beside one that is there."""
    answer = office.delete(f"{DELETIONS}/decline", {"ids": [delete_rule_request(rows), MISSING]})

    assert answer.status_code == 207
    assert [one["ok"] for one in answer.json()["data"]["items"]] == [True, False]


def test_a_deleted_rule_takes_its_request_along(office: Api, rows: Stock) -> None:
    """Nothing is left to decide."""
    client = rows.client()
    rule = rows.rule(client=client)
    request = delete_rule_request(rows, client=client, rule=rule)

    assert office.delete(f"/global_schedule/{rule}").status_code == 200

    assert request not in listed(office, DELETIONS)


def test_an_administrator_decides_for_own_groups_only(rows: Stock) -> None:
    """Requests of other groups do not exist: not in lists, not in server_state, and not to be decided."""
    group = rows.client_group()
    own, other = new_rule_request(rows, client=rows.client(group=group)), new_rule_request(rows)
    own_deletion = delete_rule_request(rows, client=rows.client(group=group))
    other_deletion = delete_rule_request(rows)
    caller = rows.administrator(group)

    assert listed(caller, NEW) == {own}
    assert listed(caller, DELETIONS) == {own_deletion}
    state = caller.get("/server_state").json()["data"]
    assert [one["id"] for one in state["new_rule_requests"]] == [own]
    assert [one["id"] for one in state["delete_rule_requests"]] == [own_deletion]
    assert caller.get(f"{NEW}/{other}").status_code == 404
    assert caller.post(f"{NEW}/approve", {"ids": [other]}).status_code == 404
    assert caller.delete(f"{DELETIONS}/decline", {"ids": [other_deletion]}).status_code == 404
    assert caller.post(f"{NEW}/approve", {"ids": [other, own]}).status_code == 207
    assert other in listed(rows.api, NEW)


def test_an_auditor_sees_and_decides_nothing(office: Api, rows: Stock) -> None:
    """Reading is allowed, deciding is a 403."""
    request = new_rule_request(rows)
    auditor = office.user("the-auditor", Role.AUDITOR)

    assert request in listed(auditor, NEW)
    assert auditor.post(f"{NEW}/approve", {"ids": [request]}).status_code == 403


def test_server_state_shows_what_waits(office: Api, rows: Stock) -> None:
    """Who asks, for which rule, since when."""
    new, deletion = new_rule_request(rows, name="nightly"), delete_rule_request(rows)

    state = office.get("/server_state").json()["data"]

    shown = {one["id"]: one for one in state["new_rule_requests"]}[new]
    assert (shown["rule"], shown["requested_by"]) == ("nightly", "anna")
    assert shown["client"].endswith(")")
    assert deletion in {one["id"] for one in state["delete_rule_requests"]}


@pytest.mark.parametrize(("method", "call", "status"), [("POST", "approve", 404), ("DELETE", "decline", 404)])
def test_a_decision_and_a_deleted_rule_do_not_wait_in_a_circle(
    office: Api, rows: Stock, method: str, call: str, status: int
) -> None:
    """Both lock the rule first, which takes its request along: whoever comes second finds neither, and nobody a 503."""
    rule = rows.rule()
    request = delete_rule_request(rows, rule=rule)

    async def scenario() -> int:
        async with office.database.transaction() as db:
            await db.execute("SELECT 1 FROM global_schedule WHERE id = $1 FOR UPDATE", rule)
            sent = asyncio.create_task(office.send(method, f"{DELETIONS}/{call}", json={"ids": [request]}))
            await waiting_for_locks(db, 1)
            await db.execute("DELETE FROM global_schedule WHERE id = $1", rule)
        return (await sent).status_code

    assert office.run(scenario()) == status
    assert office.get(f"{DELETIONS}/{request}").status_code == 404


def test_rules_are_locked_by_their_own_ids(office: Api, rows: Stock) -> None:
    """Whatever the order of the requests: two that decide about several rules, or delete them, take turns."""
    first, second = rows.rule(), rows.rule()
    requests = [delete_rule_request(rows, rule=rule) for rule in (second, first)]

    async def scenario() -> list[int]:
        async with office.database.transaction() as db:
            await db.execute("SELECT 1 FROM global_schedule WHERE id = $1 FOR UPDATE", first)
            sent = asyncio.create_task(office.send("POST", f"{DELETIONS}/approve", json={"ids": requests}))
            await waiting_for_locks(db, 1)
            await db.execute("SELECT 1 FROM global_schedule WHERE id = $1 FOR UPDATE NOWAIT", second)
        return [(await sent).status_code]

    assert office.run(scenario()) == [200]
