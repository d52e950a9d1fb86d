"""Which process runs: told by a lock, so that a file that was left behind means nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rubackup.domain.errors import Conflict
from rubackup.roles.installed import pidfile

HOLD = """
import pathlib, sys, time
from rubackup.roles.installed import pidfile
with pidfile.held(pathlib.Path(sys.argv[1]), "program"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_process_holds_its_file_until_it_is_stopped(tmp_path: Path) -> None:
    """Others see its number, cannot start beside it, and can stop it."""
    path = tmp_path / "run/program.pid"
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    assert pidfile.holder(path) == child.pid
    with (
        pytest.raises(Conflict, match=f"program is already running .process {child.pid}."),
        pidfile.held(path, "program"),
    ):
        pass

    assert pidfile.stop(path, "program")

    child.stdout.close()
    assert child.wait(60) != 0
    assert pidfile.holder(path) is None
    assert not pidfile.stop(path, "program")


def test_a_file_that_a_crash_left_stops_nobody(tmp_path: Path) -> None:
    """The number in it may be somebody else's by now: nothing is signalled, and a new process takes the file over."""
    path = tmp_path / "program.pid"
    path.write_text(f"{os.getpid()}\n")

    assert pidfile.holder(path) is None
    assert not pidfile.stop(path, "program")
    with pidfile.held(path, "program"):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/rubackup_api.service\n", "rubackup_api.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("1:name=systemd:/system.slice/rubackup_api.service\n", "rubackup_api.service"),
    ],
)
def test_the_service_of_a_process_is_known(tmp_path: Path, cgroup: str, unit: str) -> None:
    """So that `--stop` asks systemd, which would start it again."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(cgroup)

    assert pidfile.unit_of(7, tmp_path) == unit
