"""The whole system as `rubackup up` runs it: where it may lie, how it starts again, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from rubackup.client.compare import compare_trees
from rubackup.roles.up.binaries import VARIABLE, host_binaries
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.state import State, holder
from support.system import RUBACKUP, System, down, running, up

pytestmark = pytest.mark.system


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that only its owner can enter."""
    path = Path(tempfile.mkdtemp(prefix="rb-test-"))
    yield path
    path.chmod(0o700)
    shutil.rmtree(path)


def ended(pid: int, limit_seconds: float = 30) -> bool:
    """Whether a process ends within the time."""
    try:
        waiting = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([waiting], [], [], limit_seconds)[0])
    finally:
        os.close(waiting)


def round_trip(system: System, folder: Path) -> None:
    """Back a small folder up, restore it elsewhere and compare."""
    source, target = folder / "source", folder / "target"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(300_000))
    system.done(system.backup(source))
    system.done(system.restore(system.records(source)[-1]["id"], target))

    assert compare_trees(str(source), str(target / source.relative_to("/"))).differences == []


@pytest.mark.parametrize("name", ["x" * 150, "o'brien's state, ünïcode"])
def test_a_state_may_lie_anywhere(folder: Path, name: str):
    """Far down, with any name, in a folder that only root can enter."""
    state = folder / name[: max(1, 150 - len(str(folder)) - 1)]
    with running(state) as system:
        round_trip(system, folder)


def test_ready_tells_all_that_is_needed(folder: Path):
    """The keys of ready.json, and processes that live."""
    with running(folder / "state") as system:
        ready = json.loads((folder / "state/ready.json").read_text())

        assert set(ready) == {"api", "superuser", "password_file", "ca_file", "client", "processes"}
        assert set(ready["processes"]) == {"postgres", "api", "server", "media", "client"}
        assert all(not ended(pid, 0) for pid in ready["processes"].values())
        assert system.call("GET", "/pool_list")["data"]["items"][0]["pool_name"] == "Default"

    assert not (folder / "state/ready.json").exists()
    assert all(ended(pid, 0) for pid in ready["processes"].values())


def test_a_second_start_finds_everything_again(folder: Path):
    """Copies, certificates, password and port outlive a restart; nothing is authorised twice."""
    with running(folder / "state") as system:
        round_trip(system, folder)
        first = system.facts

    with running(folder / "state") as system:
        assert system.facts["api"] == first["api"]
        assert system.facts["client"] == first["client"]
        record = system.records(folder / "source")[-1]
        system.done(system.restore(record["id"], folder / "again"))
        assert system.call("GET", "/unauthorised_clients")["data"]["items"] == []


def test_nothing_outlives_a_supervisor_that_was_killed(folder: Path):
    """Kill -9 of the supervisor ends all five processes; the next start works and has the copies."""
    state = folder / "state"
    system = up(state)
    round_trip(system, folder)
    supervisor = holder(State(state))
    assert supervisor is not None
    pids = system.processes().values()

    os.kill(supervisor, signal.SIGKILL)

    assert all(ended(pid) for pid in (supervisor, *pids))
    with running(state) as again:
        system.http.close()
        again.done(again.restore(again.records(folder / "source")[-1]["id"], folder / "again"))


def test_an_interrupted_first_start_is_completed_by_the_next(folder: Path):
    """Kill -9 at any moment of the set-up: the next start finishes what is missing."""
    state = folder / "state"
    for seconds in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
        command = [*RUBACKUP, "up", "--state", str(state)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    with running(state) as system:
        round_trip(system, folder)


def test_ctrl_c_ends_a_foreground_system_in_order(folder: Path):
    """SIGINT ends everything with exit status 0."""
    state = folder / "state"
    process = subprocess.Popen([*RUBACKUP, "up", "--state", str(state)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().startswith("API ")
        pids = json.loads((state / "ready.json").read_text())["processes"].values()

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
    assert all(ended(pid, 0) for pid in pids)
    assert "database system is shut down" in (state / "log/postgres.log").read_text()


def test_down_may_be_repeated(folder: Path):
    """Stopping what does not run is no error."""
    up(folder / "state").http.close()

    down(folder / "state")
    down(folder / "state")


def test_a_second_start_is_told_of_the_first(folder: Path):
    """One supervisor a state; a detached start only shows what runs."""
    with running(folder / "state") as system:
        shown = subprocess.run(
            [*RUBACKUP, "up", "--state", str(folder / "state"), "--detach"], capture_output=True, text=True, check=True
        )
        refused = subprocess.run(
            [*RUBACKUP, "up", "--state", str(folder / "state")], capture_output=True, text=True, check=False
        )

        assert system.facts["api"] in shown.stdout
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "is already running" in refused.stderr


@pytest.mark.postgres
def test_another_postgresql_is_used_when_db_host_names_one(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """With DB_HOST no PostgreSQL of our own runs; Debian's serves the catalogue."""
    found = host_binaries()
    if not found:
        pytest.skip("no PostgreSQL is installed on the host")
    folder.chmod(0o711)
    monkeypatch.setenv(VARIABLE, str(found[0].folder))
    server = EmbeddedPostgres(folder / "debian", folder / "run")
    server.start()
    try:
        administrator = server.address()
        (folder / "password").write_text(administrator.password)
        environment = {
            "DB_HOST": administrator.host, "DB_PORT": str(administrator.port), "DB_ADMIN_USER": administrator.user,
            "DB_ADMIN_PASSWORD_FILE": str(folder / "password"),
        }  # fmt: skip
        with running(folder / "state", environment=environment) as system:
            assert set(system.processes()) == {"api", "server", "media", "client"}
            round_trip(system, folder)
        version = asyncio.run(_version(server))
        assert version.startswith(f"PostgreSQL {found[0].major}.")
        refused = subprocess.run(
            [*RUBACKUP, "up", "--state", str(folder / "state")], capture_output=True, text=True, check=False
        )
        assert "was made with DB_HOST; set it again" in refused.stderr
    finally:
        server.stop()


async def _version(server: EmbeddedPostgres) -> str:
    address = server.address("rubackup")
    connection = await asyncpg.connect(
        host=address.host, port=address.port, user=address.user, password=address.password, database=address.database
    )
    try:
        assert await connection.fetchval("SELECT count(*) FROM repository") == 1
        return str(await connection.fetchval("SELECT version()"))
    finally:
        await connection.close()


@pytest.mark.parametrize("again", [False, True])
def test_the_demo_matches(folder: Path, again: bool):
    """`demo --once` exits 0 when every byte, mode, owner, time, link and attribute came back; then incrementally."""
    source = folder / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    (source / "link").symlink_to("file")
    command = [*RUBACKUP, "demo", str(source), "--once", "--state", str(folder / "state")]
    for _ in range(2 if again else 1):
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr

    assert ("(incremental)" if again else "(full)") in result.stdout
    assert holder(State(folder / "state")) is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_that_the_demo_prints_work_as_they_stand(folder: Path):
    """Pasted into a shell, they log in, list the queue and queue a backup; Ctrl-C then stops the system."""
    source = folder / "it's a source"
    source.mkdir()
    command = [*RUBACKUP, "demo", str(source), "--state", str(folder / "state")]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    with demo.stdout:
        lines = list(iter(demo.stdout.readline, "The system runs until Ctrl-C.\n"))
        pasted = "".join(lines[lines.index("Paste into a shell:\n") + 1 :])

        answers = subprocess.run(
            ["/bin/sh", "-c", pasted.replace("\n\n", "\necho\n")], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        demo.send_signal(signal.SIGINT)

        assert demo.wait(60) == 0
    queue, created = (json.loads(line) for line in answers if line.startswith("{"))
    assert [task["status"] for task in queue["data"]["items"]] == ["Done"] * 3
    assert "TASK WAS ADDED TO QUEUE:4" in created["message"]
    assert holder(State(folder / "state")) is None


def test_the_command_needs_no_terminal_and_no_home(folder: Path):
    """Errors are one sentence on stderr, whatever the environment."""
    result = subprocess.run(
        [*RUBACKUP, "up", "--state", "/proc/nowhere"], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin"}, cwd=folder,
    )  # fmt: skip

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("rubackup: Cannot use /proc/nowhere as state: ")
    assert "Traceback" not in result.stderr
    assert sys.executable not in result.stderr
