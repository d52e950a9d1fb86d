"""Pools of devices and of buckets outlive their catalogue: made again with their uuid, which the refusal tells. RECOVERY=1 runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.office import example
from support.s3server import ACCESS, SECRET, S3Server
from support.system import RUBACKUP, System, down, eventually, up

pytestmark = pytest.mark.skipif(not os.environ.get("RECOVERY"), reason="RECOVERY is not set: scripts/nightly recovery")


def test_a_device_and_a_bucket_are_taken_over(tmp_path: Path) -> None:
    """Nothing on them is overwritten; copies come back byte for byte."""
    state, source, device = tmp_path / "state", tmp_path / "source", tmp_path / "device"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(500_000))
    with device.open("xb") as file:
        file.truncate(128 << 20)
    s3 = S3Server().start()
    s3.bucket("backups")
    cloud = {
        "name": "bucket", "endpoint": s3.endpoint, "bucket": "backups", "access_key": ACCESS, "secret_key": SECRET,
    }  # fmt: skip
    storages = {
        "Block device": (
            "/storage_block_devices",
            example("POST", "/storage_block_devices", device=str(device))["data"],
        ),
        "Cloud": ("/storage_clouds", cloud),
    }
    storages["Block device"][1]["overwrite_file_system"] = False
    system = up(state)
    try:
        for pool_type, (path, body) in storages.items():
            _make(system, pool_type)
            system.call("POST", path, {"data": body | {"pool": pool_type}}, status=201)
            eventually(lambda name=pool_type: not system.pool_node(name)["problem"], 40)
            system.done(system.backup(source, pool=pool_type))
        system.http.close()
        down(state)
        shutil.rmtree(state)

        system = up(state)
        for pool_type, (path, body) in storages.items():
            made = _make(system, pool_type)
            refused = system.call("POST", path, {"data": body | {"pool": pool_type}}, status=409)["message"]
            uuid = re.search(r"nother pool \(([0-9a-f]{32})\)", refused)
            assert uuid, refused
            system.call("DELETE", f"/pool_list/{made}")
            _make(system, pool_type, uuid=uuid[1])
            system.call("POST", path, {"data": body | {"pool": pool_type}}, status=201)
        command = [*RUBACKUP, "rebuild-catalogue", "--state", str(state)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        assert done.stdout.count("1 copies adopted") == 2, done.stdout
        for number, record in enumerate(system.records(source)):
            assert system.gives_back(record["id"], source, tmp_path / f"target{number}")
            system.done(system.backup(source, pool=record["pool"]))
    finally:
        system.http.close()
        down(state)
        s3.stop()


def _make(system: System, pool_type: str, **fields: Any) -> int:
    told = {
        "pool_name": pool_type, "pool_type": pool_type, "media_server": system.media_server(), "ignore_free_space_check": True,
    }  # fmt: skip
    if pool_type == "Block device":
        told["meta_data_pool"] = "Default"
    body = example("POST", "/pool_list", **told)
    system.call("POST", "/pool_list", {"data": body["data"] | fields}, status=201)
    rows = system.call("GET", "/pool_list", filter_data=f'pool_name="{pool_type}"')["data"]["items"]
    return int(rows[0]["id"])
