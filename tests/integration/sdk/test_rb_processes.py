"""`rb` as a process: several at once with one session, a terminal that is narrow or none, Ctrl-C, a reader that goes away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.sdk import Client, FileStore
from support.small_api import SmallApi, small_api
from support.terminal import Terminal

RB = [sys.executable, "-m", "rubackup.cli.rb"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SmallApi]:
    """A running API; `tmp_path` is the home of somebody who has logged in."""
    with small_api(tmp_path) as server:
        store = FileStore(tmp_path / ".config" / "rubackup" / "default" / "session.json")
        with Client(server.url, ca_file=tmp_path / "root", store=store) as client:
            client.login("rubackup", "right")
        yield server


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a process."""
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}


def start(home: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """A running `rb`."""
    return subprocess.Popen(
        [*RB, *arguments], env=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_of_several_at_once_one_renews_the_session(api: SmallApi, home: dict[str, str]):
    """The others take what it got: nobody is thrown out, and the API is asked once."""
    api.issued += 1  # the access token has run out

    running = [start(home, "call", "GET", "/rows") for _ in range(4)]
    said = [process.communicate(timeout=120)[1] for process in running]

    assert [process.returncode for process in running] == [0] * 4, said
    assert api.calls.count("/api/v1/auth/refresh") == 1


def test_a_refusal_tells_all_that_the_api_said(api: SmallApi, home: dict[str, str]):
    """How long to wait, too; somebody who waits at a terminal is not held up for an hour."""
    api.busy = [(503, "3600")] * 2

    plain = start(home, "call", "GET", "/rows").communicate(timeout=120)[1]
    process = start(home, "call", "GET", "/rows", "--json")
    out, said = process.communicate(timeout=120)

    assert plain == "rb: Busy.\n  Try again in 3600 seconds.\n"
    assert (process.returncode, out) == (3, "")
    assert '"status": 503' in said
    assert '"retry_after": 3600' in said


@pytest.mark.parametrize(("columns", "color"), [(120, True), (120, False), (60, False)])
def test_a_bar_tells_how_far_how_fast_and_how_long(api: SmallApi, home: dict[str, str], columns: int, color: bool):
    """On a narrow terminal, too. Ctrl-C leaves the task at work and says how to wait for it again."""
    with Terminal(
        [*RB, "task_queue", "wait", "7"], env=home | ({} if color else {"NO_COLOR": "1"}), columns=columns
    ) as terminal:
        terminal.expect("Backup 7 Transmission")
        terminal.expect(r"(?s)40\s%.*400\.0\s+MiB\s+of\s+1000\.0\s+MiB,\s+8\.0\s+MiB/s,\s+1\s+min\s+15\s+s\s+left")
        terminal.type("\x03")
        terminal.expect("The task goes on: rb task_queue wait 7")
        assert terminal.status() == 130

    assert "…" not in terminal.shown
    assert bool(re.search(r"\x1b\[[39]", terminal.raw)) == color


def test_without_a_terminal_there_are_plain_lines(api: SmallApi, home: dict[str, str]):
    """What a log or cron's mail can take."""
    process = start(home, "task_queue", "wait", "7")
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)

    assert first == "task 7: Transmission\n"
    assert said == "\nThe task goes on: rb task_queue wait 7\n"
    assert process.returncode == 130


def test_a_reader_that_goes_away_is_no_error(api: SmallApi, home: dict[str, str]):
    """The exit status is that of a program that SIGPIPE has ended, and nothing is said."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*RB, "--help"], env=home, stdout=writer, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_full_disk_is_told(api: SmallApi, home: dict[str, str]):
    """Half an answer is not taken for a whole one."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*RB, "version"], env=home, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )

    assert done.returncode == 2
    assert done.stderr == "rb: No space left on device.\n"
