"""How `rubackup up` begins, is interrupted and ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from support.system import RUBACKUP, System, down, running

pytestmark = pytest.mark.system


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that only its owner can enter."""
    path = Path(tempfile.mkdtemp(prefix="rb-test-"))
    yield path
    path.chmod(0o700)
    shutil.rmtree(path)


def ended(pid: int, limit_seconds: float = 300) -> bool:
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


def test_a_state_may_have_any_name(folder: Path):
    """Quotes, spaces and letters of any alphabet."""
    state = folder / "o'brien's state, ünïcode"
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

        assert process.wait(120) == 0
    assert all(ended(pid, 0) for pid in pids)
    assert "database system is shut down" in (state / "log/postgres.log").read_text()


def test_a_second_start_is_told_of_the_first(folder: Path):
    """One supervisor a state; a detached start only shows what runs. Stopping may be repeated."""
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
    down(folder / "state")


def test_the_command_needs_no_terminal_and_no_home(folder: Path):
    """Errors are one sentence on stderr, whatever the environment."""
    result = subprocess.run(
        [*RUBACKUP, "up", "--state", "/proc/nowhere"], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin"}, cwd=folder,
    )  # fmt: skip

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("rubackup: The state /proc/nowhere is to hold copies, and cannot: ")
    assert "Traceback" not in result.stderr
