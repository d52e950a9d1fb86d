"""Runs a program of this host that an administrator named: without a shell, for a limited time, with bounded output.

Somebody who may name a program in a task must not thereby run what another user has put there:
the program and every folder on the way to it belong to root or to the user that the client runs
as, and nobody else can write to them. That holds for the way as it is named and for the way that
each link on it leads: links are resolved one by one, and what was checked is what is run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rubackup.client import transient
from rubackup.domain.errors import Invalid

OUTPUT_BYTES = 64 << 10
"""Output that is kept; what comes after it is read and dropped."""
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL for a program whose time is over."""
POLL_SECONDS = 0.1
MOST_LINKS = 40
"""As the kernel's own limit (path_resolution(7))."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/",
}  # fmt: skip
"""What a program sees besides the variables that are given; nothing of the client's own environment."""


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    exit_code: int
    """0 is success; -N: signal N ended it, also when its time was over, which the output's last line says."""
    output: str
    """What it wrote to both outputs, without blanks at the end."""


def run_program(
    path: str,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 600.0,
    *,
    check: Callable[[], None] = lambda: None,
) -> Result:
    """Run the program and wait for it; when its time is over it is ended with all that it started.

    Invalid, with the reason, when it cannot be run or must not be. `check` is called several times a second
    and may raise, which ends the program.
    """
    program = trusted(path)
    seen = {**ENVIRONMENT, **(environment or {})}
    unit = transient.Unit(program) if transient.in_units() else None
    try:
        process = subprocess.Popen(
            unit.command(arguments, seen, timeout_seconds, GRACE_SECONDS) if unit else [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=seen,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be run: {getattr(error, 'strerror', None) or error}.") from error
    assert process.stdout is not None
    output = _Output(process.stdout.fileno())
    try:
        in_time = _wait(process, output, time.monotonic() + timeout_seconds, check)
        if not in_time:
            _end(process, output, unit)
        output.drain()
    except BaseException:
        _end(process, output, unit)
        raise
    finally:
        output.close()
        process.stdout.close()
    text = output.text()
    code = -signal.SIGKILL if process.returncode is None else process.returncode
    if unit:
        code = unit.exit_code(code, text)
    if not in_time:
        text = f"{text}\nIt was ended after {timeout_seconds:g} s.".lstrip()
    return Result(code, text)


def trusted(path: str) -> str:
    """The program's real path; Invalid unless it is absolute, executable, and safe from other users."""
    if not path.startswith("/") or "\0" in path:
        raise Invalid(f"{path!r} must be the absolute path of a program.")
    try:
        real, st = _resolved(path)
    except OSError as error:
        raise Invalid(f"{path} cannot be run: {error.strerror or error}.") from error
    if not stat.S_ISREG(st.st_mode):
        raise Invalid(f"{path} cannot be run: it is not a file.")
    if not os.access(real, os.X_OK):
        raise Invalid(f"{path} cannot be run: it is not executable.")
    _require_safe(real, st, path)
    return str(real)


def _resolved(path: str) -> tuple[Path, os.stat_result]:
    """Where the path leads; Invalid when a folder or a link on the way is not safe, OSError when it leads nowhere."""
    todo = _parts(path)
    at, st = Path("/"), Path("/").stat()
    links = 0
    while todo:
        _require_safe(at, st, path)
        name = todo.pop()
        step = at.parent if name == ".." and stat.S_ISDIR(st.st_mode) else at / name
        st = step.lstat()
        if not stat.S_ISLNK(st.st_mode):
            at = step
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        _require_owner(step, st, path)
        target = str(step.readlink())
        todo += _parts(target)
        at = Path("/") if target.startswith("/") else at
        st = at.stat()
    return at, st


def _parts(path: str) -> list[str]:
    """The names of a path, the last one first."""
    return [part for part in path.split("/") if part not in {"", "."}][::-1]


def _require_safe(part: Path, st: os.stat_result, path: str) -> None:
    _require_owner(part, st, path)
    sticky = stat.S_ISDIR(st.st_mode) and st.st_mode & stat.S_ISVTX
    if st.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        raise Invalid(f"{path} is not run: others may write to {part}.")


def _require_owner(part: Path, st: os.stat_result, path: str) -> None:
    if st.st_uid not in {0, os.geteuid()}:
        raise Invalid(f"{path} is not run: {part} belongs to another user than root and the client's.")


class _Output:
    """Reads what a program writes, and keeps the beginning."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._dropped = 0
        self._open = True
        os.set_blocking(descriptor, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, selectors.EVENT_READ)

    def wait(self, seconds: float) -> None:
        """Read what comes, for up to so long."""
        if not self._open:
            time.sleep(min(seconds, POLL_SECONDS))
        elif self._selector.select(seconds):
            self.drain(1)

    def drain(self, reads: int = 1000) -> None:
        """Read what is there; a child that lives on may hold the other end, so the end is not waited for."""
        with contextlib.suppress(BlockingIOError):
            while self._open and reads:
                data = os.read(self._descriptor, 1 << 16)
                self._open = bool(data)
                room = OUTPUT_BYTES - len(self._kept)
                self._kept += data[:room]
                self._dropped += max(len(data) - room, 0)
                reads -= 1

    def close(self) -> None:
        """Read no more."""
        self._selector.close()

    def text(self) -> str:
        """What was kept, and how much was not."""
        text = self._kept.decode("utf-8", "backslashreplace").replace("\0", "\\x00").rstrip()
        return f"{text}\n{self._dropped} more bytes of output are left out." if self._dropped else text


def _wait(process: subprocess.Popen[bytes], output: _Output, deadline: float, check: Callable[[], None]) -> bool:
    """Whether the program ended before the deadline."""
    while process.poll() is None:
        check()
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        output.wait(min(left, POLL_SECONDS))
    return True


def _end(process: subprocess.Popen[bytes], output: _Output, unit: transient.Unit | None) -> None:
    """End the program and everything in its unit or session: politely, then not."""
    if unit:
        unit.end()
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE_SECONDS
        _signal(process.pid, number)
        while time.monotonic() < deadline and (process.poll() is None or _session(process.pid)):
            output.wait(POLL_SECONDS)
            if number == signal.SIGKILL:
                _signal(process.pid, number)  # what was started meanwhile


def _signal(session: int, number: int) -> None:
    for one in _session(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)


def _session(leader: int) -> list[int]:
    """The living processes of a session, whatever process groups a shell has made of them."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(folder.name)) == leader and not _is_zombie(folder):
                    found.append(int(folder.name))
    return found


def _is_zombie(process: Path) -> bool:
    """Whether it has ended and its parent has not asked how (proc(5): the state follows the name in brackets)."""
    return (process / "stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
