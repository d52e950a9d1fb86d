"""Whether a child of the supervisor serves, and still moves.

It tells so as systemd wants to be told (`roles/systemd.py`), so a role does the same wherever it runs. Here the supervisor
listens, on a socket of the kernel's naming that no folder has to hold; what others than the child send there is not heard.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from time import monotonic

from rubackup.roles.liveness import Silence

LOOK_SECONDS = 5.0
"""A look counts for no more: a supervisor that was stopped, or a machine that slept, is no child's silence."""
_MOST_BYTES = 4096
_CREDENTIALS = struct.Struct("=iII")
"""Process, user and group of who sent (unix(7), SCM_CREDENTIALS)."""


class Ear:
    """Hears one child. Closed by `close`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(b"")
        self._name: bytes = self._socket.getsockname()
        self._beats = 0
        self._serves = False
        self._silence: Silence | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the child needs to speak."""
        return {"NOTIFY_SOCKET": f"@{self._name[1:].decode()}", "WATCHDOG_USEC": str(int(self._seconds * 1e6))}

    def serves(self, pid: int) -> bool:
        """Whether the child told that it serves."""
        self._drain(pid)
        return self._serves

    def hears(self, pid: int) -> bool:
        """Whether a child that serves has moved lately; the first call begins to count."""
        self._drain(pid)
        if self._silence is None:
            self._silence = Silence(LOOK_SECONDS, self._clock())
        return self._silence.look(self._beats, self._clock()) < self._seconds

    def _drain(self, pid: int) -> None:
        while True:
            try:
                text, told, _, _ = self._socket.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return
            senders = [
                _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
                for level, kind, data in told
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
            ]
            if senders == [pid]:
                self._serves = self._serves or b"READY=1" in text.split(b"\n")
                self._beats += b"WATCHDOG=1" in text.split(b"\n")

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
