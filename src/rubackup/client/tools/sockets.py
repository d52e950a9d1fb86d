"""A UNIX socket by its path, however long the path is, and who is at the other end of it.

A socket's own name is limited to 107 bytes; it is reached through a descriptor of its folder instead.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from rubackup.domain.errors import Forbidden, Refused, Unavailable
from rubackup.wire.messages import LocalUser

BACKLOG = 16
_CREDENTIALS = struct.Struct("iII")
"""struct ucred: process, user, group."""


def listen(path: Path) -> socket.socket:
    """A listening socket that only the own user may reach; one that a dead process left behind is replaced.

    Refused when a living process listens there, or something else lies there; OSError.
    """
    with _address(path) as address:
        _make_room(path, address)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.bind(address)
            path.chmod(0o600)  # nobody can connect before it listens
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    return listener


def connect(path: Path, timeout_seconds: float) -> socket.socket:
    """A connection to the process that listens there; Unavailable when none does, Forbidden when it is another user's."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_seconds)
        with _address(path) as address:
            sock.connect(address)
    except PermissionError as error:
        sock.close()
        raise Forbidden(f"Only root and the user of the client's process may use {path}.") from error
    except OSError as error:
        sock.close()
        raise Unavailable(f"No client listens at {path}: {error.strerror or error}.") from error
    return sock


def other_side(sock: socket.socket) -> LocalUser:
    """The user at the other end, by the kernel's word; Refused unless it is root or the own user."""
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid not in {0, os.geteuid()}:
        raise Refused("Only root and the user of the client's process may ask it.")
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return LocalUser(name=name, uid=uid)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _make_room(path: Path, address: str) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise Refused(f"{path} is no socket; it is left alone.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # it listens, and has much to do
            pass
    raise Refused(f"Another process listens at {path}.")
