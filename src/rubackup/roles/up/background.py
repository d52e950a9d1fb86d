"""Starting a supervisor in the background, and stopping the one that holds a state."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rubackup.roles.up.faults import StartupFault, explained
from rubackup.roles.up.process import Program, finish, spawn
from rubackup.roles.up.state import State, holder

STOP_SECONDS = 120.0
"""More than all processes together may take to stop."""


def start(root: Path, *, port: int, log_level: str = "INFO", new_catalogue: bool = False) -> dict[str, Any]:
    """Start a supervisor that outlives the caller, and wait for the system: what ready.json says."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(read, "rb") as status:
        child = subprocess.Popen(
            _command(root, port, log_level, write, new_catalogue=new_catalogue), pass_fds=(write,), cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return _wait_told(child, write, status.fileno(), root)


def start_bound(root: Path, *, port: int, log_level: str = "INFO") -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """The same, but the supervisor stops in order when the caller ends, however it ends."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(read, "rb") as status:
        program = Program(
            _command(root, port, log_level, write), os.environ, death_signal=signal.SIGTERM, kept_fds=(write,)
        )
        child = spawn(program, subprocess.DEVNULL)
        return child, _wait_told(child, write, status.fileno(), root)


def _command(root: Path, port: int, log_level: str, status_fd: int, *, new_catalogue: bool = False) -> list[str]:
    options = ["--state", str(root.absolute()), "--port", str(port), "--log-level", log_level]
    options += ["--new-catalogue"] if new_catalogue else []
    return [sys.executable, "-m", "rubackup.roles.up", *options, "--status-fd", str(status_fd)]


def _wait_told(child: subprocess.Popen[bytes], write: int, read: int, root: Path) -> dict[str, Any]:
    """What the supervisor told; an interrupted wait stops it again."""
    os.close(write)
    try:
        text = b""
        while part := os.read(read, 65536):
            text += part
    except BaseException:
        finish(child, signal.SIGTERM, STOP_SECONDS)
        raise
    told: dict[str, Any] = json.loads(text) if text else {"error": f"The supervisor ended; see {root / 'log/up.log'}."}
    if "error" in told:
        child.wait()
        raise StartupFault(told["error"])
    ready: dict[str, Any] = told["ready"]
    return ready


def running(root: Path) -> dict[str, Any] | None:
    """What ready.json says of a state whose supervisor lives; None when nothing runs there."""
    state = State(root.absolute())
    if holder(state) is None:
        return None
    try:
        ready: dict[str, Any] = json.loads(state.ready_file.read_text())
    except FileNotFoundError:
        return None
    return ready


def shut_down(root: Path) -> bool:
    """Stop the system of a state and wait for its end; whether there was one."""
    state = State(root.absolute())
    with explained(f"Cannot use {state.root} as state"):
        pid = holder(state)
        if pid is None:
            return False
        process = os.pidfd_open(pid)
        try:
            if holder(state) != pid:  # it ended meanwhile, and its number may be somebody else's
                return True
            signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], STOP_SECONDS)[0]:
                raise StartupFault(f"Process {pid} does not stop; see {state.log('up')}.")
        finally:
            os.close(process)
    return True
