"""Processes whose event loops stand still: noticed, told of with what they did, ended; and those that only look so, left alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles import systemd
from rubackup.roles.liveness import Silence
from rubackup.roles.process import worker_timeout
from rubackup.roles.settings import ConfigurationFault, Settings
from support.api_process import Authority, login, process
from support.system import eventually

TIMEOUT = 4
STUCK = """
import logging, sys, time
from rubackup.api.board import Board
from rubackup.roles.liveness import beating
from rubackup.roles.process import until_signal
from rubackup.roles.workers import Keeper

logging.basicConfig(stream=sys.stderr)
board = Board([], 2)


def stands_still_here():
    time.sleep(60)


def live(place):
    slot = board.slot(place)

    async def work():
        async with beating(slot.beat):
            slot.ready()
            for _ in range(600 if place else 1):
                await asyncio.sleep(0.1)
            stands_still_here()

    import asyncio
    until_signal("test", work)


sys.exit(Keeper(2, board, live, idle=lambda: None, silent_seconds=4).run(lambda: None))
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd would listen to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


def workers_of(keeper: subprocess.Popen[bytes]) -> set[int]:
    """The processes of the workers."""
    return set(map(int, Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()))


def state(pid: int) -> str:
    """The kernel's letter for the state of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def signal_all(keeper: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    """To the keeper first, as it could otherwise see its workers stand still."""
    for pid in (keeper.pid, *workers_of(keeper)):
        os.kill(pid, sign)


def test_a_worker_that_stands_still_is_replaced(authority: Authority, superuser: DatabaseAddress) -> None:
    """And only that: all stopped together for longer than the limit, as on a machine that sleeps, all stay."""
    with process(authority.folder, superuser, WORKERS="2", WORKER_TIMEOUT=str(TIMEOUT)) as (keeper, port):
        before = workers_of(keeper)
        signal_all(keeper, signal.SIGSTOP)
        time.sleep(TIMEOUT + 1)
        signal_all(keeper, signal.SIGCONT)
        time.sleep(TIMEOUT / 2)
        assert login(port, superuser) == 200
        assert workers_of(keeper) == before

        victim = min(before)
        os.kill(victim, signal.SIGSTOP)
        eventually(lambda: victim not in workers_of(keeper) and len(workers_of(keeper)) == 2, 60)
        assert [login(port, superuser) for _ in range(4)] == [200] * 4

    text = (authority.folder / "log").read_text()
    assert re.search(
        rf"worker \d \(process {victim}\) stands still for \d+ s and is ended; it was stopped by a signal", text
    )
    assert text.count("stands still") == text.count("it is started again") == 1


def test_it_is_told_what_a_worker_was_doing() -> None:
    """The stack names the function in which it stands; the worker beside it lives on, and the keeper ends in order."""
    with subprocess.Popen([sys.executable, "-c", STUCK], stderr=subprocess.PIPE, text=True) as keeper:
        assert keeper.stderr is not None
        try:
            lines = []
            for line in keeper.stderr:
                lines.append(line)
                if "it is started again" in line:
                    break
            keeper.terminate()
            assert keeper.wait(60) == 0
        finally:
            keeper.kill()
    text = "".join(lines)
    assert "worker 0 (process" in text
    assert "stands_still_here" in text
    assert "worker 1" not in text


def test_silence_counts_while_it_was_looked_at() -> None:
    """A clock that leaps an hour between two looks makes nobody silent; a beat ends what was counted."""
    silence = Silence(2.0, now=0.0)

    assert [silence.look(1, now) for now in (1, 2, 3602, 3603)] == [0, 1, 3, 4]
    assert silence.look(2, 3604) == 0


def test_systemd_hears_as_long_as_the_loop_moves(
    authority: Authority, superuser: DatabaseAddress, told: socket.socket
) -> None:
    """One process alone: WATCHDOG=1 within the time; ended by SIGABRT, as systemd does it, it writes where it was."""
    watch = {"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "800000"}
    with process(authority.folder, superuser, environment=watch) as (running, _):
        heard = {told.recv(100) for _ in range(8)}
        assert heard == {b"READY=1", b"WATCHDOG=1"}
        running.send_signal(signal.SIGABRT)
        assert running.wait(60) == -signal.SIGABRT
    text = (authority.folder / "log").read_text()
    assert "Fatal Python error: Aborted" in text
    assert "until_signal" in text


def test_only_the_keeper_speaks_to_systemd(
    authority: Authority, superuser: DatabaseAddress, told: socket.socket
) -> None:
    """Of several processes that which systemd has started; while it is stopped nothing is told, whatever workers do."""
    watch = {"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "800000"}
    with process(authority.folder, superuser, environment=watch, WORKERS="2", WORKER_TIMEOUT="2") as (keeper, _):
        assert [told.recv(100) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        keeper.send_signal(signal.SIGSTOP)
        eventually(lambda: state(keeper.pid) == "T", 60)
        told.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                told.recv(100)  # what was sent before
        told.settimeout(0.9)  # more than twice as long as between two words of before
        with pytest.raises(TimeoutError):
            told.recv(100)


def test_who_is_not_watched_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without WatchdogSec, or when another process is the one that systemd watches."""
    assert systemd.wait_seconds() == 0
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert systemd.wait_seconds() == 3
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert systemd.wait_seconds() == 0


@pytest.mark.parametrize("wrong", ["1", "3601", "never"])
def test_a_wrong_timeout_is_told(wrong: str) -> None:
    """With what is allowed."""
    with pytest.raises(
        ConfigurationFault, match=f"WORKER_TIMEOUT must be a whole number from 2 to 3600, not '{wrong}'"
    ):
        worker_timeout(Settings({"WORKER_TIMEOUT": wrong}, "test.env"))
