"""The sockets on which the API listens."""

from __future__ import annotations

import errno
import socket

from rubackup.domain.errors import RubackupError
from rubackup.roles.settings import ConfigurationFault

BACKLOG = 2048


def listen(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Listening sockets on every address of the name, all on one port; an error says why there is none.

    `shared`: other sockets of this user may listen on the same port; the kernel gives each its part of the callers.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationFault(f"APP_HOST {host} has no address: {error.strerror}.") from error
    sockets: list[socket.socket] = []
    addresses = dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)
    for family, address in sorted(addresses, key=lambda a: a[0] != socket.AF_INET):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if sockets and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                continue
            raise _cannot_listen(error, address, port) from error
        sockets.append(listener)
        port = port or listener.getsockname()[1]
    return sockets


def listen_each(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """Sockets on one port for each of so many workers.

    The first set, which shares with nobody, finds out whether the port is free: a socket that may be shared
    would join another program of this user without a word.
    """
    alone = listen(host, port)
    port = alone[0].getsockname()[1]
    for listener in alone:
        listener.close()
    return [listen(host, port, shared=True) for _ in range(workers)]


def _cannot_listen(error: OSError, address: str, port: int) -> RubackupError:
    reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
    return ConfigurationFault(f"The API cannot listen on port {port} of {address}: {reason}.")
