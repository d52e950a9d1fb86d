"""Which process of a program runs: a file with its number, locked by it for as long as it lives.

The lock tells, not the number: a file that a crash left behind means nothing, and a number that
the kernel gave to somebody else is never signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from rubackup.domain.errors import Conflict, Unavailable
from rubackup.roles.settings import ConfigurationFault

_held: set[int] = set()
STOP_SECONDS = 30.0
"""More than a role takes to end its calls and close its pools."""


@contextlib.contextmanager
def held(path: Path, program: str) -> Iterator[None]:
    """Be the program's process; Conflict when another is."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise ConfigurationFault(f"The file {path} cannot be written: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"{program} is already running (process {holder(path)}).") from None
        os.ftruncate(descriptor, 0)
        os.fchmod(descriptor, 0o644)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _held.add(descriptor)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """A fork would hold the lock as long as it lives, though it is not the program's process."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def holder(path: Path) -> int | None:
    """The number of the program's process; None when none runs."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationFault(f"The file {path} cannot be read: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode().strip()
            return int(text) if text.isdigit() else None
        return None
    finally:
        os.close(descriptor)


def stop(path: Path, program: str, seconds: float = STOP_SECONDS) -> bool:
    """End the program's process in order and wait; whether there was one. Unavailable when it does not end."""
    pid = holder(path)
    if pid is None:
        return False
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if holder(path) != pid:
            return True
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], seconds)[0]:
            raise Unavailable(f"{program} (process {pid}) does not end within {seconds:g} s.")
    except PermissionError as error:
        raise Unavailable(f"{program} (process {pid}) belongs to another user; ask as root.") from error
    finally:
        os.close(process)
    return True


def unit_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The systemd service that a process runs in; empty when in none."""
    with contextlib.suppress(OSError):
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            name = line.rpartition("/")[2]
            if name.endswith(".service") and "/system.slice/" in line:
                return name
    return ""
