"""A pool that the client brings itself, through the whole system: written, read, verified, cleaned, killed, and told of beforehand."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Any

from support.office import example
from support.system import System, eventually

SIZE_BYTES = 80_000_000


def asked(answer: dict[str, Any]) -> int:
    """The task that a call has queued."""
    return int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])


def own_pool(system: System, storage: str = "nas") -> str:
    """A pool of the type Client defined with this storage; its name."""
    name = f"own-{secrets.token_hex(4)}"
    told = {"pool_name": name, "pool_type": "Client defined", "media_server": system.media_server()}
    system.call("POST", "/pool_list", example("POST", "/pool_list", **told, ignore_free_space_check=True), status=201)
    body = {"pool": name, "metadata_fs_pool": "Default", "name": storage, "description": ""}
    system.call("POST", "/client_defined_storages", {"data": body}, status=201)
    return name


def place(system: System, row: dict[str, Any]) -> Path:
    """Where the client keeps its part of a pool."""
    hwid = system.facts["client"].rpartition("(")[2].rstrip(")")
    return system.state.parent / "nas" / f"{row['uuid'].replace('-', '')}-{hwid}"


def test_a_pool_of_the_clients_own(system: System, tmp_path: Path) -> None:
    """Backup, incremental, restore, list, verify, lose the manifests, kill, delete and clean; others are told why not."""
    pool = own_pool(system)
    source = tmp_path / "source"
    source.mkdir()
    (source / "noise").write_bytes(os.urandom(3_000_000))
    (source / "text").write_text("the same line\n" * 100_000)
    eventually(lambda: not system.pool_node(pool)["problem"], 40, lambda: system.pool_node(pool))
    system.done(system.backup(source, pool=pool))
    (source / "more").write_bytes(os.urandom(300_000))
    system.done(system.backup(source, backup_type="incremental", pool=pool))
    first, second = system.records(source)
    assert (second["pool"], second["parent_id"]) == (pool, first["id"])
    assert second["stored_bytes"] < 320_000
    (row,) = system.call("GET", "/pool_list", filter_data=f'pool_name="{pool}"')["data"]["items"]
    own = place(system, row)
    assert list(own.rglob("*.pack"))
    assert system.gives_back(second["id"], source, tmp_path / "one")

    listed = system.call("GET", "/repository_record_file_list", id=second["id"], path=str(source), limit=100)
    assert {Path(entry["path"]).name for entry in listed["data"]["items"]} == {"more", "noise", "text"}
    system.done(asked(system.call("POST", f"/repository/{second['id']}/verification", status=201)))
    assert system.records(source)[1]["verification_status"] == "Trusted"
    refused_elsewhere(system, second["id"], source, pool)

    shutil.rmtree(own / "manifests")
    client = system.processes()["client"]
    os.kill(client, signal.SIGKILL)
    eventually(lambda: system.processes().get("client", client) != client, 30)
    assert system.gives_back(second["id"], source, tmp_path / "two")

    system.done(system.backup(source, pool=pool))
    third = system.records(source)[-1]
    (source / "more").unlink()
    system.call("DELETE", f"/repository/{first['id']}")
    assert [record["id"] for record in system.records(source)] == [third["id"]]
    eventually(lambda: len(list((own / "manifests").glob("*.tombstone"))) == 2, 40)
    # The media server lets its manifests go when the client has written its tombstones.
    kept = [third["uuid"].replace("-", "")]
    metadata = system.state / "pools" / "Default"
    eventually(lambda: [file.stem for file in metadata.rglob(f"clients/{own.name}/*.manifest")] == kept, 40)
    system.done(asked(system.call("POST", f"/pool_list/{row['id']}/cleaning", status=201)))
    (source / "more").write_bytes(b"")
    (storage,) = system.pool_node(pool)["storages"]
    refused = system.call("DELETE", f"/client_defined_storages/{storage['id']}", status=409)
    assert "holds data" in refused["message"]


def refused_elsewhere(system: System, record: int, source: Path, pool: str) -> None:
    """Nobody but the client gets at the contents, and nobody is led to think so."""
    only = "only that client can read them"
    assert only in system.call("POST", f"/repository/{record}/copying?pool=Default", status=409)["message"]
    assert only in system.call("POST", f"/repository/{record}/moving?pool=Default", status=409)["message"]
    fit = system.call("GET", "/pool_list/available_for_copy_or_move", record_id=record)["data"]["items"]
    assert fit == []
    targets = system.call("GET", "/pool_list/available_for_copy_or_move")["data"]["items"]
    assert pool not in {one["pool_name"] for one in targets}


def test_an_encrypted_copy(system: System, tmp_path: Path) -> None:
    """Its client lists it, verifies the contents with its key, and restores it."""
    pool = own_pool(system)
    source = tmp_path / "source"
    source.mkdir()
    (source / "secret").write_bytes(os.urandom(200_000))
    task = order(system, source, pool) | {"crypto": "aes-256-gcm"}
    system.done(asked(system.call("POST", "/task_queue/", {"data": {"task": task}}, status=201)))
    (record,) = system.records(source)
    listed = system.call("GET", "/repository_record_file_list", id=record["id"], path=str(source), limit=100)
    assert [entry["path"] for entry in listed["data"]["items"]] == [str(source / "secret")]
    verification = system.done(asked(system.call("POST", f"/repository/{record['id']}/verification", status=201)))
    assert "with its key" in verification["message"]
    assert system.gives_back(record["id"], source, tmp_path / "target")
    system.call("GET", f"/repository/{record['id']}/file", status=409, path=str(source / "secret"))


def order(system: System, resource: Path, pool: str) -> dict[str, Any]:
    """What is asked for of a backup into the pool."""
    return {
        "resource_type": "File system", "resource": str(resource), "client": system.facts["client"], "backup_type": "full",
        "pool": pool, "crypto": "nocrypt", "priority": 100, "storage_duration": "1 Years", "archiving": False,
    }  # fmt: skip


def test_a_client_killed_in_the_middle(system: System, tmp_path: Path) -> None:
    """Kill -9 while it writes into its own folder: the task goes on, and what was there restores."""
    pool = own_pool(system)
    source = tmp_path / "source"
    source.mkdir()
    with (source / "large").open("wb") as file:
        for _ in range(SIZE_BYTES // 1_000_000):
            file.write(os.urandom(1_000_000))
    eventually(lambda: not system.pool_node(pool)["problem"], 40, lambda: system.pool_node(pool))
    number = system.backup(source, pool=pool)
    system.until(number, lambda task: task["bytes_done"] > 0 or task["status"] == "Done", 60)
    os.kill(system.processes()["client"], signal.SIGKILL)
    system.done(number, 90)
    (record,) = system.records(source)
    assert system.gives_back(record["id"], source, tmp_path / "target")


def test_a_client_without_a_folder_is_told(system: System, tmp_path: Path) -> None:
    """The refusal names the setting, the storage and the client."""
    pool = own_pool(system, "elsewhere")
    task = order(system, tmp_path, pool)
    refused = system.call("POST", "/task_queue/", {"data": {"task": task}}, status=409)
    assert "CLIENT_DEFINED_STORAGES" in refused["message"]
    assert "'elsewhere'" in refused["message"]
