"""Contract rows: the global schedule, strategies, requests of clients, reports, notifications, the recovery plan."""

from __future__ import annotations

from typing import Any

import httpx

from support.contract_people import strategy
from support.office import MISSING, Office, example, unique
from support.rows import Call, Row, Rows, about, crud, data_of, lists, log_rows, reads


def _statuses(path: str, key: str, make: Any) -> Rows:
    """PATCH of a collection: the status of several rows."""

    def prepare(office: Office) -> Call:
        row_id = make(office)
        return Call(path, {"data": [{key: row_id, "status": "run"}]}, about=row_id)

    def changed(office: Office, call: Call, _answer: httpx.Response) -> None:
        assert office.row(path, call.about)["status"] == "run"

    def absent(_office: Office) -> Call:
        return Call(path, {"data": [{key: MISSING, "status": "wait"}]})

    return {("PATCH", path): Row(prepare, changed, absent=absent)}


def _rule_body(office: Office) -> Any:
    return example(
        "POST", "/global_schedule", name=unique("rule"), client_id=office.client, resource=str(office.source),
    )  # fmt: skip


def _rule(office: Office) -> int:
    return office.made("/global_schedule", _rule_body(office))


def _rule_reads_back(office: Office, call: Call, answer: httpx.Response) -> None:
    row = office.call("GET", answer.headers["location"].removeprefix("/api/v1"))
    assert row["name"] == call.body["data"]["global_schedule"]["name"]


def _rule_changed(office: Office, call: Call, _answer: httpx.Response) -> None:
    row = office.row("/global_schedule", call.about)
    for key, value in call.body["data"]["global_schedule"].items():
        if not key.startswith("validity"):
            assert row[key] == value, (key, row[key], value)


def _changing_rule(office: Office) -> Call:
    body = example("PATCH", "/global_schedule/{id}", name=unique("rule"))
    return about("/global_schedule", _rule(office), body)


def _executed(office: Office, call: Call, answer: httpx.Response) -> None:
    (task,) = office.finished_tasks(answer.json()["message"])
    assert task["status"] == "Done", task
    assert office.row("/repository", task["record"])["rule_ref"] == call.about


def _extension(path: str) -> Row:
    def shows(_office: Office, _call: Call, answer: httpx.Response) -> None:
        found = data_of(answer)
        names = {row["name"] for row in found["module_extensions"] + found["common_modules_extensions"]}
        assert {"numeric_owner", "worker_parallelism"} <= names

    return Row(
        lambda _o: Call(path, query={"resource_type": "File system"}), shows,
        absent=lambda _o: Call(path, query={"resource_type": "File system", "rule_id": MISSING}),
    )  # fmt: skip


def _logged_rule(office: Office) -> int:
    _rule(office)
    return int(office.items("/global_schedule_log", sort_by="id", sort_order="desc")[0]["id"])


SCHEDULE: Rows = {
    **crud("/global_schedule", _rule_body),
    **_statuses("/global_schedule", "id", _rule),
    ("POST", "/global_schedule"): Row(
        lambda o: Call("/global_schedule", _rule_body(o)), _rule_reads_back,
        absent=lambda _o: Call("/global_schedule/1/nothing"),
    ),
    ("PATCH", "/global_schedule/{id}"): Row(_changing_rule, _rule_changed),
    ("GET", "/global_schedule/extension"): _extension("/global_schedule/extension"),
    ("GET", "/task_queue/extension"): _extension("/task_queue/extension"),
    ("POST", "/global_schedule/{id}/execution"): Row(
        lambda o: about("/global_schedule", _rule(o), rest="/execution"), _executed
    ),
    **log_rows("/global_schedule_log", _logged_rule),
}  # fmt: skip


def _strategy_id(office: Office) -> int:
    name = strategy(office)
    return int(office.items("/backup_strategies", filter_data=f'name="{name}"')[0]["id"])


def _strategy_rule_body(office: Office) -> Any:
    return example(
        "POST", "/strategy_rules", client_id=office.client, strategy_id=strategy(office), resource=str(office.source)
    )


def _strategy_rule(office: Office) -> int:
    return office.made("/strategy_rules", _strategy_rule_body(office))


def _strategy_rule_made(office: Office, call: Call, answer: httpx.Response) -> None:
    row = office.call("GET", answer.headers["location"].removeprefix("/api/v1"))
    for key, value in call.body["data"]["strategy_rule"].items():
        assert row[key] == value, (key, row[key], value)


def _strategy_rule_changed(office: Office, call: Call, _answer: httpx.Response) -> None:
    row = office.row("/strategy_rules", call.about)
    for key, value in call.body["data"]["strategy_rule"].items():
        assert row[key] == value, (key, row[key], value)


def _changing_strategy_rule(office: Office) -> Call:
    row_id = _strategy_rule(office)
    kept = office.row("/strategy_rules", row_id)
    body = example(
        "PATCH", "/strategy_rules/{id}", client_id=office.client, strategy_id=kept["strategy_id"],
        resource=str(office.source), priority=90,
    )  # fmt: skip
    return about("/strategy_rules", row_id, body)


_INSTANTS = ("validity_start_period", "validity_end_period", "start_period", "end_period")

STRATEGIES: Rows = {
    **crud(
        "/backup_strategies",
        lambda _o: example("POST", "/backup_strategies", name=unique("strategy")),
        lambda _o, _id: example("PATCH", "/backup_strategies/{id}", name=unique("strategy")),
        unread=_INSTANTS,
        shown=("name", "pool_id", "full_min", "notify_normal_cc", "verify_interval"),
    ),
    **_statuses("/backup_strategies", "strategy_id", _strategy_id),
    **crud("/strategy_rules", _strategy_rule_body),
    ("POST", "/strategy_rules"): Row(
        lambda o: Call("/strategy_rules", _strategy_rule_body(o)), _strategy_rule_made,
        absent=lambda _o: Call("/strategy_rules/1/nothing"),
    ),
    ("PATCH", "/strategy_rules/{id}"): Row(_changing_strategy_rule, _strategy_rule_changed),
}  # fmt: skip


def _report(office: Office) -> int:
    return office.made("/reports", example("POST", "/reports", name=unique("report")))


def _notification(office: Office) -> int:
    group = unique("group")
    office.made("/user_groups", example("POST", "/user_groups", groupname=group))
    body = example(
        "POST", "/global_schedule", name=unique("rule"), client_id=office.client, resource=str(office.source),
        notify_normal=group,
    )  # fmt: skip
    rule = office.made("/global_schedule", body)
    message = office.system.http.post(f"/global_schedule/{rule}/execution").json()["message"]
    (task,) = office.finished_tasks(message)
    rows = office.items("/notifications", sort_by="id", sort_order="desc")
    return int(next(row["id"] for row in rows if row["task"] == task["id"]))


def _plan_body(office: Office) -> Any:
    return example(
        "POST", "/disaster_recovery_plan", client=office.client, resource_type="File system",
        resource=str(office.source), restore_destination=str(office.folder),
    )  # fmt: skip


def _plan(office: Office) -> int:
    return office.made("/disaster_recovery_plan", _plan_body(office))


def _checking(office: Office) -> Call:
    office.done_task()
    return about("/disaster_recovery_plan", _plan(office), rest="/checking")


def _checked(office: Office, call: Call, _answer: httpx.Response) -> None:
    row = office.row("/disaster_recovery_plan", call.about)
    assert (row["status"], row["problem"]) == ("Ready", ""), row


OTHERS: Rows = {
    **crud(
        "/reports",
        lambda _o: example("POST", "/reports", name=unique("report")),
        lambda _o, _id: example("PATCH", "/reports/{id}", description="weekly"),
        unread=_INSTANTS,
        shown=("name", "owner", "min", "notify_cc", "perpetually"),
    ),
    **_statuses("/reports", "id", _report),
    **log_rows("/notifications", _notification),
    **crud(
        "/disaster_recovery_plan",
        _plan_body,
        lambda o, _id: example(
            "PATCH", "/disaster_recovery_plan/{id}", client=o.client, resource_type="File system",
            resource=str(o.source), restore_destination=str(o.folder), priority=90,
        ),
    ),
    ("POST", "/disaster_recovery_plan/{id}/checking"): Row(_checking, _checked),
}  # fmt: skip


# --- requests of clients: made by the client's own tool, over its local socket ---


def _request(office: Office, kind: str) -> int:
    return office.client_request(kind, _rule(office) if kind == "delete" else 0)


def _deciding(kind: str, verb: str) -> Rows:
    path = f"/{kind}_rule_requests"
    method = "POST" if verb == "approve" else "DELETE"

    def prepare(office: Office) -> Call:
        row_id = _request(office, kind)
        return Call(f"{path}/{verb}", {"ids": [row_id]}, about=row_id)

    def decided(office: Office, call: Call, _answer: httpx.Response) -> None:
        waiting = office.call("GET", path, filter_data=f'id="{call.about}"')["items"]
        assert [row for row in waiting if row.get("status", "New") == "New"] == []

    absent = Call(f"{path}/{verb}", {"ids": [MISSING]})
    return {(method, f"{path}/{verb}"): Row(prepare, decided, absent=lambda _o: absent)}


REQUESTS: Rows = {
    **lists("/new_rule_requests", lambda o: _request(o, "new")),
    **reads("/new_rule_requests", lambda o: _request(o, "new")),
    **lists("/delete_rule_requests", lambda o: _request(o, "delete")),
    **reads("/delete_rule_requests", lambda o: _request(o, "delete")),
    **_deciding("new", "approve"),
    **_deciding("new", "decline"),
    **_deciding("delete", "approve"),
    **_deciding("delete", "decline"),
}

ROWS: Rows = SCHEDULE | STRATEGIES | OTHERS | REQUESTS
