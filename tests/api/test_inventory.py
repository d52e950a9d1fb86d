"""What live clients have: block devices and resources of modules, asked of whom, and what is refused."""

from __future__ import annotations

import httpx
import pytest

from support.api import Api
from support.fixtures import Stock
from support.hosts import OFFLINE


def devices(caller: Api, *asked: tuple[str, str]) -> httpx.Response:
    """A call for the devices of several clients."""
    return caller.post(
        "/list_client_block_devices", {"data": [{"client_hwid": hwid, "path": path} for hwid, path in asked]}
    )


def test_devices_of_several_clients_come_in_one_answer(office: Api, rows: Stock) -> None:
    """Each says whose it is; the path may be left out."""
    first, second = rows.live_client(), rows.live_client()

    items = devices(office, (first, "/dev/"), (second.upper(), "/dev/disk")).json()["data"]["items"]
    plain = office.post("/list_client_block_devices", {"data": [{"client_hwid": first}]})

    assert [(item["client_hwid"], item["path"]) for item in items] == [
        (first, "/dev/sda"), (first, "/dev/sda1"), (second, "/dev/sda"), (second, "/dev/sda1"),
    ]  # fmt: skip
    assert plain.json()["data"]["items"][0] == {
        "client_hwid": first, "name": "sda", "path": "/dev/sda", "type": "disk", "size_bytes": 1 << 40,
        "filesystem": "", "mount_points": [], "read_only": False,
    }  # fmt: skip


def test_what_cannot_be_asked_is_named(office: Api, rows: Stock) -> None:
    """Unknown and foreign clients and paths outside /dev are 400 by number, a silent client is a 503 with its name."""
    group = rows.client_group()
    own, other = rows.named("clients", rows.client(group=group), "hwid"), rows.live_client()
    rows.client(hwid=OFFLINE)

    wrong = devices(rows.administrator(group), (own, "/etc"), (other, "/dev/"), (own, "/dev/../etc"))
    refused = devices(office, (own, "/dev/"), (own, "/dev/refused"))
    silent = devices(office, (own, "/dev"), (OFFLINE, "/dev"))

    assert wrong.json()["errors"].keys() == {"data.0.path", "data.1.client_hwid", "data.2.path"}
    assert refused.json()["errors"] == {"data.1.path": "There is no /dev/refused."}
    assert (silent.status_code, OFFLINE in silent.json()["message"]) == (503, True)
    assert devices(office, *[(own, "/dev")] * 21).json()["errors"].keys() == {"data"}


def resources(caller: Api, hwid: str, **fields: object) -> httpx.Response:
    """A call for the resources of a module."""
    body = {"client_hwid": hwid, "resource_type": "File system", "secret_method": 0}
    return caller.post("/module_resource_list", {"data": body | fields})


def test_a_module_lists_what_it_can_back_up(office: Api, rows: Stock) -> None:
    """Names as a backup takes them, sizes where they are known."""
    items = resources(office, rows.live_client().upper(), resource_type="file system").json()["data"]["items"]

    assert items == [{"resource": "/", "kind": "ext4", "size_bytes": 10, "used_bytes": None}]


def test_a_module_that_is_not_there_is_refused(office: Api, rows: Stock) -> None:
    """The guide's LVM logical volume is none yet; the answer names the modules that the client has."""
    hwid = rows.live_client()
    bare = rows.named("clients", rows.client(resource_types=["Other"]), "hwid")

    answer = resources(office, hwid, resource_type="LVM logical volume")

    assert answer.status_code == 400
    assert answer.json()["errors"] == {"data.resource_type": "the client has no module for it; it has: File system."}
    assert resources(office, bare).json()["errors"].keys() == {"data.resource_type"}


@pytest.mark.parametrize("method", [1, -1, 2])
def test_secrets_come_from_the_clients_own_configuration(office: Api, rows: Stock, method: int) -> None:
    """secret_method 0 is that, and the only one that is served; another is a 400 that says so."""
    answer = resources(office, rows.live_client(), secret_method=method)

    assert answer.status_code == 400
    assert "own configuration" in answer.json()["errors"]["data.secret_method"]


def test_resources_of_foreign_and_silent_clients(office: Api, rows: Stock) -> None:
    """The one is unknown, the other a 503 that names it."""
    rows.client(hwid=OFFLINE)
    boss = rows.administrator(rows.client_group())

    assert resources(boss, rows.live_client()).json()["errors"] == {"data.client_hwid": "unknown client."}
    assert resources(office, OFFLINE).status_code == 503
