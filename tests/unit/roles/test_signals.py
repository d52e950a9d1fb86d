"""A process that was stopped while it waited goes on as if nothing had come; a signal that did come is never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import signal, sys
from rubackup.roles.signals import next_signal

WANTED = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
print("waits", flush=True)
for _ in range(int(sys.argv[1])):
    print(next_signal(WANTED, 0.5), flush=True)
"""


def state(pid: int) -> str:
    """The kernel's letter for its state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def stopped(running: subprocess.Popen[str], sign: signal.Signals | None, seconds: float) -> None:
    """Stop it for longer than it waits; a signal may come meanwhile."""
    os.kill(running.pid, signal.SIGSTOP)
    while state(running.pid) != "T":
        time.sleep(0.01)
    time.sleep(seconds)
    if sign is not None:
        os.kill(running.pid, sign)
    os.kill(running.pid, signal.SIGCONT)


@pytest.mark.parametrize("sign", [None, signal.SIGTERM, signal.SIGHUP])
def test_a_pause_is_no_signal(sign: signal.Signals | None) -> None:
    """Stopped past the end of its wait: nothing came, unless something did; that is told at the latest by the next wait."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "2"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waits\n"
        stopped(running, sign, 0.7)
        told = running.stdout.read().split()
    assert [one for one in told if one != "None"] == ([] if sign is None else [str(int(sign))])


def test_a_wait_without_a_signal_ends() -> None:
    """After its time, not before."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM, "2"], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout == "waits\nNone\nNone\n"
    assert time.monotonic() - began >= 1
