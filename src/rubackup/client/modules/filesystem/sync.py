"""Makes what a restore wrote durable: one syncfs for each file system, no fsync for each file."""

from __future__ import annotations

import ctypes
import os
import threading


class Syncer:
    """Keeps one descriptor of each file system that was written to. Safe for threads."""

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}
        self._lock = threading.Lock()

    def saw(self, fd: int) -> None:
        """A folder that is written into."""
        device = os.fstat(fd).st_dev
        if device not in self._fds:
            with self._lock:
                if device not in self._fds:
                    self._fds[device] = os.dup(fd)

    def sync(self) -> list[str]:
        """Wait until all is on disk; sentences on what failed (a disk that lost what it had accepted)."""
        libc = ctypes.CDLL(None, use_errno=True)
        return [
            f"what was restored is not safely on disk: {os.strerror(ctypes.get_errno()).lower()}"
            for fd in self._fds.values()
            if libc.syncfs(fd) != 0
        ]

    def close(self) -> None:
        """Close the descriptors."""
        while self._fds:
            os.close(self._fds.popitem()[1])
