"""Urgent backups: what is refused, and what the queue gets."""

from __future__ import annotations

from typing import Any

import pytest
from samples import backup_body

from rubackup.domain.lookups import Crypto
from rubackup.resources._examples import EXTENSIONS
from support.api import Api
from support.fixtures import Stock


def refused(office: Api, body: dict[str, Any]) -> dict[str, str]:
    """The errors of a backup that is refused; nothing is queued."""
    answer = office.post("/task_queue", body)
    assert answer.status_code == 400, answer.text
    assert office.get("/task_queue").json()["data"]["total"] == 0
    errors: dict[str, str] = answer.json()["errors"]
    return errors


def with_parameters(office: Api, module: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """A backup with extension parameters."""
    body = backup_body(office)["data"]
    return {
        "data": body
        | {"module_extensions": {"parameters": module}, "common_modules_extensions": {"parameters": common}}
    }


def test_the_answer_is_that_of_the_guide(office: Api) -> None:
    """201, empty data, the sentence with the number of the task."""
    answer = office.post("/task_queue/", backup_body(office))

    number = office.get("/task_queue").json()["data"]["items"][0]["id"]
    assert answer.status_code == 201
    assert answer.json() == {
        "data": {}, "errors": {}, "is_error": False,
        "message": f"Resource with name 'Task Queue' was created successfully! TASK WAS ADDED TO QUEUE:{number}",
    }  # fmt: skip
    assert answer.headers["location"] == f"/api/v1/task_queue/{number}"


def test_a_read_gives_back_what_was_asked_for(office: Api) -> None:
    """The keys of the write have the same text, normalised where there is only one form of it."""
    body = backup_body(office, priority=7, backup_type="INCREMENTAL", resource="//home//anna/", archiving=True)
    wanted = body["data"]["task"]
    office.post("/task_queue", {"data": body["data"] | EXTENSIONS})

    row = office.get("/task_queue").json()["data"]["items"][0]

    assert {key: row[key] for key in wanted} == wanted | {
        "backup_type": "incremental", "resource": "/home/anna", "storage_duration": "1 year",
    }  # fmt: skip
    assert row["status"] == "New"
    assert row["created_by"] == "rubackup"
    assert row["parameters"]["common"]["worker_parallelism"] == 8
    assert (row["percent"], row["eta_seconds"], row["speed_bytes_per_second"]) == (0, None, 0)


def test_a_backup_reserves_its_resource_and_shares_its_pool(office: Api) -> None:
    """Two backups of one resource never run at once; pools are used by many."""
    office.post("/task_queue", backup_body(office))

    row = office.get("/task_queue").json()["data"]["items"][0]
    held = office.fetch("SELECT kind, key, exclusive FROM task_reservations ORDER BY kind")
    assert [tuple(one) for one in held] == [
        ("pool", str(row["pool_ref"]), False),
        ("resource", f"{row['client_ref']}:File system:/home", True),
    ]


def test_every_wrong_field_of_a_backup_is_told(office: Api) -> None:
    """One answer names them all."""
    errors = refused(
        office,
        backup_body(
            office, client="no client (0123456789abcdef)", pool="no pool", resource="home", resource_type="Tape",
            backup_type="half", crypto="rot13", storage_duration="long",
        ),
    )  # fmt: skip

    names = ("client", "pool", "resource", "resource_type", "backup_type", "crypto", "storage_duration")
    assert errors.keys() == {f"data.task.{name}" for name in names}
    assert errors["data.task.crypto"] == f"must be one of: {', '.join(Crypto.labels())}."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", 0), ("priority", 1001), ("priority", "100"), ("archiving", "no"), ("resource", ""),
        ("resource", "/a/../b"), ("client", "without a hardware id"), ("client", "x (zzz)"), ("pool", 2**40),
        ("storage_duration", "0 days"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(office: Api, field: str, value: object) -> None:
    """No value of a field makes a task that cannot run."""
    assert refused(office, backup_body(office, **{field: value})).keys() == {f"data.task.{field}"}


def test_a_client_is_named_by_host_and_hardware_id(office: Api, rows: Stock) -> None:
    """A label whose host name is another's is unknown; any case of it and the id are taken."""
    client = rows.client()
    label = rows.label(client)
    wrong = label.replace("rubackup", "somebody")

    assert refused(office, backup_body(office, client=wrong)) == {"data.task.client": "unknown client."}
    assert office.post("/task_queue", backup_body(office, client=label.upper())).status_code == 201
    assert office.post("/task_queue", backup_body(office, client=client)).status_code == 201


def test_a_pool_needs_a_storage(office: Api, rows: Stock) -> None:
    """A backup into a pool without one could never end."""
    errors = refused(office, backup_body(office, pool=rows.pool()))

    assert "storage" in errors["data.task.pool"]


def test_a_pool_limits_how_long_copies_stay(office: Api, rows: Stock) -> None:
    """storage_duration may not exceed the pool's retention_period."""
    pool = rows.pool_with_storage()
    office.patch(f"/pool_list/{pool}", {"data": {"retention_period": "30 days"}})

    assert refused(office, backup_body(office, pool=pool)).keys() == {"data.task.storage_duration"}
    assert office.post("/task_queue", backup_body(office, pool=pool, storage_duration="30 days")).status_code == 201


def test_a_client_must_serve_the_resource_type(office: Api, rows: Stock) -> None:
    """What its agent did not announce cannot be backed up."""
    client = rows.client(resource_types=["Docker"])

    assert "Docker" in refused(office, backup_body(office, client=client))["data.task.resource_type"]


@pytest.mark.parametrize(
    ("module", "common", "field"),
    [
        ({"no_such": 1}, {}, "module_extensions.parameters.no_such"),
        ({"snapshot_size": 101}, {}, "module_extensions.parameters.snapshot_size"),
        ({"numeric_owner": "yes"}, {}, "module_extensions.parameters.numeric_owner"),
        ({"snapshot_type": "zfs"}, {}, "module_extensions.parameters.snapshot_type"),
        ({"script_before_snapshot": "bin/x"}, {}, "module_extensions.parameters.script_before_snapshot"),
        ({}, {"worker_parallelism": 0}, "common_modules_extensions.parameters.worker_parallelism"),
        ({}, {"worker_parallelism": True}, "common_modules_extensions.parameters.worker_parallelism"),
        ({}, {"deny_memory_exceed": 1}, "common_modules_extensions.parameters.deny_memory_exceed"),
        ({}, {"enable_flexible_dedup": "yes"}, "common_modules_extensions.parameters.enable_flexible_dedup"),
        ({}, {"network_parallelism": 1025}, "common_modules_extensions.parameters.network_parallelism"),
        ({}, {"memory_threshold": -1}, "common_modules_extensions.parameters.memory_threshold"),
    ],
)
def test_parameters_are_checked(office: Api, module: dict[str, Any], common: dict[str, Any], field: str) -> None:
    """Unknown, mistyped, out of range, or promising what is not done: each is named."""
    assert refused(office, with_parameters(office, module, common)).keys() == {f"data.{field}"}


def test_what_a_backup_may_cost_goes_with_the_task(office: Api) -> None:
    """Both values of each switch are taken, kept and shown."""
    wanted = {
        "worker_parallelism": 2, "network_parallelism": 1, "memory_threshold": 256,
        "enable_flexible_dedup": True, "deny_memory_exceed": True,
    }  # fmt: skip
    answer = office.post("/task_queue", with_parameters(office, {}, wanted))
    row = office.get("/task_queue").json()["data"]["items"][0]

    assert answer.status_code == 201
    assert row["parameters"]["common"].items() >= wanted.items()


def test_extension_tells_what_there_is(office: Api) -> None:
    """GET extension lists each parameter with its default; a rule that does not exist is a 404."""
    data = office.get("/task_queue/extension", params={"resource_type": "file system"}).json()["data"]
    parameters = {one["name"]: one["default"] for one in data["module_extensions"]}

    assert data["resource_type"] == "File system"
    assert parameters == EXTENSIONS["module_extensions"]["parameters"]
    assert {one["name"] for one in data["common_modules_extensions"]} == set(
        EXTENSIONS["common_modules_extensions"]["parameters"]
    )
    assert office.get("/task_queue/extension", params={"rule_id": 1}).status_code == 404
    assert office.get("/task_queue/extension", params={"resource_type": "Tape"}).status_code == 400


def test_service_modes_stop_new_tasks(office: Api, rows: Stock) -> None:
    """The global one stops all, a media server's its own pools'."""
    media = rows.media_server()
    office.patch(f"/media_servers/{media}", {"data": {"local_service_mode": "yes"}})

    local = office.post("/task_queue", backup_body(office, pool=rows.pool_with_storage(media=media)))
    elsewhere = office.post("/task_queue", backup_body(office))
    office.execute("INSERT INTO global_configuration VALUES ('service_mode', 'true'::jsonb)")
    anywhere = office.post("/task_queue", backup_body(office))

    assert (local.status_code, elsewhere.status_code, anywhere.status_code) == (409, 201, 409)
