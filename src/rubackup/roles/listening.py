"""The sockets on which the API listens."""

from __future__ import annotations

import errno
import logging
import socket

from rubackup.domain.errors import RubackupError, Unavailable
from rubackup.roles.settings import ConfigurationFault
from rubackup.wire.sockets import bind_freely

log = logging.getLogger(__name__)
BACKLOG = 2048


def listen(host: str, port: int, *, shared: bool = False, free: bool = False) -> list[socket.socket]:
    """Listening sockets on every address of the name, all on one port; an error says why there is none.

    `shared`: other sockets of this user may listen on the same port; the kernel gives each its part of the callers.
    `free`: also on addresses that this host has not now.
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
            _bind(listener, address, port, free=free)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if sockets and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                continue
            raise _cannot_listen(error, address, port) from error
        sockets.append(listener)
        port = port or listener.getsockname()[1]
    return sockets


def _bind(listener: socket.socket, address: str, port: int, *, free: bool) -> None:
    try:
        listener.bind((address, port))
    except OSError as error:
        if not free or error.errno != errno.EADDRNOTAVAIL:
            raise
        log.warning("APP_HOST: this host has not the address %s now; the API answers there once it has.", address)
        bind_freely(listener)
        listener.bind((address, port))


def listen_each(host: str, port: int, workers: int, *, free: bool = False) -> list[list[socket.socket]]:
    """Sockets on one port for each of so many workers.

    The first set, which shares with nobody, finds out whether the port is free: a socket that may be shared
    would join another program of this user without a word.
    """
    alone = listen(host, port, free=free)
    port = alone[0].getsockname()[1]
    for listener in alone:
        listener.close()
    return [listen(host, port, shared=True, free=free) for _ in range(workers)]


def _cannot_listen(error: OSError, address: str, port: int) -> RubackupError:
    if error.errno == errno.EADDRNOTAVAIL:  # it may come with the network: whoever starts this process tries again
        return Unavailable(
            f"The API cannot listen on port {port} of {address}, which is none of this host's addresses now. If it moves"
            " between hosts: FREE_BIND=True."
        )
    reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
    return ConfigurationFault(f"The API cannot listen on port {port} of {address}: {reason}.")
