"""Restores: where to, for whom, with what."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.api import Api
from support.fixtures import Stock


def restore(
    api: Api, record: int, client: int | str, beside: dict[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    """An order to restore a copy to a client."""
    order = {"target_client": client, "destination_path": "/for_restore/"} | fields
    return api.post(f"/repository/{record}/restoring", {"data": {"restore_task": order} | (beside or {})})


def parameters(api: Api) -> dict[str, Any]:
    """What the newest task carries."""
    found: dict[str, Any] = api.get("/task_queue").json()["data"]["items"][0]["parameters"]
    return found


def test_a_restore_is_queued_for_its_client(office: Api, rows: Stock) -> None:
    """The task names copy and place; the copy and its pool are shared with others."""
    client = rows.client()
    record = rows.record(client=client, resource="/home/anna")

    answer = restore(office, record, rows.label(client), granular_restore_files=["/home/anna/a/", ""])

    task = office.get("/task_queue").json()["data"]["items"][0]
    assert answer.status_code == 201
    assert answer.json()["message"].endswith(f"TASK WAS ADDED TO QUEUE:{task['id']}")
    assert (task["task_type"], task["record"], task["resource"]) == ("Restore", record, "/home/anna")
    assert task["parameters"] == {
        "destination": "/for_restore", "in_place": False, "paths": ["/home/anna/a"], "overwrite": "if_changed",
        "target_client": rows.named("clients", client, "hwid"), "module": {}, "common": {},
    }  # fmt: skip
    held = office.fetch("SELECT kind, exclusive FROM task_reservations ORDER BY kind")
    assert [tuple(one) for one in held] == [("pool", False), ("record", False)]


@pytest.mark.parametrize("files", [[], [""]])
def test_no_files_are_all_files(office: Api, rows: Stock, files: list[str]) -> None:
    """[] and [""] alike restore everything, says the guide."""
    client = rows.client()

    restore(office, rows.record(client=client), client, granular_restore_files=files)

    assert parameters(office)["paths"] == []


def test_deployment_needs_no_place(office: Api, rows: Stock) -> None:
    """data_deployment restores in place, and takes no other place; without it a place must be given."""
    client = rows.client()
    record = rows.record(client=client)

    in_place = restore(office, record, client, data_deployment=True, destination_path="")
    nowhere = restore(office, record, client, destination_path="")
    both = restore(office, record, client, data_deployment=True, destination_path="/restored")

    assert in_place.status_code == 201
    assert parameters(office)["in_place"] is True
    for refused in (nowhere, both):
        assert refused.status_code == 400
        assert refused.json()["errors"].keys() == {"data.restore_task.destination_path"}


def test_every_wrong_field_of_a_restore_is_told(office: Api, rows: Stock) -> None:
    """Client, place and files are told at once."""
    answer = restore(
        office, rows.record(), "nobody (0123456789abcdef)", destination_path="here", granular_restore_files=["a", "/b"]
    )

    assert answer.status_code == 400
    prefix = "data.restore_task"
    names = {"target_client", "destination_path", "granular_restore_files.0"}
    assert answer.json()["errors"].keys() == {f"{prefix}.{name}" for name in names}


def test_extensions_may_stand_inside_or_beside(office: Api, rows: Stock) -> None:
    """Both places are taken, and checked under their own names."""
    client = rows.client()
    record = rows.record(client=client)
    beside = {"module_extensions": {"parameters": {"numeric_owner": True}}}
    inside = {"common_modules_extensions": {"parameters": {"worker_parallelism": 2}}}

    assert restore(office, record, client, beside, **inside).status_code == 201
    assert (parameters(office)["module"], parameters(office)["common"]) == (
        {"numeric_owner": True},
        {"worker_parallelism": 2},
    )
    wrong = restore(
        office, record, client, {"module_extensions": {"parameters": {"new_name": "x"}}},
        module_extensions={"parameters": {"nothing": 1}},
    )  # fmt: skip
    assert wrong.json()["errors"].keys() == {
        "data.module_extensions.parameters.new_name",
        "data.restore_task.module_extensions.parameters.nothing",
    }


def test_another_client_needs_a_shared_group(office: Api, rows: Stock) -> None:
    """An administrator restores to another client only within a shared group; a superuser anywhere."""
    shared, separate = rows.client_group(shared=True), rows.client_group()
    records = {group: rows.record(client=rows.client(group=group)) for group in (shared, separate)}
    targets = {group: rows.client(group=group) for group in (shared, separate)}
    caller = rows.administrator(shared, separate)

    assert restore(caller, records[shared], targets[shared]).status_code == 201
    assert restore(caller, records[separate], targets[separate]).status_code == 403
    assert restore(caller, records[shared], targets[separate]).status_code == 403
    assert restore(office, records[shared], targets[separate]).status_code == 201


def test_a_copy_of_another_group_does_not_exist(rows: Stock) -> None:
    """Not even for an administrator who owns the target."""
    group = rows.client_group()
    target = rows.client(group=group)

    assert restore(rows.administrator(group), rows.record(), target).status_code == 404


def test_a_restore_is_noted_in_the_repositorys_log(office: Api, rows: Stock) -> None:
    """Who had what restored where can be read afterwards."""
    client = rows.client()
    record = rows.record(client=client)
    restore(office, record, client)

    line = office.get("/repository_log", params={"filter_data": f'record="{record}"'}).json()["data"]["items"][0]
    assert (line["action"], line["user_name"]) == ("restore", "rubackup")
    assert rows.named("clients", client, "hwid") in line["text"]


def test_a_client_without_centralised_restores_takes_none_from_the_api(office: Api, rows: Stock) -> None:
    """409 that says whose matter it is, for a restart too; nothing is queued."""
    client = rows.client(centralized_restore=False)
    record = rows.record(client=client)
    old = rows.task(
        client=client, task_type="Restore", status="Done", record_id=record,
        pool=rows.row("SELECT pool_id FROM repository WHERE id = $1", record)["pool_id"],
    )  # fmt: skip
    before = rows.row("SELECT count(*) AS n FROM task_queue")["n"]
    order = {"target_client": rows.label(client), "destination_path": "/for_restore/"}

    answer = office.post(f"/repository/{record}/restoring", {"data": {"restore_task": order}})
    again = office.post("/restart_task", {"data": {"tasks_ids": [old]}})

    assert (answer.status_code, again.status_code) == (409, 409)
    assert "only its own tool restores" in answer.json()["message"]
    assert "only its own tool restores" in again.json()["message"]
    assert rows.row("SELECT count(*) AS n FROM task_queue")["n"] == before
