"""Runs an administrator's program on this host: scripts of rules and of snapshots.

A program runs with the rights of the client's process, so only one that nobody but root and that
process' user could have written is run: the file, and every folder on the way to it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rubackup.domain.errors import Refused

OUTPUT_BYTES = 64 << 10
"""What is kept of a program's output; the rest is read and counted."""
TIMED_OUT = 124
"""Exit code of a program that did not end in time, as of timeout(1)."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Result:
    """How a program ended: its exit code (128 and the signal's number when one ended it) and what it wrote."""

    exit_code: int
    output: str


def run_program(path: str, arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> Result:
    """Run a program without a shell and wait for its end; after the time it is killed with its children.

    It gets `environment`, a fixed PATH and LANG, and nothing of ours; no input; `/` as its folder.
    Output and errors come back together, cut to OUTPUT_BYTES. Refused when the file is not there
    or others than root and the own user could have written it.
    """
    program = checked(path)
    try:
        child = subprocess.Popen(
            [program, *arguments], env={"PATH": _PATH, "LANG": "C.UTF-8", **environment}, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise Refused(f"The program {path} cannot be started: {error}.") from error
    assert child.stdout is not None
    with child.stdout:
        output, in_time = _wait(child, child.stdout.fileno(), time.monotonic() + timeout_seconds)
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if not in_time:
        return Result(TIMED_OUT, f"{output}\nIt did not end in {timeout_seconds:g} s and was killed.".lstrip())
    return Result(code, output)


def checked(path: str) -> str:
    """The program with every link followed; Refused unless it may be run."""
    if not path.startswith("/") or "\0" in path:
        raise Refused(f"The program {path!r} is no absolute path.")
    try:
        real = Path(path).resolve(strict=True)
        found = real.stat()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise Refused(f"The program {path} cannot be run: {reason}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"The program {path} is no file.")
    _check_writers(path, real, found)
    if not found.st_mode & 0o111 or not os.access(real, os.X_OK):
        raise Refused(f"The program {path} is not executable.")
    for folder in real.parents:
        _check_writers(path, folder, folder.stat(), sticky=folder != real.parent)
    return str(real)


def _check_writers(path: str, place: Path, found: os.stat_result, *, sticky: bool = False) -> None:
    """Refused when others could change `place`; in a sticky folder they cannot replace what is not theirs."""
    if found.st_uid not in {0, os.geteuid()}:
        raise Refused(f"The program {path} is not run: {place} belongs to neither root nor the client's user.")
    if found.st_mode & _OTHERS_WRITE and not (sticky and found.st_mode & stat.S_ISVTX):
        raise Refused(f"The program {path} is not run: others may write {place}.")


def _wait(child: subprocess.Popen[bytes], pipe: int, deadline: float) -> tuple[str, bool]:
    """The output up to the end of the child, and whether that came in time.

    What the child started and left behind may hold the pipe open: its end is not waited for.
    """
    output = _Output()
    process = os.pidfd_open(child.pid)
    try:
        os.set_blocking(pipe, False)
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(process, select.POLLIN)
        ended = False
        while not ended and (left := deadline - time.monotonic()) > 0:
            ready = {fd for fd, _ in poll.poll(left * 1000)}
            ended = process in ready
            if pipe in ready and not output.read(pipe):
                poll.unregister(pipe)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        output.read(pipe)
        return output.text(), ended
    finally:
        os.close(process)


class _Output:
    """The first OUTPUT_BYTES of what comes."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._dropped = 0

    def read(self, pipe: int) -> bool:
        """Read what is there, but not for ever; whether more may come."""
        for _ in range(16):
            try:
                data = os.read(pipe, OUTPUT_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            room = OUTPUT_BYTES - len(self._kept)
            self._kept += data[:room]
            self._dropped += max(0, len(data) - room)
        return True

    def text(self) -> str:
        """As text, with a note of what was dropped."""
        text = self._kept.decode("utf-8", "backslashreplace").rstrip("\n")
        return f"{text}\n({self._dropped} more bytes are left out.)" if self._dropped else text
