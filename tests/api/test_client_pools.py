"""Client defined pools for administrators: which clients can use them, and what only the owner of a copy can do."""

from __future__ import annotations

from typing import Any

import pytest
from samples_storage import new_client_storage, pool_of, posted

from rubackup.services import client_pools, presence
from rubackup.services.pools import PoolReport, StorageReport
from support.api import Api
from support.fixtures import Stock

SERVER = "cc" * 32
ONLY = "only that client can read them"


class Own:
    """A Client defined pool with the storage `nas`, and a client with a folder for it."""

    def __init__(self, office: Api, rows: Stock) -> None:
        self.office, self.rows = office, rows
        self.media = rows.media_server()
        self.files = rows.pool_with_storage(media=self.media)
        self.pool = pool_of(rows, "Client defined", media=self.media)
        body = new_client_storage(office, pool=self.pool, metadata_fs_pool=self.files, name="nas")
        self.storage = posted(office, "client_defined_storages", body)
        self.client = rows.client()
        self.comes(self.client, "nas")

    def comes(self, client: int, *storages: str) -> None:
        """The client connects, with folders for these."""
        hwid = self.rows.named("clients", client, "hwid")
        hostname = self.rows.named("clients", client, "hostname")
        self.office.run(
            presence.client_online(
                self.office.database, hwid, SERVER, hostname=hostname, package_version="1",
                resource_types=["File system"], storages=storages,
            )
        )  # fmt: skip

    def tells(self, client: int, problem: str = "", used: int = 0) -> None:
        """The client says how its folder is."""
        fill = StorageReport(id=self.storage, problem=problem, free_bytes=70, used_bytes=used, total_bytes=100)
        state = PoolReport(
            id=self.pool, problem=problem, free_bytes=70, used_bytes=used, total_bytes=100, chunks=1, storages=(fill,)
        )
        hwid = self.rows.named("clients", client, "hwid")
        self.office.run(client_pools.report(self.office.database, hwid, [state]))

    def leaf(self) -> dict[str, Any]:
        """The storage in the tree."""
        return next(one for one in self.node()["storages"])

    def node(self) -> dict[str, Any]:
        """The pool in the tree."""
        servers = self.office.get("/media_servers/tree").json()["data"]["media_servers"]
        return next(one for server in servers for one in server["pools"] if one["id"] == self.pool)

    def backup(self, client: int) -> Any:
        """An urgent backup of the client into the pool."""
        task = {
            "resource_type": "File system", "resource": "/home", "client": client, "backup_type": "full",
            "pool": self.pool, "crypto": "nocrypt", "priority": 100, "storage_duration": "1 Years", "archiving": False,
        }  # fmt: skip
        return self.office.post("/task_queue", {"data": {"task": task}})


@pytest.fixture
def own(office: Api, rows: Stock) -> Own:
    """As above."""
    return Own(office, rows)


def test_the_tree_and_the_rows_tell_what_clients_told(own: Own, office: Api, rows: Stock) -> None:
    """Room of all of them; the pool can be used as long as one can use its folder, and says why when none can."""
    assert "No client has told" in own.node()["problem"]
    own.tells(own.client, used=5)
    second = rows.client()
    own.comes(second, "nas")
    own.tells(second, problem="Its disk is gone.", used=2)

    shown = own.leaf()
    assert (shown["problem"], shown["free_bytes"], shown["used_bytes"], shown["total_bytes"]) == ("", 140, 7, 200)
    assert (own.node()["problem"], own.node()["used_bytes"]) == ("", 7)
    row = office.get(f"/client_defined_storages/{own.storage}").json()["data"]
    assert (row["clients"], row["problem"], row["used_bytes"]) == (2, "", 7)
    own.tells(own.client, problem="Its disk is gone.")
    assert own.node()["problem"] == "Its disk is gone."
    assert office.get(f"/pool_list/{own.pool}").json()["data"]["problem"] == "Its disk is gone."


def test_a_client_without_a_folder_is_refused_with_those_that_have_one(own: Own, rows: Stock) -> None:
    """409 that names the setting, and clients that the caller may know of; one that never came online is not judged."""
    other = rows.client()
    refused = own.backup(other)
    assert refused.status_code == 409
    told = refused.json()["message"]
    assert "CLIENT_DEFINED_STORAGES" in told
    assert f"Clients that have one: {rows.label(own.client)}" in told.replace("Rubackup", "rubackup")
    assert own.backup(own.client).status_code == 201
    assert own.backup(rows.client(resource_types=[])).status_code == 201
    own.rows.insert("pool_substitutions", pool_id=own.pool, substitution_id=own.files)
    assert own.backup(other).status_code == 201


def test_a_storage_in_which_copies_lie_keeps_its_name(own: Own, office: Api, rows: Stock) -> None:
    """Clients find their folder by it; without copies it can be renamed and deleted."""
    own.tells(own.client, used=5)
    record = rows.record(client=own.client, pool=own.pool)
    path = f"/client_defined_storages/{own.storage}"

    for refused in (office.patch(path, {"data": {"name": "other"}}), office.delete(path)):
        assert (refused.status_code, "holds data" in refused.json()["message"]) == (409, True)
    assert office.patch(path, {"data": {"name": "nas", "description": "d"}}).status_code == 200
    office.execute("DELETE FROM repository WHERE id = $1", record)
    assert office.patch(path, {"data": {"name": "other"}}).status_code == 200
    assert office.delete(path).status_code == 200


def test_only_the_owner_of_a_copy_gets_at_it(own: Own, office: Api, rows: Stock) -> None:
    """Copied, moved, downloaded, restored by others: 409 with the reason; the owner may restore, and verifies itself."""
    record = rows.record(client=own.client, pool=own.pool)
    target = rows.named("pools", own.files, "pool_name")
    answers = [office.post(f"/repository/{record}/{what}", params={"pool": target}) for what in ("copying", "moving")]
    answers.append(office.get(f"/repository/{record}/file?path=/home/report"))
    answers.append(office.post(f"/repository/{record}/file_link", {"data": {"path": "/home/report"}}))
    order = {"destination_path": "/tmp/target", "data_deployment": False, "granular_restore_files": [""]}
    elsewhere = order | {"target_client": rows.label(rows.client())}
    answers.append(office.post(f"/repository/{record}/restoring", {"data": {"restore_task": elsewhere}}))

    assert [(one.status_code, ONLY in one.json()["message"]) for one in answers] == [(409, True)] * 5
    listed = office.get(f"/pool_list/available_for_copy_or_move?record_id={record}").json()["data"]["items"]
    assert listed == []
    everything = office.get("/pool_list/available_for_copy_or_move").json()["data"]["items"]
    assert own.pool not in {one["id"] for one in everything}
    into = office.post(
        f"/repository/{rows.record()}/copying", params={"pool": own.rows.named("pools", own.pool, "pool_name")}
    )
    assert (into.status_code, "the client itself writes them" in into.json()["message"]) == (409, True)
    here = order | {"target_client": rows.label(own.client)}
    assert office.post(f"/repository/{record}/restoring", {"data": {"restore_task": here}}).status_code == 201
    assert office.post(f"/repository/{record}/verification").status_code == 201
    (task,) = office.fetch("SELECT executor, client_id FROM task_queue WHERE task_type = 'Verify'")
    assert tuple(task) == ("client", own.client)
    files = office.get(f"/repository_record_file_list?id={record}&path=/home&page=1&limit=10")
    assert files.json()["data"]["total"] == 25


def test_a_cleaning_is_a_task_of_each_client_that_keeps_something(own: Own, office: Api, rows: Stock) -> None:
    """One that is cleaned already gets no other; without any it is refused."""
    path = f"/pool_list/{own.pool}/cleaning"
    nobody = office.post(path)
    assert (nobody.status_code, "No client keeps" in nobody.json()["message"]) == (409, True)
    own.tells(own.client, used=5)
    second = rows.client()
    rows.record(client=second, pool=own.pool)

    assert office.post(path).status_code == 201

    found = office.fetch(
        "SELECT executor, client_id, pool_id FROM task_queue WHERE task_type = 'Clean' ORDER BY client_id"
    )
    assert [tuple(row) for row in found] == [("client", own.client, own.pool), ("client", second, own.pool)]
    assert office.post(path).status_code == 409
