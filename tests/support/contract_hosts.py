"""Contract rows: clients, their groups and limits, media servers, their logs, the live methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from support.office import MISSING, Office, example, unique
from support.rows import Call, Row, Rows, changes, crud, data_of, deletes, lists, log_rows, reads
from support.system import eventually

HWID_OF_NOBODY = "f" * 16


def _spare(office: Office) -> int:
    return int(office.spare_client()["id"])


def _spare_media(office: Office) -> int:
    return int(office.spare_media()["id"])


def _label(office: Office) -> str:
    row = office.spare_client()
    return f"{row['hostname']} ({row['hwid']})"


def _client_change(office: Office, _row: int) -> Any:
    return example("PATCH", "/clients/{id}", ls_pool="Default")


def _authorising(office: Office) -> Call:
    waiting = office.waiting("client")
    return Call("/clients/authorize", {"data": {"clients_ids": [waiting["id"]]}}, about=waiting["id"])


def _authorised(office: Office, call: Call, _answer: httpx.Response) -> None:
    assert office.items("/unauthorised_clients", filter_data=f'id="{call.about}"') == []


def _client_gone(office: Office, call: Call, _answer: httpx.Response) -> None:
    """Deleting moves a client back to those that wait."""
    assert office.items("/clients", filter_data=f'id="{call.about}"') == []


def _tree(office: Office) -> Call:
    group = office.row("/clients", office.client_id)["group_id_ref"]
    host = office.client.rpartition(" (")[0]
    body = example("POST", "/clients/tree", client_group_id=group, filter_clients_hostname=host)
    return Call("/clients/tree", body, about=group)


def _tree_shows(office: Office, call: Call, answer: httpx.Response) -> None:
    groups = {group["id"]: group for group in data_of(answer)["client_groups"]}
    assert office.client_id in [client["id"] for client in groups[call.about]["clients"]]


def _types(office: Office, _call: Call, answer: httpx.Response) -> None:
    assert [row["name"] for row in data_of(answer)["items"]] == office.row("/clients", office.client_id)[
        "resource_types"
    ]


CLIENTS: Rows = {
    **lists("/clients", lambda o: o.client_id),
    **reads("/clients", lambda o: o.client_id),
    **deletes("/clients", _spare),
    **changes("/clients", _spare, _client_change),
    ("POST", "/clients/authorize"): Row(
        _authorising, _authorised, absent=lambda _o: Call("/clients/authorize", {"data": {"clients_ids": [MISSING]}})
    ),
    ("POST", "/clients/tree"): Row(
        _tree, _tree_shows, absent=lambda _o: Call("/clients/tree", example("POST", "/clients/tree", client_group_id=MISSING))
    ),
    ("GET", "/clients/{id}/resource_type"): Row(
        lambda o: Call(f"/clients/{o.client_id}/resource_type", about=o.client_id), _types
    ),
    **crud(
        "/client_groups",
        lambda _o: example("POST", "/client_groups", name=unique("group")),
        lambda _o, _id: example("PATCH", "/client_groups/{id}", name=unique("group")),
    ),
    **crud(
        "/client_bandwidth",
        lambda o: example("POST", "/client_bandwidth", client=_label(o)),
        lambda o, row: example(
            "PATCH", "/client_bandwidth/{id}", id=row, client=o.row("/client_bandwidth", row)["client"],
            client_hwid=o.row("/client_bandwidth", row)["client_hwid"],
        ),
    ),
    **lists("/unauthorised_clients", lambda o: o.waiting("client")["id"]),
    **reads("/unauthorised_clients", lambda o: o.waiting("client")["id"]),
    **deletes("/unauthorised_clients", lambda o: o.waiting("client")["id"]),
    **log_rows("/clients_log", lambda o: o.items("/clients_log")[0]["id"]),
}  # fmt: skip


def _authorising_media(office: Office) -> Call:
    waiting = office.waiting("media")
    body = example("POST", "/media_servers/authorize", hostname=waiting["hostname"])
    return Call("/media_servers/authorize", body, about=waiting["id"])


def _media_authorised(office: Office, call: Call, _answer: httpx.Response) -> None:
    name = call.body["data"]["hostname"]
    assert [row["hostname"] for row in office.items("/media_servers", filter_data=f'hostname="{name}"')] == [name]


def _media_tree(office: Office, _call: Call, answer: httpx.Response) -> None:
    nodes = {node["hostname"]: node for node in data_of(answer)["media_servers"]}
    assert "Default" in [pool["pool_name"] for pool in nodes[office.media]["pools"]]


def _with_tape(office: Office) -> Call:
    office.pool("Tape library")
    return Call("/media_servers/filtered_by_tape_library_pool", about=1)


def _measured(office: Office) -> int:
    """What a server measured of itself, which it stores each few seconds."""
    path = "/rubackup_server_system_monitoring"
    return int(eventually(lambda: office.items(path), 20)[0]["id"])


def _tape_servers(office: Office, _call: Call, answer: httpx.Response) -> None:
    assert [row["hostname"] for row in data_of(answer)["items"]] == [office.media]


MEDIA: Rows = {
    **lists("/media_servers", _spare_media),
    **reads("/media_servers", _spare_media),
    **deletes("/media_servers", _spare_media),
    **changes("/media_servers", _spare_media, lambda _o, _id: example("PATCH", "/media_servers/{id}", description="rack 3")),
    ("POST", "/media_servers/authorize"): Row(
        _authorising_media, _media_authorised,
        absent=lambda _o: Call("/media_servers/authorize", {"data": {"hostname": "no-such-host"}}),
    ),
    ("GET", "/media_servers/tree"): Row(
        lambda _o: Call("/media_servers/tree"), _media_tree, absent=lambda _o: Call("/media_servers/tree/nothing")
    ),
    ("GET", "/media_servers/filtered_by_tape_library_pool"): Row(
        _with_tape, _tape_servers, absent=lambda _o: Call("/media_servers/filtered_by_nothing")
    ),
    **lists("/unauthorised_media_servers", lambda o: o.waiting("media")["id"]),
    **reads("/unauthorised_media_servers", lambda o: o.waiting("media")["id"]),
    **deletes("/unauthorised_media_servers", lambda o: o.waiting("media")["id"]),
    **log_rows("/media_servers_log", lambda o: o.items("/media_servers_log")[0]["id"]),
    **log_rows("/servers_hw_id_tmp", lambda o: o.items("/servers_hw_id_tmp")[0]["id"]),
    **log_rows("/rubackup_server_system_monitoring", _measured),
}  # fmt: skip


# --- live methods ---


def _asking(path: str, **changes: Any) -> Any:
    def prepare(office: Office) -> Call:
        return Call(path, example("POST", path, client_hwid=office.client_hwid, **changes))

    return prepare


def _nobody(path: str, **changes: Any) -> Any:
    return lambda _o: Call(path, example("POST", path, client_hwid=HWID_OF_NOBODY, **changes))


def _folders(office: Office, _call: Call, answer: httpx.Response) -> None:
    assert {"etc", "usr"} <= {entry["name"] for entry in data_of(answer)["items"]}


def _devices(_office: Office, _call: Call, answer: httpx.Response) -> None:
    """What the kernel of this machine lists, and nothing else."""
    listed = {entry["name"] for entry in data_of(answer)["items"]}
    there = {entry.name for entry in Path("/sys/class/block").iterdir()}
    assert {name.rpartition("/")[2] for name in listed} <= there
    assert listed or not there


def _resources(_office: Office, _call: Call, answer: httpx.Response) -> None:
    assert "/" in str(data_of(answer)["items"]), answer.text


LIVE: Rows = {
    ("POST", "/list_client_filesystem"): Row(
        _asking("/list_client_filesystem"), _folders, absent=_nobody("/list_client_filesystem"), absent_status=400
    ),
    ("POST", "/list_client_block_devices"): Row(
        _asking("/list_client_block_devices"), _devices, absent=_nobody("/list_client_block_devices"),
        absent_status=400
    ),
    ("POST", "/module_resource_list"): Row(
        _asking("/module_resource_list", resource_type="File system"), _resources,
        absent=_nobody("/module_resource_list", resource_type="File system"), absent_status=400,
    ),
}  # fmt: skip

ROWS: Rows = CLIENTS | MEDIA | LIVE
