"""What systemd is told by a process that it has started: that it serves, and that it still moves (sd_notify, WATCHDOG=1).

The supervisor of `rubackup up` listens in the same way (`up/hearing.py`).
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator

from rubackup.roles.liveness import beating

log = logging.getLogger(__name__)

BEATS = 4
"""So often systemd is told within the time that it waits."""
SEND_SECONDS = 5.0
"""So long that word may take which is said once; a beat never waits for who does not listen."""


def serves() -> None:
    """This process serves."""
    _notify("READY=1", SEND_SECONDS)


def moves() -> None:
    """This process still moves, if systemd wants to know."""
    if not wait_seconds():
        return
    try:
        _notify("WATCHDOG=1", 0)
    except OSError as error:  # what systemd does about a process that it does not hear is its matter
        log.warning("systemd could not be told that this process moves: %s", error)


def wait_seconds() -> float:
    """After so many seconds without a word systemd ends this process (WatchdogSec of its unit); 0: never."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(text) / 1e6


def leave_to_parent() -> None:
    """In a fork: systemd watches the parent, which alone speaks to it."""
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID", "NOTIFY_SOCKET"):
        os.environ.pop(name, None)


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Meanwhile tell systemd that this loop comes round, if it wants to know."""
    if not (seconds := wait_seconds()):
        yield
        return
    async with beating(moves, seconds / BEATS):
        yield


def tell_stacks() -> None:
    """Write where each thread is to standard error, the journal, when this process is ended because it stands still.

    Who watches does so by SIGABRT, which a loop that is stuck would never handle. No core is left: it would hold secrets.
    """
    if wait_seconds():
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        faulthandler.enable(2)


def _notify(state: str, limit_seconds: float) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.settimeout(limit_seconds)
        told.connect("\0" + address[1:] if address.startswith("@") else address)
        told.sendall(state.encode())
