"""What hosts have, do and are asked, through the whole system."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from typing import Any

from rubackup.client.compare import compare_trees
from support.system import System, eventually


def hwid(system: System) -> str:
    """The client's hardware id."""
    return str(system.call("GET", "/clients")["data"]["items"][0]["hwid"])


def test_the_clients_devices_and_file_systems_are_listed(system: System) -> None:
    """Block devices are those of the kernel, resources are mounted; a module that is missing is named."""
    asked = {"data": [{"client_hwid": hwid(system), "path": "/dev/"}]}
    there = {path.name for path in Path("/sys/class/block").iterdir()}
    devices = system.call("POST", "/list_client_block_devices", asked)["data"]["items"]
    body = {"client_hwid": hwid(system), "resource_type": "File system", "secret_method": 0}

    def all_are_mounted() -> list[Any]:
        """What is listed, unless something of it was unmounted meanwhile, as other tests do on this machine."""
        found = system.call("POST", "/module_resource_list", {"data": body})["data"]["items"]
        return found if all(Path(one["resource"]).is_mount() for one in found) else []

    assert {device["name"] for device in devices} <= there | {path.name for path in Path("/sys/class/block").iterdir()}
    assert eventually(all_are_mounted, 10)
    system.call("POST", "/module_resource_list", {"data": body | {"resource_type": "LVM logical volume"}}, status=400)


def test_servers_measure_themselves(system: System) -> None:
    """Server and media server leave records by themselves, at the configured period and number."""

    def records() -> list[dict[str, Any]]:
        found = system.call("GET", "/rubackup_server_system_monitoring", limit=1000)["data"]["items"]
        return list(found)

    eventually(lambda: {row["server_type"] for row in records()} == {"server", "media server"}, 60, records)
    own, two = socket.gethostname(), {"server": 2, "media server": 2}
    one = records()[0]
    assert one["general_ram_usage_m"] > one["server_ram_usage_m"] > 0
    assert one["timestamp_before"] < one["timestamp_after"]
    try:
        system.call("PATCH", "/global_configuration", {"data": {"max_system_monitoring_records": 2}})
        eventually(
            lambda: Counter(row["server_type"] for row in records() if row["hostname"] == own) == two, 60, records
        )
    finally:
        system.call("PATCH", "/global_configuration", {"data": {"max_system_monitoring_records": 3600}})


def test_servers_are_found_by_hardware_id(system: System) -> None:
    """Those of this host are online, each with the client of this host; others may have enrolled meanwhile."""
    own = f'hostname="{socket.gethostname()}"'

    def rows() -> list[dict[str, Any]]:
        return list(system.call("GET", "/servers_hw_id_tmp", filter_data=own)["data"]["items"])

    both = {"server": True, "media server": True}
    eventually(lambda: {row["server_type"]: row["online"] for row in rows()} == both, 30, rows)
    assert {row["client"] for row in rows()} == {system.facts["client"]}


def test_hosts_leave_lines(system: System) -> None:
    """Enrolment and presence of this system's own hosts stand in the logs."""
    for log in ("clients_log", "media_servers_log"):
        actions = {row["action"] for row in system.call("GET", f"/{log}", limit=1000)["data"]["items"]}
        assert {"authorised", "certificate", "online"} <= actions


def parameters(**module: Any) -> dict[str, Any]:
    """The extension objects of a backup."""
    return {"module_extensions": {"parameters": module}}


def test_a_snapshot_that_cannot_be_taken(system: System, tmp_path: Path) -> None:
    """No volume of LVM lies below: the script runs, its output is in the log, and the flag decides about the task."""
    source, script = tmp_path / "source", tmp_path / "on error"
    source.mkdir()
    (source / "file").write_text("x")
    script.write_text('#!/bin/sh\necho "no snapshot of $RUBACKUP_RESOURCE"\n')
    script.chmod(0o700)
    asked = {"use_snapshot": True, "snapshot_type": "lvm", "script_error_snapshot": str(script)}

    strict = system.finished(system.backup(source, **parameters(**asked, ignore_errors_snapshot=False)))
    lenient = system.done(system.backup(source, **parameters(**asked, ignore_errors_snapshot=True)))

    assert strict["status"] == "Error"
    for task in (strict, lenient):
        assert f"script_error_snapshot: no snapshot of {source}" in system.log(task["id"])
    (record,) = system.records(source)
    system.done(system.restore(record["id"], tmp_path / "target"))
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal


def test_a_copy_without_a_list_can_be_restored_only(system: System, tmp_path: Path) -> None:
    """file_list false: listing is a 409, the restore is whole."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    system.done(system.backup(source, **parameters(file_list=False, numeric_owner=True)))
    (record,) = system.records(source)

    system.call("GET", "/repository_record_file_list", None, status=409, id=record["id"], path=str(source))
    system.done(system.restore(record["id"], tmp_path / "target"))

    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal
