"""Extension parameters: each module's typed description is what the API shows and checks by."""

from __future__ import annotations

from typing import Any

import pytest
from samples import backup_body

from rubackup.resources._examples import EXTENSIONS
from support.api import Api
from support.fixtures import Stock


def with_module(office: Api, **parameters: Any) -> dict[str, Any]:
    """A backup with parameters of its module."""
    body = backup_body(office)
    body["data"]["module_extensions"] = {"parameters": parameters}
    return body


def test_a_description_tells_type_default_limits_and_choices(office: Api) -> None:
    """Of every parameter of the module File system."""
    data = office.get("/task_queue/extension", params={"resource_type": "File system"}).json()["data"]
    found = {one["name"]: one for one in data["module_extensions"]}

    assert found.keys() == EXTENSIONS["module_extensions"]["parameters"].keys()
    assert all(one["changeable"] for one in found.values())
    size, kind, flag = found["snapshot_size"], found["snapshot_type"], found["use_snapshot"]
    assert (size["type"], size["default"], size["minimum"], size["maximum"]) == ("integer", 10, 1, 100)
    assert (kind["type"], kind["default"], kind["choices"], kind["minimum"]) == ("string", "", ["", "lvm"], None)
    assert (flag["type"], flag["default"], flag["choices"]) == ("boolean", False, None)


@pytest.mark.parametrize(
    "good",
    [
        {"use_snapshot": True, "snapshot_type": "lvm", "snapshot_size": 100, "ignore_errors_snapshot": False},
        {
            "script_before_snapshot": "/opt/a b/freeze",
            "script_after_snapshot": "",
            "script_error_snapshot": "/bin/true",
        },
        {"file_list": False, "numeric_owner": True},
    ],
)
def test_a_task_carries_what_was_asked_for(office: Api, good: dict[str, Any]) -> None:
    """The client gets the values as they were given."""
    answer = office.post("/task_queue", with_module(office, **good))

    assert answer.status_code == 201, answer.text
    row = office.fetch("SELECT parameters FROM task_queue ORDER BY id DESC LIMIT 1")[0]
    assert row["parameters"]["module"] == good


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("snapshot_type", "LVM"), ("snapshot_type", "btrfs"), ("snapshot_size", 0), ("use_snapshot", "yes"),
        ("script_before_snapshot", "freeze"), ("script_after_snapshot", "/opt/../bin/sh"),
        ("script_error_snapshot", "/bin/\0"), ("file_list", 1), ("numeric_owner", ""),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(office: Api, name: str, value: Any) -> None:
    """By its whole path in the body, with what is allowed."""
    errors = office.post("/task_queue", with_module(office, **{name: value})).json()["errors"]

    assert errors.keys() == {f"data.module_extensions.parameters.{name}"}
    assert next(iter(errors.values())).startswith("must ")


def test_new_name_is_for_resources_that_have_one(office: Api, rows: Stock) -> None:
    """A folder has none: only the empty name is taken, and the description says that it cannot be changed."""
    data = office.get("/repository/extension").json()["data"]
    described = {one["name"]: one for one in data["module_extensions"]}["new_name"]
    record = rows.record()
    client = rows.row("SELECT client_id FROM repository WHERE id = $1", record)["client_id"]
    order = {
        "target_client": rows.label(client), "destination_path": "/for_restore/",
        "module_extensions": {"parameters": {"new_name": "x"}},
    }  # fmt: skip

    answer = office.post(f"/repository/{record}/restoring", {"data": {"restore_task": order}})

    assert described["changeable"] is False
    errors = answer.json()["errors"]
    assert errors.keys() == {"data.restore_task.module_extensions.parameters.new_name"}
    assert "folders and files have none" in next(iter(errors.values()))


def test_a_copy_without_a_list_is_not_listed(office: Api, rows: Stock) -> None:
    """A 409 says why; a copy with one is listed."""
    hidden, shown = rows.record(file_list=False), rows.record()

    refused = office.get("/repository_record_file_list", params={"id": hidden})
    listed = office.get("/repository_record_file_list", params={"id": shown})

    assert (refused.status_code, listed.status_code) == (409, 200)
    assert "file_list" in refused.json()["message"]
    assert office.get(f"/repository/{hidden}").json()["data"]["file_list"] is False
