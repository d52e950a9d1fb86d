"""Pools of devices and buckets through the whole system: made as the guide says, written, read, cleaned, restarted."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.devices import NoLoopDevices, loop_device
from support.office import example
from support.s3server import ACCESS, SECRET, S3Server
from support.system import System, eventually

MIB = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a file that does not compress, one that does, and an empty one."""
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    (folder / "noise").write_bytes(os.urandom(9_000_000))
    (folder / "inner" / "text").write_text("the same line\n" * 100_000)
    (folder / "empty").touch()
    return folder


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """In this process, with a bucket."""
    server = S3Server().start()
    server.bucket("backups")
    yield server
    server.stop()


def make_pool(system: System, pool_type: str, **fields: Any) -> str:
    """A pool by the guide's example; its name."""
    name = f"{pool_type[:5].lower()}-{secrets.token_hex(4)}"
    server = system.media_server()
    told = {"pool_name": name, "pool_type": pool_type, "media_server": server, "ignore_free_space_check": True} | fields
    system.call("POST", "/pool_list", example("POST", "/pool_list", **told), status=201)
    return name


def asked(answer: dict[str, Any]) -> int:
    """The task that a call has queued."""
    return int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])


def goes_round(system: System, pool: str, source: Path, target: Path) -> None:
    """Backup, another one after a change, restore, verify, restart of the media server, delete, cleaning."""
    eventually(lambda: not system.pool_node(pool)["problem"], 40, lambda: system.pool_node(pool))
    system.done(system.backup(source, pool=pool))
    (source / "inner" / "more").write_bytes(os.urandom(300_000))
    system.done(system.backup(source, backup_type="incremental", pool=pool))
    first, second = system.records(source)
    assert (second["pool"], second["parent_id"]) == (pool, first["id"])
    assert system.gives_back(second["id"], source, target / "one")
    system.done(asked(system.call("POST", f"/repository/{second['id']}/verification", status=201)))
    old = system.processes()["media"]
    os.kill(old, signal.SIGKILL)
    eventually(lambda: system.processes().get("media", old) != old, 30)
    assert system.gives_back(second["id"], source, target / "two")
    (storage,) = system.pool_node(pool)["storages"]
    refused = system.call("DELETE", f"/{storage['family']}/{storage['id']}", status=409)
    assert "holds data" in refused["message"]
    system.done(system.backup(source, pool=pool))
    third = system.records(source)[-1]
    system.call("DELETE", f"/repository/{first['id']}")
    row = system.call("GET", "/pool_list", filter_data=f'pool_name="{pool}"')["data"]["items"][0]["id"]
    system.done(asked(system.call("POST", f"/pool_list/{row}/cleaning", status=201)))
    assert [record["id"] for record in system.records(source)] == [third["id"]]
    assert system.gives_back(third["id"], source, target / "three")
    eventually(lambda: system.pool_node(pool)["storages"][0]["problem"] == "", 40, lambda: system.pool_node(pool))


def test_a_pool_of_a_device(system: System, source: Path, tmp_path: Path) -> None:
    """A real one where the host gives loop devices, else a file."""
    try:
        with loop_device(tmp_path / "image", 256 * MIB) as path:
            on_device(system, path, source, tmp_path)
    except NoLoopDevices:
        path = tmp_path / "file"
        with path.open("xb") as file:
            file.truncate(256 * MIB)
        on_device(system, path, source, tmp_path)


def on_device(system: System, path: Path, source: Path, folder: Path) -> None:
    """All of it on this device; it is let go at the end."""
    pool = make_pool(system, "Block device", meta_data_pool="Default")
    body = example("POST", "/storage_block_devices", device=str(path), pool=pool)
    system.call("POST", "/storage_block_devices", body, status=201)
    goes_round(system, pool, source, folder)
    row = look(system, pool, lambda: used(system, "storage_block_devices", pool))
    assert (row["problem"], row["size_bytes"]) == ("", 256 * MIB)
    assert 9_000_000 < row["used_bytes"] < 256 * MIB - row["free_bytes"] + MIB
    let_go(system, pool, source)


def used(system: System, family: str, pool: str) -> dict[str, Any]:
    """The one storage of a pool, as soon as its media server has told that a copy lies there."""
    (row,) = system.call("GET", f"/{family}", filter_data=f'pool="{pool}"')["data"]["items"]
    return row if row["used_bytes"] > 9_000_000 else {}


def test_a_device_that_is_lost_and_found(system: System, source: Path, tmp_path: Path) -> None:
    """It is named, its copies are marked and not restored; when it is back all of that ends by itself."""
    try:
        with loop_device(tmp_path / "image", 64 * MIB) as path:
            lost_and_found(system, path, tmp_path / "image", source, tmp_path)
    except NoLoopDevices as error:
        pytest.skip(f"no device can be lost here: {error}")


def lost_and_found(system: System, path: Path, image: Path, source: Path, folder: Path) -> None:
    """The file below the device is emptied, and filled again."""
    pool = make_pool(system, "Block device", meta_data_pool="Default")
    body = example("POST", "/storage_block_devices", device=str(path), pool=pool)
    system.call("POST", "/storage_block_devices", body, status=201)
    eventually(lambda: not system.pool_node(pool)["problem"], 40, lambda: system.pool_node(pool))
    system.done(system.backup(source, pool=pool))
    (copy,) = system.records(source)
    os.sync()
    saved = image.read_bytes()
    os.truncate(image, 0)
    as_long_as_its_file(path)
    look(system, pool, lambda: system.records(source)[0]["unavailable"] == str(path))
    (storage,) = system.pool_node(pool)["storages"]
    assert str(path) in storage["problem"]
    refused = system.call("POST", f"/repository/{copy['id']}/verification", status=409)
    assert str(path) in refused["message"]

    with image.open("r+b") as file:
        file.write(saved)
    as_long_as_its_file(path)
    look(system, pool, lambda: system.records(source)[0]["unavailable"] == "")
    assert system.gives_back(copy["id"], source, folder / "found")
    let_go(system, pool, source)


def as_long_as_its_file(device: Path) -> None:
    """Have the loop device notice how long the file below it is now."""
    subprocess.run(["losetup", "--set-capacity", device], check=True)


def look(system: System, pool: str, probe: Callable[[], Any]) -> Any:
    """What the probe gives once the media server was asked for its pools, which is done each half minute, and at a change."""
    system.call("PATCH", "/global_configuration", {"data": {"done_tasks_remove_period": 1440}})
    return eventually(probe, 60, lambda: system.pool_node(pool))


def test_a_pool_of_a_bucket(system: System, source: Path, s3: S3Server, tmp_path: Path) -> None:
    """Nothing of the secret is told, and the bucket holds packs and manifests."""
    pool = make_pool(system, "Cloud", compression_type="fast")
    cloud = {
        "pool": pool, "name": "archive", "endpoint": s3.endpoint, "bucket": "backups", "prefix": "one/two",
        "access_key": ACCESS, "secret_key": SECRET,
    }  # fmt: skip
    wrong = system.call("POST", "/storage_clouds", {"data": cloud | {"bucket": "none-there"}}, status=400)
    system.call("POST", "/storage_clouds", {"data": cloud}, status=201)
    goes_round(system, pool, source, tmp_path)
    row = look(system, pool, lambda: used(system, "storage_clouds", pool))

    assert wrong["errors"].keys() == {"data.bucket"}
    assert (row["problem"], row["conditional_writes"], row["lockable"]) == ("", True, False)
    assert row["used_bytes"] > 9_000_000
    assert any(name.startswith("one/two/packs/") for name in s3.names("backups"))
    assert SECRET not in str(row)
    let_go(system, pool, source)


def let_go(system: System, pool: str, source: Path) -> None:
    """The copies go, then nothing keeps the storage in the pool."""
    for record in system.records(source):
        if record["pool"] == pool:
            system.call("DELETE", f"/repository/{record['id']}")
    (storage,) = system.pool_node(pool)["storages"]
    system.call("DELETE", f"/{storage['family']}/{storage['id']}")
    assert system.pool_node(pool)["storages"] == []
