"""A process that was stopped while it waited goes on as if nothing had come; a signal that did come is never lost."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from support.system import eventually

PROGRAM = """
import select, signal, sys
from rubackup.roles.signals import next_signal

WANTED = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
print("waits", flush=True)
while True:
    print(next_signal(WANTED, 0.5), flush=True)
    if select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.readline():
        break
"""


def start() -> subprocess.Popen[str]:
    """It waits again and again, until its input ends."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, text=True)


def has_more(file: IO[str]) -> bool:
    """Whether something was written that is not read yet."""
    return bool(select.select([file], [], [], 0)[0])


def state(pid: int) -> str:
    """The kernel's letter for its state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def stopped(running: subprocess.Popen[str], sign: signal.Signals | None, seconds: float) -> None:
    """Stop it for longer than it waits; a signal may come meanwhile."""
    os.kill(running.pid, signal.SIGSTOP)
    eventually(lambda: state(running.pid) == "T", 60)
    time.sleep(seconds)
    if sign is not None:
        os.kill(running.pid, sign)


@pytest.mark.parametrize("sign", [None, signal.SIGTERM, signal.SIGHUP])
def test_a_pause_is_no_signal(sign: signal.Signals | None) -> None:
    """Stopped past the end of its wait: nothing came, unless something did; that is told at the latest by the next wait."""
    with start() as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.readline() == "waits\n"
        stopped(running, sign, 0.7)
        before = os.read(running.stdout.fileno(), 4096).decode() if has_more(running.stdout) else ""
        os.kill(running.pid, signal.SIGCONT)
        told = [running.stdout.readline().strip() for _ in range(2)]
        running.stdin.close()
        told += running.stdout.read().split()
    assert set(before.split()) <= {"None"}
    assert [one for one in told if one != "None"] == ([] if sign is None else [str(int(sign))])
    assert sign is None or str(int(sign)) in told[:2]


def test_a_wait_without_a_signal_ends() -> None:
    """After its time, not before."""
    began = time.monotonic()
    with start() as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in range(3)] == ["waits\n", "None\n", "None\n"]
        assert time.monotonic() - began >= 1
        running.stdin.close()
