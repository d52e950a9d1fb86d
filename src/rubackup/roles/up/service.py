"""What the supervisor keeps alive: a role's process, or PostgreSQL."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rubackup.roles.up.hearing import Ear
from rubackup.roles.up.logs import last_line
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.process import Program, finish, kill, spawn

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
ABORT_SECONDS = 5.0
"""So long a process that stands still has to write where."""
_PASSED_ON = (
    "CLIENT_DEFINED_STORAGES",
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "MEMORY_STORAGES",
    "PARALLEL_TASKS",
    "GC_GRACE_SECONDS",
    "RETENTION_SECONDS",
    "ROUNDS_SECONDS",
    "RUBACKUP_SCRIPT_UNITS",
)


class Service(Protocol):
    """One process under the supervisor."""

    name: str

    @property
    def log_file(self) -> Path:
        """Where it writes what it has to say."""
        ...

    def start(self, check: Callable[[], None]) -> None:
        """Start it; may wait, calling `check`, which raises when the supervisor is to stop."""
        ...

    def ready(self) -> bool:
        """Whether it serves."""
        ...

    def end_if_still(self) -> None:
        """Called again and again: end it, without waiting, when it serves and stands still for longer than it may."""
        ...

    def exit_status(self) -> int | None:
        """The status it ended with; None while it lives or was not started."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        ...

    def last_words(self) -> str:
        """The last line that it wrote since its start."""
        ...

    def stop(self) -> None:
        """End it in order, in bounded time."""
        ...


@dataclass
class RoleService:
    """`python -m rubackup.roles.<role> --config <file>`; `argv` is another command in tests."""

    name: str
    config: Path
    ready_file: Path
    log_file: Path
    argv: Sequence[str] = ()
    stop_seconds: float = STOP_SECONDS
    hang_seconds: float = 0.0
    """For so long it may stand still while it serves; 0: for ever."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log_start: int = 0
    _ear: Ear | None = field(default=None, repr=False)
    _served: bool = False
    _kill_at: float | None = None

    def start(self, check: Callable[[], None]) -> None:
        """Start the process; it tells by itself when it serves."""
        check()
        self.ready_file.unlink(missing_ok=True)
        argv = self.argv or [sys.executable, "-m", f"rubackup.roles.{self.name}", "--config", str(self.config)]
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | {"PYTHONUNBUFFERED": "1"}
        self._deafen()
        if self.hang_seconds:
            self._ear = Ear(self.hang_seconds)
            environment |= self._ear.environment
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = spawn(Program(argv, environment), log)

    def ready(self) -> bool:
        """Whether the process told so, or wrote its ready file; one of an earlier process does not count."""
        pid = self.pid
        if pid is None:
            return False
        if self._ear is not None and self._ear.serves(pid):
            return True
        try:
            told = json.loads(self.ready_file.read_text())
        except FileNotFoundError:
            return False
        return bool(told["pid"] == pid)

    def end_if_still(self) -> None:
        """SIGABRT, by which all stacks go to the log (`systemd.tell_stacks`), then SIGKILL to all that it started."""
        pid, process = self.pid, self._process
        self._served = self._served or self.ready()
        if self._ear is None or pid is None or process is None or not self._served:
            return
        if self._kill_at is not None:
            if time.monotonic() >= self._kill_at:
                kill(process)
        elif not self._ear.hears(pid):
            log.error("%s, process %d, stands still and is ended; where it stood: %s", self.name, pid, self.log_file)
            process.send_signal(signal.SIGABRT)
            self._kill_at = time.monotonic() + ABORT_SECONDS

    def exit_status(self) -> int | None:
        """The status it ended with."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def last_words(self) -> str:
        """The last line that it wrote since its start."""
        return last_line(self.log_file, self._log_start)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not end it in time."""
        if self._process is not None:
            finish(self._process, signal.SIGTERM, self.stop_seconds)
            self._process = None
        self._deafen()
        self.ready_file.unlink(missing_ok=True)

    def _deafen(self) -> None:
        self._served, self._kill_at = False, None
        if self._ear is not None:
            self._ear.close()
            self._ear = None


@dataclass
class PostgresService:
    """The embedded PostgreSQL. Its port is chosen at the first start and kept."""

    server: EmbeddedPostgres
    name: str = "postgres"
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log_file(self) -> Path:
        """PostgreSQL's own log."""
        return self.server.log_file

    def start(self, check: Callable[[], None]) -> None:
        """Return when it is ready."""
        self.server.start(check=check)
        self._process = self.server.process

    def ready(self) -> bool:
        """Whether it runs: a start returns ready."""
        return self.server.pid is not None

    def end_if_still(self) -> None:
        """Never: PostgreSQL looks after its own processes."""

    def exit_status(self) -> int | None:
        """The status it ended with."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int | None:
        """The postmaster."""
        return self.server.pid

    def last_words(self) -> str:
        """The last line of its log."""
        return last_line(self.log_file)

    def stop(self) -> None:
        """In order: fast, then immediate."""
        self.server.stop()
        self._process = None
