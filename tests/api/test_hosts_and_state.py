"""Hosts: authorising, browsing, trees; and what the server says of itself."""

from __future__ import annotations

import asyncio

from rubackup import __version__
from rubackup.catalog.database import DatabaseAddress
from rubackup.resources import RESOURCES
from rubackup.services.ports import FolderEntry
from support.api import Api, running_api
from support.fixtures import Stock, stock
from support.hosts import OFFLINE, AnsweringHosts


def test_authorised_clients_leave_the_waiting_ones(office: Api, rows: Stock) -> None:
    """They become clients of No group, all or none; a missing one is named."""
    waiting = [rows.unauthorised_client(), rows.unauthorised_client()]

    refused = office.post("/clients/authorize", {"data": {"clients_ids": [*waiting, 4711]}})
    done = office.post("/clients/authorize", {"data": {"clients_ids": waiting}})

    assert (refused.status_code, "4711" in refused.json()["message"]) == (404, True)
    assert done.status_code == 201
    assert office.get("/unauthorised_clients").json()["data"]["total"] == 0
    clients = office.get("/clients").json()["data"]["items"]
    assert [client["group_id"] for client in clients] == ["No group", "No group"]


def test_a_deleted_client_waits_again(office: Api, rows: Stock) -> None:
    """It can be authorised again; nothing of it is lost."""
    client = rows.client()
    hwid = rows.named("clients", client, "hwid")

    office.delete(f"/clients/{client}")

    assert [row["hwid"] for row in office.get("/unauthorised_clients").json()["data"]["items"]] == [hwid]


def test_a_client_says_what_it_can_back_up(office: Api, rows: Stock) -> None:
    """Rows of resource_types, as far as this version serves them."""
    data = office.get(f"/clients/{rows.client(resource_types=['File system', 'Docker'])}/resource_type").json()["data"]

    assert [row["name"] for row in data["items"]] == ["File system"]
    assert office.get("/clients/4711/resource_type").status_code == 404


def test_local_storage_needs_a_pool(office: Api, rows: Stock) -> None:
    """lsf_flag without ls_pool is refused, whichever of them is changed."""
    client, pool = rows.client(), rows.pool()

    assert office.patch(f"/clients/{client}", {"data": {"lsf_flag": True}}).status_code == 400
    assert office.patch(f"/clients/{client}", {"data": {"lsf_flag": True, "ls_pool": pool}}).status_code == 200
    assert office.patch(f"/clients/{client}", {"data": {"ls_pool": None}}).status_code == 400


def test_folders_of_live_clients_are_listed(office: Api, rows: Stock) -> None:
    """Each item of the body is asked, and its entries say which it was."""
    first, second = rows.live_client(), rows.live_client()
    body = {"data": [{"client_hwid": first, "path": "/"}, {"client_hwid": second.upper(), "path": "/home/"}]}

    items = office.post("/list_client_filesystem", body).json()["data"]["items"]

    assert [(item["client_hwid"], item["path"], item["name"]) for item in items] == [
        (first, "/", "inner"), (first, "/", "file"), (second, "/home", "inner"), (second, "/home", "file"),
    ]  # fmt: skip


def test_what_cannot_be_listed_is_named(office: Api, rows: Stock) -> None:
    """Unknown clients and bad folders are 400 under their number, a silent client is a 503 that names it."""
    here = rows.live_client()
    rows.client(hwid=OFFLINE)
    unknown = office.post(
        "/list_client_filesystem",
        {"data": [{"client_hwid": here, "path": "x"}, {"client_hwid": "f" * 16, "path": "/"}]},
    )
    refused = office.post("/list_client_filesystem", {"data": [{"client_hwid": here, "path": "/refused"}]})
    silent = office.post("/list_client_filesystem", {"data": [{"client_hwid": OFFLINE, "path": "/"}]})

    assert unknown.json()["errors"].keys() == {"data.0.path", "data.1.client_hwid"}
    assert refused.json()["errors"] == {"data.0.path": "/refused is no folder."}
    assert (silent.status_code, OFFLINE in silent.json()["message"]) == (503, True)


def tree(office: Api, **fields: object) -> dict[str, object]:
    """The answer of the clients' tree."""
    answer = office.post("/clients/tree", {"data": fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()["data"]
    return found


def test_the_clients_tree_pages_groups_and_clients(office: Api, rows: Stock) -> None:
    """Each group has its page of clients and the number of all of them, beyond the last page too."""
    group = rows.client_group()
    for _ in range(3):
        rows.client(group=group)

    page = {"client_group_id": group, "clients_limit": 2, "clients_page": 2}
    nodes = {node["id"]: node for node in tree(office, clients=[page])["client_groups"]}  # type: ignore[attr-defined]
    beyond = tree(office, clients=[page | {"clients_page": 9}])["client_groups"]

    assert (len(nodes[group]["clients"]), nodes[group]["clients_total"]) == (1, 3)
    assert {n["id"]: n["clients_total"] for n in beyond}[group] == 3  # type: ignore[attr-defined]
    assert office.post("/clients/tree", {"data": {"clients": [{"client_group_id": 4711}]}}).status_code == 404


def test_the_clients_tree_is_filtered_by_host_name(office: Api, rows: Stock) -> None:
    """Groups without a match are left out."""
    wanted, other = rows.client_group(), rows.client_group()
    rows.client(group=wanted, hostname="Accounts-7")
    rows.client(group=other)

    data = tree(office, filter_clients_hostname="COUNTS", client_groups_page=1, client_groups_limit=20)

    assert [node["id"] for node in data["client_groups"]] == [wanted]  # type: ignore[attr-defined]
    assert data["client_groups_total"] == 1
    beyond = tree(office, filter_clients_hostname="COUNTS", client_groups_page=9, client_groups_limit=20)
    assert (beyond["client_groups"], beyond["client_groups_total"]) == ([], 1)


def test_the_media_servers_tree_shows_everything(office: Api, rows: Stock) -> None:
    """Servers without pools and pools without storages are there, too."""
    full, empty = rows.media_server(), rows.media_server()
    storage = rows.storage(pool=(pool := rows.pool(media=full)))
    bare = rows.pool(media=full)

    nodes = {node["id"]: node for node in office.get("/media_servers/tree").json()["data"]["media_servers"]}

    storages = {p["id"]: [s["id"] for s in p["storages"]] for p in nodes[full]["pools"]}
    assert storages == {pool: [storage], bare: []}
    assert nodes[empty]["pools"] == []


def test_servers_with_tape_pools_are_told_apart(office: Api, rows: Stock) -> None:
    """filtered_by_tape_library_pool leaves out the others."""
    rows.pool()
    with_tape = rows.tape_media_server()

    items = office.get("/media_servers/filtered_by_tape_library_pool").json()["data"]["items"]

    assert [item["id"] for item in items] == [with_tape]


def test_server_hello_tells_versions_and_zone(office: Api) -> None:
    """Anybody who is logged in may ask."""
    data = office.user("nobody").get("/server_hello").json()["data"]

    assert data["package_version"] == __version__
    assert data["service_mode"] is False
    assert data["timezone"]


def test_server_state_tells_what_waits(office: Api, rows: Stock) -> None:
    """Waiting hosts and unfinished tasks, as far as the caller sees them."""
    group = rows.client_group()
    rows.unauthorised_client()
    rows.unauthorised_media_server()
    rows.task(client=rows.client(group=group), status="Paused")
    rows.task(status="Paused")
    rows.task(status="Done")

    whole = office.get("/server_state").json()["data"]
    own = rows.administrator(group).get("/server_state").json()["data"]

    assert (len(whole["unauthorised_clients"]), len(whole["unauthorised_media_servers"])) == (1, 1)
    assert whole["unfinished_tasks"] == [{"status": "Paused", "tasks": 2}]
    assert own["unauthorised_media_servers"] == []
    assert own["unfinished_tasks"] == [{"status": "Paused", "tasks": 1}]


def test_silent_hosts_hold_no_connection_to_the_catalogue(database: DatabaseAddress) -> None:
    """While more clients are waited for than there are connections, other calls are answered."""

    class Waiting(AnsweringHosts):
        def __init__(self) -> None:
            self.asked, self.everybody, self.answer = 0, asyncio.Event(), asyncio.Event()

        async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
            self.asked += 1
            if self.asked == 8:
                self.everybody.set()
            await self.answer.wait()
            return []

    hosts = Waiting()
    with running_api(database, RESOURCES, hosts) as office:
        office.login("rubackup")
        body = {"data": [{"client_hwid": stock(office).live_client(), "path": "/"}]}

        async def crowd() -> list[int]:
            waiting = [asyncio.create_task(office.send("POST", "/list_client_filesystem", json=body)) for _ in range(8)]
            async with asyncio.timeout(300):
                await hosts.everybody.wait()
                others = await office.send("GET", "/clients")
            hosts.answer.set()
            return [others.status_code, *(answer.status_code for answer in await asyncio.gather(*waiting))]

        assert office.run(crowd()) == [200] * 9
