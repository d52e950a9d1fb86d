"""The demo: it matches, is incremental the second time, and prints lines that work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from rubackup.roles.up.state import State, holder
from support.system import RUBACKUP

pytestmark = pytest.mark.system


def test_the_demo_matches_and_is_incremental_the_second_time(tmp_path: Path):
    """`demo --once` exits 0 when every byte, mode, owner, time, link and attribute came back."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    (source / "link").symlink_to("file")
    command = [*RUBACKUP, "demo", str(source), "--once", "--state", str(tmp_path / "state")]

    for kind in ("(full)", "(incremental)"):
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr
        assert kind in result.stdout
    assert holder(State(tmp_path / "state")) is None


def as_from_a_terminal() -> None:
    """A test run in the background may have been started with Ctrl-C ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_that_the_demo_prints_work_as_they_stand(tmp_path: Path):
    """Pasted into a shell, they log in, list the queue and queue a backup; Ctrl-C then stops the system."""
    source = tmp_path / "it's a source"
    source.mkdir()
    command = [*RUBACKUP, "demo", str(source), "--state", str(tmp_path / "state")]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=as_from_a_terminal)  # noqa: PLW1509
    assert demo.stdout is not None
    with demo.stdout:
        lines = []
        while (line := demo.stdout.readline()) != "The system runs until Ctrl-C.\n":
            assert line, lines
            lines.append(line)
        pasted = "".join(lines[lines.index("Paste into a shell:\n") + 1 :])

        answers = subprocess.run(
            ["/bin/sh", "-c", pasted.replace("\n\n", "\necho\n")], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        demo.send_signal(signal.SIGINT)

        assert demo.wait(120) == 0
    queue, created = (json.loads(line) for line in answers if line.startswith("{"))
    assert [task["status"] for task in queue["data"]["items"]] == ["Done"] * 3
    assert "TASK WAS ADDED TO QUEUE:4" in created["message"]
    assert holder(State(tmp_path / "state")) is None
