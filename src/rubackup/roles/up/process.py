"""Starting a child that never outlives its parent, under an identity of choice.

The kernel is asked to signal the child when the parent dies (PR_SET_PDEATHSIG), after the
change of identity, as changing it clears the request. It watches the thread that started
the child: start children from the main thread only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import IO

NOBODY = 65534
"""uid and gid of `nobody`; PostgreSQL looks its user up, so it needs an entry in passwd."""

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_libc = ctypes.CDLL(None, use_errno=True)


class Identity(Enum):
    """Under whose name a child runs."""

    OWN = "own"
    """The caller's."""
    NOBODY = "nobody"
    """User `nobody`; only root can."""
    NAMESPACE = "namespace"
    """The caller's, but seen as `nobody` inside a user namespace of its own."""
    GIVEN = "given"
    """The user and group that are named beside it; only root can."""


@dataclass(frozen=True)
class Program:
    """What to run. `death_signal` is sent when the parent dies."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    identity: Identity = Identity.OWN
    death_signal: signal.Signals = signal.SIGKILL
    folder: str = "/"
    kept_fds: tuple[int, ...] = ()
    user: tuple[int, int] | None = None
    """User and group of the child; None: the caller's."""


def _enter_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


def _before_exec(program: Program, parent: int) -> Callable[[], None]:
    def prepare() -> None:
        if program.identity is Identity.NAMESPACE:
            _enter_namespace()
        end_with_parent(parent, program.death_signal)

    return prepare


def end_with_parent(parent: int, sign: signal.Signals) -> None:
    """In a child: be signalled when the parent's main thread ends, whatever ends it; end now if it has already."""
    if _libc.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def spawn(program: Program, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start `program` in a session of its own, stdin closed, stdout and stderr in `output`."""
    user, group = program.user or (None, None)
    return subprocess.Popen(
        list(program.argv),
        env=dict(program.environment),
        cwd=program.folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        pass_fds=program.kept_fds,
        preexec_fn=_before_exec(program, os.getpid()),  # noqa: PLW1509 - the parent has one thread
    )


def finish(child: subprocess.Popen[bytes], sign: signal.Signals, timeout_seconds: float) -> int:
    """Signal a child and wait for its end; after the time its whole session's group is killed. Its exit status."""
    if child.poll() is None:
        child.send_signal(sign)
    try:
        return child.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        return kill(child)


def kill(child: subprocess.Popen[bytes]) -> int:
    """Kill a child's process group, and wait for the child."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()
