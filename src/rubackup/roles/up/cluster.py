"""A data folder of PostgreSQL: which server may run on it, whose it is, and with which settings."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rubackup.roles.up.faults import StartupFault

ADMINISTRATOR = "postgres"
RETRY_SECONDS = 30.0
"""How long a start is repeated while an earlier server, killed a moment ago, still ends."""
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
"""All that a program of PostgreSQL gets of an environment."""
_VERSION = "PG_VERSION"
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def major(data: Path) -> int | None:
    """The version that the data are of; None where there are none yet."""
    if not data.exists():
        return None
    try:
        return int((data / _VERSION).read_text())
    except (FileNotFoundError, ValueError):
        raise StartupFault(f"{data} is not a data folder of PostgreSQL: PG_VERSION is missing.") from None


def settings(listen: str, port: int, sockets: Path, wishes: Mapping[str, str]) -> list[str]:
    """The server's arguments: SCRAM, durable, at these addresses (none: at the socket alone)."""
    values = {
        "listen_addresses": listen, "port": str(port),
        "unix_socket_directories": str(sockets), "unix_socket_permissions": "0700",
        "timezone": "UTC", "log_timezone": "UTC", "logging_collector": "off", "log_destination": "stderr",
        "password_encryption": "scram-sha-256", **_DURABLE, **wishes,
    }  # fmt: skip
    return [part for key, value in values.items() for part in ("-c", f"{key}={value}")]


def held(data: Path, deadline: float, check: Callable[[], None] = lambda: None) -> int:
    """A descriptor that keeps other servers off these data; StartupFault when one is on them at the deadline.

    A server inherits it, so it holds for as long as one of its processes lives. PostgreSQL's own lock file does not see
    that files change their owner below it, nor a server in another container.
    """
    lock = os.open(data / _VERSION, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartupFault(f"PostgreSQL does not start: another one runs on {data}.") from None
            else:
                return lock
            check()
            time.sleep(0.1)
    except BaseException:
        os.close(lock)
        raise


def give(folder: Path, owner: int, group: int) -> None:
    """Make somebody the owner of a tree; the top last, so that a crash in between is noticed."""
    for here, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.chown(os.path.join(here, name), owner, group, follow_symlinks=False)  # noqa: PTH118 - hot loop
    os.chown(folder, owner, group)
