"""What rules of the global schedule do: their tasks, their scripts, their parameters; and who may see them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from samples_schedule import short_rule

from rubackup.domain.permissions import Permission, Principal, Role
from rubackup.services import scopes
from support.api import Api
from support.fixtures import Stock

PAST = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def execute(api: Api, rule: int) -> dict[str, Any]:
    """The task that a rule makes when it is executed."""
    answer = api.post(f"/global_schedule/{rule}/execution")
    assert answer.status_code == 200, answer.text
    words, _, number = answer.json()["message"].rpartition(" TASK WAS ADDED TO QUEUE:")
    assert words
    assert answer.headers["location"] == f"/api/v1/task_queue/{number}"
    task: dict[str, Any] = api.get(f"/task_queue/{number}").json()["data"]
    return task


def values(api: Api, path: str) -> dict[str, Any]:
    """Parameters of both extension objects, by name."""
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    return {
        one["name"]: one["value"] for part in ("module_extensions", "common_modules_extensions") for one in data[part]
    }


# --- execution ---


def test_execution_makes_the_backup_that_the_rule_asks_for(office: Api, rows: Stock) -> None:
    """Resource, pool, priority, duration, parameters and scripts are the rule's, and the task names it."""
    rule = rows.rule(
        resource="/home/anna", backup_type="incremental", priority=7, storage_duration="2 weeks",
        module_parameters={"numeric_owner": True}, common_parameters={"worker_parallelism": 3},
        notify_normal_script="/opt/ok.sh", notify_exception_script="/opt/bad.sh", restore_script="/opt/after.sh",
    )  # fmt: skip
    own = office.get(f"/global_schedule/{rule}").json()["data"]

    task = execute(office, rule)

    same = {"pool": "pool_id", "pool_ref": "pool_id_ref", "client": "client_id", "client_ref": "client_id_ref"}
    assert {key: task[key] for key in same} == {key: own[other] for key, other in same.items()}
    assert (task["rule"], task["rule_ref"], task["task_type"], task["status"]) == (own["name"], rule, "Backup", "New")
    assert (task["resource"], task["backup_type"], task["priority"]) == ("/home/anna", "incremental", 7)
    assert (task["storage_duration"], task["created_by"], task["archiving"]) == ("14 days", "rubackup", False)
    assert task["parameters"] == {
        "module": {"numeric_owner": True}, "common": {"worker_parallelism": 3},
        "scripts": {"normal": "/opt/ok.sh", "exception": "/opt/bad.sh"},
    }  # fmt: skip
    held = office.fetch("SELECT kind, exclusive FROM task_reservations ORDER BY kind")
    assert [tuple(one) for one in held] == [("pool", False), ("resource", True)]


def test_an_execution_is_logged_and_leaves_the_rule_as_it_is(office: Api, rows: Stock) -> None:
    """The log has who, which rule and which task."""
    rule = rows.rule()
    before = office.get(f"/global_schedule/{rule}").json()["data"]

    task = execute(office, rule)

    (line,) = office.get("/global_schedule_log").json()["data"]["items"]
    assert (line["action"], line["task"], line["user_name"]) == ("executed", task["id"], "rubackup")
    assert (line["rule"], line["rule_ref"], line["client"]) == (before["name"], rule, before["client_id"])
    assert office.get(f"/global_schedule/{rule}").json()["data"] == before
    assert task["parameters"] == {"module": {}, "common": {}}


def test_execution_is_forced(office: Api, rows: Stock) -> None:
    """A rule that waits and one that is not valid any more run, too: somebody asked for it."""
    assert execute(office, rows.rule(status="wait", validity_end_period=PAST))["status"] == "New"


def test_an_execution_that_waits_already_is_not_asked_for_again(office: Api, rows: Stock) -> None:
    """409 names the task; once it has begun, or is dead, another one is made. Other rules have their own."""
    rule = rows.rule()
    task = execute(office, rule)["id"]

    again = office.post(f"/global_schedule/{rule}/execution")

    assert again.status_code == 409
    assert f"task {task} " in again.json()["message"]
    execute(office, rows.rule())
    office.execute("UPDATE task_queue SET status = 'Execution' WHERE id = $1", task)
    assert execute(office, rule)["id"] > task


def test_the_service_mode_refuses_executions(office: Api, rows: Stock) -> None:
    """The global one, and the local one of the pool's media server; nothing is queued or logged."""
    rule = rows.rule()
    media = rows.row("SELECT media_server_id AS id FROM pools")["id"]
    office.patch(f"/media_servers/{media}", {"data": {"local_service_mode": "yes"}})
    local = office.post(f"/global_schedule/{rule}/execution")
    office.patch(f"/media_servers/{media}", {"data": {"local_service_mode": "no"}})
    office.patch("/global_configuration/service_mode", {"service_mode": True})
    everywhere = office.post(f"/global_schedule/{rule}/execution")

    assert [answer.status_code for answer in (local, everywhere)] == [409, 409]
    assert office.get("/task_queue").json()["data"]["total"] == 0
    assert office.get("/global_schedule_log").json()["data"]["total"] == 0


def test_what_keeps_a_rule_from_running_is_said(office: Api, rows: Stock) -> None:
    """A pool that lost its storage or keeps copies for less long, a client that lost its module: 409."""
    short = rows.pool_with_storage(retention_period=dt.timedelta(hours=1))
    told = {
        rows.rule(pool=rows.pool()): "storage_local_catalogs",
        rows.rule(pool=short): "retention_period",
        rows.rule(client=rows.client(resource_types=["Docker"])): "Docker",
    }

    for rule, word in told.items():
        answer = office.post(f"/global_schedule/{rule}/execution")
        assert answer.status_code == 409
        assert word in answer.json()["message"]


def test_a_restarted_task_is_still_the_rules(office: Api, rows: Stock) -> None:
    """Rule and scripts are repeated."""
    rule = rows.rule(notify_normal_script="/opt/ok.sh")
    first = execute(office, rule)
    office.post("/kill_task", {"data": {"task_id": first["id"]}})

    answer = office.post("/restart_task", {"data": {"tasks_ids": [first["id"]]}})

    assert answer.status_code == 201
    again = office.get("/task_queue").json()["data"]["items"][0]
    assert (again["rule_ref"], again["parameters"]) == (rule, first["parameters"])


def test_a_restore_carries_the_script_of_the_copys_rule(office: Api, rows: Stock) -> None:
    """Without a rule, or without a script, there is none."""
    rule, silent = rows.rule(restore_script="/opt/after.sh"), rows.rule()
    order = {"destination_path": "/for_restore/"}
    found = []
    for fields in ({"rule_id": rule}, {"rule_id": silent}, {}):
        client = rows.client()
        record = rows.record(client=client, **fields)
        body = {"data": {"restore_task": order | {"target_client": client}}}
        assert office.post(f"/repository/{record}/restoring", body).status_code == 201
        found.append(office.get("/task_queue").json()["data"]["items"][0]["parameters"].get("scripts"))

    assert found == [{"restore": "/opt/after.sh"}, None, None]


def test_a_restore_carries_the_script_of_the_strategys_rule(office: Api, rows: Stock) -> None:
    """The script of the rule that the copy comes from."""
    client = rows.client()
    member = rows.strategy_rule(client=client, restore_script="/opt/after.sh")
    record = rows.record(client=client, strategy_rule_id=member)

    body = {"data": {"restore_task": {"destination_path": "/for_restore/", "target_client": client}}}
    assert office.post(f"/repository/{record}/restoring", body).status_code == 201
    (task,) = office.get("/task_queue").json()["data"]["items"]
    assert task["parameters"]["scripts"] == {"restore": "/opt/after.sh"}


# --- extension parameters ---


@pytest.mark.parametrize("path", ["global_schedule", "task_queue"])
def test_extensions_have_the_values_of_the_rule(office: Api, rows: Stock, path: str) -> None:
    """What the rule does not say is the default; so is everything without a rule."""
    rule = rows.rule(module_parameters={"numeric_owner": True}, common_parameters={"worker_parallelism": 3})

    plain = values(office, f"/{path}/extension?resource_type=File system")
    of_rule = values(office, f"/{path}/extension?resource_type=file system&rule_id={rule}")

    assert of_rule == plain | {"numeric_owner": True, "worker_parallelism": 3}
    assert (plain["numeric_owner"], plain["worker_parallelism"]) == (False, 8)


@pytest.mark.parametrize("path", ["global_schedule", "task_queue"])
def test_extensions_of_rules_that_are_not_there(office: Api, rows: Stock, path: str) -> None:
    """A missing rule and a foreign one are 404; another resource type than the rule's is 400."""
    rule = rows.rule(resource_type="LVM logical volume")
    foreign = rows.administrator(rows.client_group())

    assert office.get(f"/{path}/extension?rule_id=4711").status_code == 404
    assert foreign.get(f"/{path}/extension?rule_id={rule}").status_code == 404
    wrong = office.get(f"/{path}/extension?rule_id={rule}&resource_type=File system")
    assert wrong.status_code == 400
    assert "LVM" in wrong.json()["errors"]["resource_type"]


# --- who sees what ---


def test_rules_of_other_groups_do_not_exist(rows: Stock) -> None:
    """Nor do their log, their execution and their status, and they cannot be named or filtered for."""
    group = rows.client_group()
    own, other = rows.rule(client=rows.client(group=group)), rows.rule()
    caller = rows.administrator(group)

    assert [row["id"] for row in caller.get("/global_schedule").json()["data"]["items"]] == [own]
    assert caller.get("/global_schedule", params={"filter_data": f'id="{other}"'}).json()["data"]["total"] == 0
    for answer in (
        caller.get(f"/global_schedule/{other}"),
        caller.patch(f"/global_schedule/{other}", {"data": {"global_schedule": {"priority": 7}}}),
        caller.post(f"/global_schedule/{other}/execution"),
        caller.delete(f"/global_schedule/{other}"),
        caller.delete("/global_schedule", {"ids": [own, other]}),
        caller.patch("/global_schedule", {"data": [{"id": own, "status": "run"}, {"id": other, "status": "run"}]}),
    ):
        assert answer.status_code == 404, answer.text
    assert rows.api.get(f"/global_schedule/{own}").json()["data"]["status"] == "wait"
    refusals = rows.api.fetch("SELECT row_ids FROM audit WHERE outcome = 'refused: out of scope'")
    assert [row["row_ids"] for row in refusals] == [[other]] * 5


def test_an_administrator_keeps_the_rules_of_his_groups(rows: Stock) -> None:
    """Every verb is his; a client of another group is unknown in his bodies."""
    group = rows.client_group()
    caller = rows.administrator(group)

    strange = caller.post("/global_schedule", short_rule(rows.api))
    made = caller.post("/global_schedule", short_rule(rows.api, client_id=rows.client(group=group)))

    assert strange.json()["errors"] == {"data.global_schedule.client_id": "unknown client."}
    assert made.status_code == 201
    rule = int(made.headers["location"].rpartition("/")[2])
    assert execute(caller, rule)["rule_ref"] == rule
    assert caller.patch("/global_schedule", {"data": [{"id": rule, "status": "run"}]}).status_code == 200
    assert caller.delete(f"/global_schedule/{rule}").status_code == 200
    lines = caller.get("/global_schedule_log").json()["data"]["items"]
    assert [line["action"] for line in lines] == ["deleted", "status", "executed", "created"]


def test_what_an_auditor_sees_he_does_not_change(rows: Stock) -> None:
    """An auditor who administers another group is refused with 403, by every changing call."""
    rule, group = rows.rule(), rows.client_group()
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id AS id FROM administrators WHERE client_group_id = $1", group)["id"]
    rows.insert("auditors", user_id=user)

    assert caller.get(f"/global_schedule/{rule}").status_code == 200
    for answer in (
        caller.patch("/global_schedule", {"data": [{"id": rule, "status": "run"}]}),
        caller.post(f"/global_schedule/{rule}/execution"),
        caller.delete(f"/global_schedule/{rule}"),
    ):
        assert answer.status_code == 403, answer.text


def test_a_strategy_administrator_sees_no_rule() -> None:
    """He may read policies, but rules are scoped by client group."""
    principal = Principal(1, "s", frozenset({Role.STRATEGY_ADMINISTRATOR}), strategy_ids=(1,))

    assert principal.may(Permission.READ_POLICIES)
    assert not principal.may(Permission.WRITE_RULES)
    assert scopes.clients(principal, "c.group_id") == scopes.NOTHING


def test_the_state_lists_rules_that_have_expired(office: Api, rows: Stock) -> None:
    """Those of own groups, the last first; valid ones and maintainers are left out."""
    group = rows.client_group()
    client = rows.client(group=group)
    older = rows.rule(client=client, validity_end_period=PAST)
    newer = rows.rule(validity_end_period=PAST + dt.timedelta(days=1), status="run")
    rows.rule(validity_end_period=dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    rows.rule()
    maintainer = rows.maintainer(rows.media_server())

    def expired(caller: Api) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = caller.get("/server_state").json()["data"]["expired_global_schedule_rules"]
        return found

    assert [row["id"] for row in expired(office)] == [newer, older]
    assert expired(rows.administrator(group)) == [
        {
            "id": older, "name": rows.named("global_schedule", older, "name"), "client": rows.label(client),
            "status": "wait", "validity_end_period": "2024-01-01T00:00:00Z",
        }
    ]  # fmt: skip
    assert expired(maintainer) == []
