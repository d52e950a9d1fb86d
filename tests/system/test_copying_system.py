"""Copies go from pool to pool, whatever is killed on the way: nothing is lost and nothing doubled."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rubackup.roles.up.ports import free_port
from support.system import FINAL, System, eventually, running

PART_BYTES = 100_000_000
PARTS = 5
"""Enough to be interrupted in the middle of it."""


def ask(system: System, record: int, what: str, pool: str) -> int:
    """Copy or move a copy; the task."""
    answer = system.call("POST", f"/repository/{record}/{what}", status=201, pool=pool)
    return int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])


def manifests(folder: Path) -> set[str]:
    """The records that the pools below a folder hold."""
    return {file.stem for file in folder.rglob("manifests/*.manifest")}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One of its own: a media server is left behind, and the configuration changes for all pools."""
    with running(tmp_path_factory.mktemp("copying") / "state") as system:
        yield system


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data that neither compresses nor repeats."""
    folder = tmp_path_factory.mktemp("copies") / "source"
    folder.mkdir()
    for number in range(PARTS):
        with (folder / f"part{number}").open("wb") as file:
            for _ in range(PART_BYTES // 1_000_000):
                file.write(os.urandom(1_000_000))
    return folder


@pytest.fixture(scope="module")
def record(system: System, source: Path) -> dict[str, Any]:
    """A copy of it in pool Default."""
    system.done(system.backup(source))
    found: dict[str, Any] = system.records(source)[-1]
    return found


def copies_in(system: System, source: Path, pool: str) -> list[dict[str, Any]]:
    """The copies of the folder that a pool has."""
    return [one for one in system.records(source) if one["pool"] == pool]


def test_a_copy_restores_from_another_pool(system: System, tmp_path: Path) -> None:
    """It keeps what it is of, says where it comes from, and restores when the first pool has lost its own."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(3_000_000))
    system.done(system.backup(folder))
    (first,) = system.records(folder)
    pool = system.add_pool(tmp_path / "pools", compression_type="best")
    system.done(ask(system, first["id"], "copying", pool))
    _, second = system.records(folder)
    system.call("DELETE", f"/repository/{first['id']}")

    assert (second["pool"], second["copied_from"], second["verification_status"]) == (pool, first["id"], "Trusted")
    kept = ("client", "resource", "backup_type", "created_at", "store_until", "size_bytes", "files")
    assert [first[name] for name in kept] == [second[name] for name in kept]
    assert system.gives_back(second["id"], folder, tmp_path / "target")


def test_a_moved_copy_leaves_its_pool(system: System, tmp_path: Path) -> None:
    """The first pool forgets it; a backup there begins with a full copy again, one in the new pool builds on it."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(3_000_000))
    one, two = system.add_pool(tmp_path / "one"), system.add_pool(tmp_path / "two")
    system.done(system.backup(folder, pool=one))
    (first,) = system.records(folder)
    system.done(ask(system, first["id"], "moving", two))
    (moved,) = system.records(folder)
    eventually(lambda: not manifests(tmp_path / "one"), 10)

    assert (moved["pool"], moved["copied_from"]) == (two, first["id"])
    assert system.gives_back(moved["id"], folder, tmp_path / "target")
    system.done(system.backup(folder, backup_type="incremental", pool=one))
    system.done(system.backup(folder, backup_type="incremental", pool=two))
    again, child = system.records(folder)[-2:]
    assert (again["backup_type"], child["backup_type"], child["parent_id"]) == ("full", "incremental", moved["id"])
    assert system.gives_back(child["id"], folder, tmp_path / "child")


@pytest.mark.parametrize(
    ("process", "what", "point"),
    [
        ("media", "copying", "packs/**/*.open"), ("media", "moving", "manifests/*.open"),
        ("media", "moving", "manifests/*.manifest"), ("server", "copying", "manifests/*.open"),
        ("server", "moving", "packs/**/*.open"), ("server", "moving", "manifests/*.manifest"),
    ],
)  # fmt: skip
def test_a_killed_process_costs_no_copy(
    system: System, source: Path, tmp_path: Path, process: str, what: str, point: str
) -> None:
    """Kill -9 while chunks go over, while they are read back, and as soon as the record is sealed: one good copy."""
    origin, target = system.add_pool(tmp_path / "origin"), system.add_pool(tmp_path / "target")
    system.done(system.backup(source, pool=origin))
    (first,) = copies_in(system, source, origin)
    number = ask(system, first["id"], what, target)
    begun = (lambda: list((tmp_path / "target").glob(point))), (lambda: system.task(number)["status"] in FINAL)
    eventually(lambda: any(look() for look in begun), 60, lambda: system.task(number))

    victim = system.processes()[process]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: system.processes().get(process, victim) != victim, 30)
    task = system.finished(number, 120)

    assert task["status"] == "Done", f"{task} {system.log(number)}"
    (copy,) = copies_in(system, source, target)
    assert [one["id"] for one in copies_in(system, source, origin)] == ([] if what == "moving" else [first["id"]])
    eventually(lambda: manifests(tmp_path / "target") == {copy["uuid"].replace("-", "")}, 15)
    assert system.gives_back(copy["id"], source, tmp_path / "restored")
    for one in (*copies_in(system, source, origin), copy):
        system.call("DELETE", f"/repository/{one['id']}")


def test_a_copy_that_is_killed_or_paused_leaves_nothing_listed(
    system: System, source: Path, record: dict[str, Any], tmp_path: Path
) -> None:
    """A killed one never appears; a paused one keeps its source from being deleted, and goes on where it was."""
    first, second = system.add_pool(tmp_path / "one"), system.add_pool(tmp_path / "two")
    killed = ask(system, record["id"], "copying", first)
    eventually(lambda: list((tmp_path / "one").rglob("packs/**/*.open")), 60, lambda: system.task(killed))
    system.call("POST", "/kill_task", {"data": {"task_id": killed}})
    paused = ask(system, record["id"], "copying", second)
    eventually(lambda: list((tmp_path / "two").rglob("packs/**/*.open")), 60, lambda: system.task(paused))
    system.call("POST", "/put_task_on_pause", {"data": {"task_id": paused}})
    refused = system.http.delete(f"/repository/{record['id']}")
    assert (refused.status_code, str(paused) in refused.json()["message"]) == (409, True)
    assert copies_in(system, source, second) == []
    system.call("POST", "/continue_task_working", {"data": {"task_id": paused}})
    system.done(paused)

    (copy,) = copies_in(system, source, second)
    assert (copies_in(system, source, first), manifests(tmp_path / "one")) == ([], set())
    assert system.task(killed)["status"] == "Killed"
    assert system.gives_back(copy["id"], source, tmp_path / "restored")
    system.call("DELETE", f"/repository/{copy['id']}")


def test_a_target_without_room_ends_the_task_and_the_source_stays(
    system: System, source: Path, record: dict[str, Any], tmp_path: Path
) -> None:
    """The sentence says that there is no room; nothing of it is listed."""
    system.call("PATCH", "/global_configuration", {"data": {"pool_storage_capacity_reserve": 2**60}})
    try:
        target = system.add_pool(tmp_path / "target", ignore_free_space_check=False)
        task = system.finished(ask(system, record["id"], "moving", target))
    finally:
        system.call("PATCH", "/global_configuration", {"data": {"pool_storage_capacity_reserve": 2_000_000_000}})

    assert task["status"] == "Error"
    assert "no room left" in task["message"]
    assert copies_in(system, source, target) == []
    assert record["id"] in [one["id"] for one in system.records(source)]


def test_an_immutable_copy_is_locked_in_its_pool_too(system: System, tmp_path: Path) -> None:
    """The pool has the lock as a file; the catalogue refuses to delete or to move, and takes a longer time only."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(100_000))
    pool, other = system.add_pool(tmp_path / "pool"), system.add_pool(tmp_path / "other")
    system.call("PATCH", "/global_configuration", {"data": {"immutable_archives": True}})
    try:
        system.done(system.backup(folder, pool=pool))
    finally:
        system.call("PATCH", "/global_configuration", {"data": {"immutable_archives": False}})
    (copy,) = system.records(folder)
    lock = tmp_path / "pool" / "manifests" / f"{copy['uuid'].replace('-', '')}.lock"
    eventually(lock.exists, 10)
    size = lock.stat().st_size

    assert copy["locked_until"] == copy["store_until"] is not None
    system.call("DELETE", f"/repository/{copy['id']}", status=409)
    system.call("POST", f"/repository/{copy['id']}/moving", status=409, pool=other)
    system.call("PATCH", f"/repository/{copy['id']}", {"data": {"store_until": "2090-01-01T00:00:00Z"}})
    eventually(lambda: lock.stat().st_size > size, 10)
    assert system.records(folder)[0]["locked_until"].startswith("2090-01-01")
    system.call("PATCH", f"/repository/{copy['id']}", {"data": {"store_until": "2080-01-01T00:00:00Z"}}, status=409)
    system.done(ask(system, copy["id"], "copying", other))


def test_new_copies_are_verified_where_it_is_configured_so(system: System, tmp_path: Path) -> None:
    """With contents they become Trusted; without, the message says that nothing was read."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(100_000))
    found = []
    for only_meta_data in ("no", "yes"):
        keys = {"verify_archive_after_creation": "yes", "dedup_verify_only_meta_data": only_meta_data}
        system.call("PATCH", "/global_configuration", {"data": keys})
        try:
            system.done(system.backup(folder))
            record = system.records(folder)[-1]["id"]
            query = f'record="{record}"'
            tasks = system.call("GET", "/task_queue", filter_data=query)["data"]["items"]
            (number,) = [task["id"] for task in tasks if task["task_type"] == "Verify"]
            message = system.done(number)["message"]
        finally:
            shipped = {"verify_archive_after_creation": "no", "dedup_verify_only_meta_data": "no"}
            system.call("PATCH", "/global_configuration", {"data": shipped})
        found.append((system.records(folder)[-1]["verification_status"], "not read" in message))

    assert found == [("Trusted", False), ("Not Verified", True)]


@pytest.fixture
def annex(system: System, tmp_path: Path) -> Iterator[str]:
    """A second media server, connected; its host name."""
    state = tmp_path / "annex"
    state.mkdir()
    name = f"annex-{secrets.token_hex(3)}"
    port = free_port()
    lines = (system.state / "etc" / "media.env").read_text().splitlines()
    own = {
        "HOSTNAME": name, "HWID": secrets.token_hex(32), "KEY_FILE": state / "key", "CERT_FILE": state / "cert",
        "DATA_PORT": port, "STATE_DIR": state / "state", "READY_FILE": state / "ready",
    }  # fmt: skip
    (state / "state").mkdir()
    kept = [line for line in lines if line.partition("=")[0] not in own]
    (state / "media.env").write_text("\n".join([*kept, *(f"{key}={value}" for key, value in own.items())]) + "\n")
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rubackup.roles.media", "--config", str(state / "media.env")],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        waiting = f'hostname="{name}"'
        eventually(
            lambda: system.call("GET", "/unauthorised_media_servers", filter_data=waiting)["data"]["items"], 30,
            (state / "log").read_text,
        )  # fmt: skip
        system.call("POST", "/media_servers/authorize", {"data": {"hostname": name}}, status=201)
        eventually(
            lambda: system.call("GET", "/media_servers", filter_data=waiting)["data"]["items"][0]["online"], 30,
            (state / "log").read_text,
        )  # fmt: skip
        yield name
    finally:
        process.terminate()
        process.wait(120)


def test_copies_go_to_another_media_server_and_back(system: System, annex: str, tmp_path: Path) -> None:
    """The target reads from the source over the network; restores come from where the copy is."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(20):
        (folder / f"file{number}").write_bytes(os.urandom(number * 100_000))
    system.done(system.backup(folder))
    (first,) = system.records(folder)
    there, back = system.add_pool(tmp_path / "there", media_server=annex), system.add_pool(tmp_path / "back")
    system.done(ask(system, first["id"], "moving", there))
    (moved,) = system.records(folder)
    assert (moved["media_server"], moved["pool"]) == (annex, there)
    assert system.gives_back(moved["id"], folder, tmp_path / "one")
    system.done(ask(system, moved["id"], "copying", back))

    copy = system.records(folder)[-1]
    assert (copy["pool"], copy["copied_from"]) == (back, moved["id"])
    assert system.gives_back(copy["id"], folder, tmp_path / "two")
