"""A pool without room: the task says so, the store stays whole, and works again when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from support.system import System, running

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """One of its own: a pool is left whose disk is gone, and there is no emergency storage."""
    with running(tmp_path / "state") as system:
        yield system


def test_a_full_disk_ends_the_task_with_a_sentence_and_harms_nothing(
    small_disk: Path, system: System, tmp_path: Path
) -> None:
    """Without an emergency folder disk full is an Error that names the pool's; earlier copies restore; with room backups work."""
    system.call("PATCH", "/global_configuration", {"data": {"emergency_storage_local_catalog": ""}})
    server = system.media_server()
    pool = {"pool_name": "Tiny", "pool_type": "File system", "media_server": server, "ignore_free_space_check": True}
    system.call("POST", "/pool_list", {"data": pool}, status=201)
    storage = {"path": str(small_disk / "pool"), "pool": "Tiny", "description": ""}
    system.call("POST", "/storage_local_catalogs", {"data": storage}, status=201)
    source = tmp_path / "source"
    source.mkdir()
    (source / "small").write_bytes(os.urandom(5_000_000))
    system.done(system.backup(source, pool="Tiny"))
    earlier = system.records(source)[-1]

    (source / "large").write_bytes(os.urandom(60_000_000))
    number = system.backup(source, pool="Tiny")
    task = system.finished(number)
    assert task["status"] == "Error"
    assert "room" in task["message"] or "space" in task["message"]

    system.done(system.restore(earlier["id"], tmp_path / "target"))
    assert (tmp_path / "target" / str(source).lstrip("/") / "small").read_bytes() == (source / "small").read_bytes()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    system.done(system.backup(source, pool="Tiny"))
    system.done(system.restore(system.records(source)[-1]["id"], tmp_path / "again"))
    assert compare_trees(source, tmp_path / "again" / str(source).lstrip("/")).differences == []
