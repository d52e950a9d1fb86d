"""A pool's folders pulled out, full, and replaced, through the whole system."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.system import System, eventually

MEGABYTE = 1_000_000


def tree_of(folder: Path, megabytes: int, parts: int = 4) -> Path:
    """A folder with data that neither compresses nor repeats."""
    folder.mkdir()
    for number in range(parts):
        with (folder / f"part{number}").open("wb") as file:
            for _ in range(megabytes // parts):
                file.write(os.urandom(MEGABYTE))
    return folder


def configure(system: System, **keys: Any) -> None:
    """Change the global configuration."""
    system.call("PATCH", "/global_configuration", {"data": keys})


def look(system: System, probe: Callable[[], Any]) -> Any:
    """What the probe gives once the media server was asked for its pools, which is done each half minute, and at a change."""
    configure(system, done_tasks_remove_period=1440)
    return eventually(probe, 40)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 40 MB of its own, mounted."""
    image, point = tmp_path / "image", tmp_path / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(48 << 20)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", image], capture_output=True, check=False)
    if made.returncode or mount(image, point):
        pytest.skip("this host mounts no images")
    yield point
    while not subprocess.run(["umount", "-l", point], capture_output=True, check=False).returncode:
        pass


def mount(image: Path, point: Path) -> int:
    """Mount an image; 0 when that went well."""
    return subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, check=False).returncode


def test_a_catalogue_pulled_out_in_the_middle_of_a_backup(system: System, tmp_path: Path) -> None:
    """The backup goes on in the other folder; what lay there is marked, and is whole again when it is back."""
    first = tree_of(tmp_path / "first", 8)
    second = tree_of(tmp_path / "second", 240)
    one, two = tmp_path / "one", tmp_path / "two"
    pool = system.add_pool(one, two)
    system.done(system.backup(first, pool=pool))
    (old,) = system.records(first)

    with system.slow_backups(40 << 10):
        task = system.backup(second, pool=pool)
        eventually(lambda: len(list((one / "packs").rglob("*.pack"))) > 2, 20)
        one.rename(tmp_path / "away")
        one.mkdir()
    system.done(task)
    assert any(("one" in line and "marker" in line) or "away" in line for line in system.log(task))
    (new,) = system.records(second)
    assert system.gives_back(new["id"], second, tmp_path / "target")

    look(system, lambda: system.records(first)[0]["unavailable"] == str(one))
    assert system.records(second)[0]["unavailable"] == ""
    answer = system.call("POST", f"/repository/{old['id']}/verification", status=409)
    assert str(one) in answer["message"]
    lost = next(leaf for leaf in system.pool_node(pool)["storages"] if leaf["path"] == str(one))
    assert "marker" in lost["problem"]
    assert not list(one.iterdir())

    one.rmdir()
    (tmp_path / "away").rename(one)
    look(system, lambda: system.records(first)[0]["unavailable"] == "")
    assert system.gives_back(old["id"], first, tmp_path / "back")
    assert [leaf["problem"] for leaf in system.pool_node(pool)["storages"]] == ["", ""]


def test_an_ext4_that_is_full_and_then_gone(system: System, tmp_path: Path, disk: Path) -> None:
    """Full: the running backup goes on in the emergency folder. Unmounted: the next one goes there at once."""
    emergency = tmp_path / "emergency"
    source = tree_of(tmp_path / "source", 80)
    pool = system.add_pool(disk / "pool")
    configure(system, emergency_storage_local_catalog=str(emergency))
    try:
        task = system.backup(source, pool=pool)
        system.done(task)
        (copy,) = system.records(source)
        spare = look(
            system,
            lambda: [
                one
                for one in system.pool_node(pool)["storages"]
                if one["family"] == "emergency_storage_local_catalog" and one["used_bytes"] > 30 * MEGABYTE
            ],
        )
        assert spare[0]["path"].startswith(f"{emergency}/")
        (shown,) = [
            one for one in system.call("GET", "/pool_list", limit=1000)["data"]["items"] if one["pool_name"] == pool
        ]
        assert (shown["emergency_path"], shown["emergency_used_bytes"] > 30 * MEGABYTE) == (spare[0]["path"], True)
        assert any(spare[0]["path"] in line and "emergency storage" in line for line in system.log(task))
        assert emergency.stat().st_mode & 0o777 == 0o700
        assert system.gives_back(copy["id"], source, tmp_path / "target")

        subprocess.run(["umount", "-l", disk], check=True)
        small = tree_of(tmp_path / "small", 4)
        system.done(system.backup(small, pool=pool))
        assert not list(disk.iterdir())
        assert system.gives_back(system.records(small)[0]["id"], small, tmp_path / "small-target")
        look(system, lambda: system.records(source)[0]["unavailable"])
        assert mount(tmp_path / "image", disk) == 0
        look(system, lambda: system.records(source)[0]["unavailable"] == "")
        assert system.gives_back(copy["id"], source, tmp_path / "again")
    finally:
        configure(system, emergency_storage_local_catalog="", pool_storage_capacity_reserve=2_000_000_000)


def test_a_pool_below_its_reserve_is_substituted(system: System, tmp_path: Path) -> None:
    """By the pool that an administrator named for that; the task's log and the copy say so. `ignore_free_space_check` writes."""
    source = tree_of(tmp_path / "source", 4)
    full = system.add_pool(tmp_path / "full", ignore_free_space_check=False)
    other = system.add_pool(tmp_path / "other")
    system.done(system.backup(source, pool=full))
    configure(system, pool_storage_capacity_reserve=1 << 59, emergency_storage_local_catalog="")
    try:
        eventually(lambda: "kept in reserve" in system.pool_node(full)["problem"], 40)
        failed = system.finished(system.backup(source, pool=full))
        assert failed["status"] == "Error"
        body = {"data": {"pool": full, "substitution": other}}
        system.call("POST", "/pool_substitution", body, status=201)
        task = system.backup(source, pool=full, backup_type="incremental")
        system.done(task)
    finally:
        configure(system, pool_storage_capacity_reserve=2_000_000_000)
        eventually(lambda: "kept in reserve" not in system.pool_node("Default")["problem"], 40)
    copy = system.records(source)[-1]
    assert (copy["pool"], copy["backup_type"]) == (other, "full")
    log = " ".join(system.log(task))
    assert f"goes into pool {other}, its substitution" in log
    assert "becomes a full one" in log
    assert system.gives_back(copy["id"], source, tmp_path / "target")


def test_a_group_spreads_backups_over_its_pools(system: System, tmp_path: Path) -> None:
    """A task names the group where a pool would stand; each copy names the pool that it went into."""
    pools = [system.add_pool(tmp_path / f"pool{number}") for number in range(2)]
    name = f"group-{secrets.token_hex(4)}"
    group = {"name": name, "max_pool_tasks": 1}
    system.call("POST", "/dynamic_pool_groups", {"data": group}, status=201)
    for pool in pools:
        body = {"data": {"dynamic_pool_group": name, "pool": pool, "enabled": True}}
        system.call("POST", "/dynamic_pool_groups_records", body, status=201)
    sources = [tree_of(tmp_path / f"source{number}", 40) for number in range(3)]
    with system.slow_backups(1 << 10):  # else the first might be done before the second looks for a pool
        tasks = [system.backup(source, pool=name) for source in sources]
        eventually(lambda: [system.task(task)["bytes_sent"] > 0 for task in tasks[:2]] == [True, True], 40)
    for task in tasks:
        system.done(task)
    went = {system.records(source)[0]["pool"] for source in sources}
    assert went == set(pools)
