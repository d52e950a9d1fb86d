"""A program on a terminal of its own: what it shows, what is typed, and Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from support.system import patiently

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>]|\r|\x00")
"""What moves the cursor or colours, of which a test wants to know nothing."""


class Terminal:
    """A running program. It has the terminal as its controlling one, so that Ctrl-C reaches it."""

    def __init__(
        self, arguments: Sequence[str | Path], *, env: Mapping[str, str], columns: int = 120, cwd: Path | None = None
    ) -> None:
        self.shown = ""
        """All that was shown, without control sequences."""
        self._seen = 0
        self._raw = b""
        self._fd, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        given = {"TERM": "xterm", "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *arguments], stdin=end, stdout=end, stderr=end, env=given, cwd=cwd
        )
        os.close(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._fd)

    def type(self, text: str) -> None:
        """Keys: the tabulator completes, 0x03 is Ctrl-C."""
        os.write(self._fd, text.encode())

    def expect(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """What matches, of what was shown since the last match; fails when it does not come."""
        until = time.monotonic() + patiently(seconds)
        while True:
            found = re.compile(pattern).search(self.shown, self._seen)
            if found:
                self._seen = found.end()
                return found
            assert self._read(until - time.monotonic()), f"{pattern!r} did not come after:\n{self.shown[self._seen :]}"

    def status(self, seconds: float = 20) -> int:
        """The exit status; what is still shown until then is read."""
        until = time.monotonic() + patiently(seconds)
        while self._read(until - time.monotonic()):
            pass
        return self._process.wait(max(until - time.monotonic(), 10))

    def interrupt(self, seconds: float = 20) -> int:
        """Ctrl-C until the program ends; its exit status. One that comes just before a read is seen by the next one only."""
        until = time.monotonic() + patiently(seconds)
        while self._process.poll() is None and time.monotonic() < until:
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)  # a second one while it ends would kill it
        return self.status()

    @property
    def raw(self) -> str:
        """All that was shown, as it came."""
        return self._raw.decode(errors="ignore")

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], max(seconds, 0))[0]:
            return False
        try:
            piece = os.read(self._fd, 65536)
        except OSError:  # the program has ended
            return False
        self._raw += piece
        self.shown = CONTROL.sub("", self._raw.decode(errors="ignore"))
        return bool(piece)
