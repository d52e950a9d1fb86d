"""PostgreSQL of a state as a unit of its own beside the supervisor's, with a user of its own and no network.

systemd calls `prepare` as root and outside of the unit's sandbox, shows the data to the unit below its runtime folder,
and calls `become` as the unit's user there. The supervisor waits for it (`Beside`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import asyncpg

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.up import catalogue, cluster
from rubackup.roles.up.binaries import choose
from rubackup.roles.up.faults import StartupFault, explained
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.state import State, holder, locked

UNIT = "rubackup_postgres.service"
VARIABLE = "RUBACKUP_POSTGRES_SOCKET"
"""Set by the unit of the supervisor: the folder of the socket of the other unit's server."""
PORT = 5432
"""Names the socket alone: the server has no port."""
_SETTINGS = {"jit": "off"}
"""Its unit lets no memory be written and executed."""
_ASK_SECONDS = 1.0


def prepare(state: State, runtime: Path, link: Path, *, supervised: Callable[[int], bool], command: str) -> None:
    """Make the data ready for the owner of the runtime folder, and let `link` lead to them. StartupFault says why not.

    `supervised`: whether the process with this number, which holds the state, is the supervisor that waits for this server.
    `command`: what an administrator types who wants an empty catalogue in place of a lost one.
    """
    state.make()
    pid = holder(state)
    with contextlib.nullcontext() if pid is not None and supervised(pid) else locked(state):
        with tempfile.TemporaryDirectory(prefix="rb-") as name, explained("Cannot prepare PostgreSQL's folders"):
            found = runtime.stat()
            server = EmbeddedPostgres(state.root, Path(name), user=(found.st_uid, found.st_gid))
            if not server.data.exists():
                catalogue.begin(state, new=False, command=command)
            server.prepare()
        with explained(f"Cannot write {link}"):
            fresh = link.with_name(link.name + ".new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(server.data)
            fresh.rename(link)


def become(runtime: Path) -> NoReturn:
    """Be the server on `runtime`/data, at a socket in `runtime`; StartupFault says why not."""
    data = runtime / "data"
    with explained(f"Cannot run PostgreSQL on {data}"):
        program = choose(cluster.major(data)).folder / "postgres"
        lock = cluster.held(data, time.monotonic() + cluster.RETRY_SECONDS)
        os.set_inheritable(lock, True)
        arguments = cluster.settings("", PORT, runtime, _SETTINGS)
        os.chdir("/")
        os.execve(program, [str(program), "-D", str(data), *arguments], cluster.ENVIRONMENT)  # noqa: S606 - no shell


@dataclass
class Beside:
    """The server of a state as the supervisor sees it."""

    state: State
    sockets: Path
    _waited_from: float = 0.0
    _asked_at: float = 0.0

    @property
    def data(self) -> Path:
        """The folder that it runs on."""
        return self.state.root / "postgres/data"

    def address(self) -> DatabaseAddress:
        """How the administrator connects."""
        with explained("Cannot read PostgreSQL's password"):
            password = self.state.secret("postgres-password").read_text().strip()
        return DatabaseAddress(str(self.sockets), PORT, cluster.ADMINISTRATOR, password, "postgres")

    def accepts(self) -> bool:
        """Whether it lets somebody in; StartupFault once systemd has given it up, or starts it again and again."""
        if asyncio.run(_accepts(self.address())):
            return True
        now = time.monotonic()
        self._waited_from = self._waited_from or now
        if now - self._asked_at >= _ASK_SECONDS:
            self._asked_at = now
            told = _active_state()
            if told in {"active", ""}:  # it may read its log again for a while, after a crash
                self._waited_from = now
            if told in {"failed", "inactive"} or now - self._waited_from > cluster.RETRY_SECONDS:
                raise StartupFault(self.complaint())
        return False

    def complaint(self) -> str:
        """That it does not serve, and who says why."""
        return f"PostgreSQL does not run: journalctl -u {UNIT} says why."


async def _accepts(address: DatabaseAddress) -> bool:
    try:
        connection = await asyncpg.connect(**address.arguments(), timeout=5)
    except (asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, OSError, TimeoutError):
        return False
    except asyncpg.PostgresError:
        return True  # it runs; who works with it then tells what is wrong
    await connection.close()
    return True


def _active_state() -> str:
    """What systemd says of the unit; '' where nobody can be asked."""
    try:
        return subprocess.run(
            ["systemctl", "show", "-P", "ActiveState", UNIT], capture_output=True, text=True, timeout=30, check=False,
            stdin=subprocess.DEVNULL,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
