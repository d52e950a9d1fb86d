"""What both kinds of connection need of a TCP socket: listening, options, errors in words.

Knows no messages. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
import time
from typing import Any

from rubackup.domain.errors import Busy, Refused, RubackupError, SystemFault, Unavailable

log = logging.getLogger(__name__)
HANDSHAKE_SECONDS = 10.0
_BACKLOG = 1024
_FREEBIND = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}
"""Level and number of IP_FREEBIND and IPV6_FREEBIND (linux/in.h, in6.h), which the standard library does not name."""

_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),
)


def tune(sock: socket.socket) -> None:
    """Sends small frames at once, and lets the kernel notice a peer that vanished.

    An idle connection within a minute, one with unsent data within two: that long a live peer
    may take to read on, as its disk does.
    """
    for level, option, value in _OPTIONS:
        sock.setsockopt(level, option, value)


def listen(host: str, port: int, *, free: bool = False) -> socket.socket:
    """A listening socket; Busy when the port is taken, SystemFault when the address cannot be used.

    `free`: also on an address that this host has not now; who calls there is answered once it has.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        try:
            return socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            if not free or error.errno != errno.EADDRNOTAVAIL:
                raise
        return _listen_freely(host, port, family)
    except OSError as error:
        kind = Busy if error.errno == errno.EADDRINUSE else SystemFault
        raise kind(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from error


def _listen_freely(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    log.warning(
        "This host has not the address %s now; whoever calls port %d there is answered once it has.", host, port
    )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        bind_freely(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as create_server does
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def bind_freely(listener: socket.socket) -> None:
    """Let it be bound to an address that this host has not: any process may ask for that, and nobody is reached by it."""
    listener.setsockopt(*_FREEBIND[socket.AddressFamily(listener.family)], 1)


def plain_address(peername: Any) -> str:
    """The IP address of a socket name, an IPv4 one that came over IPv6 as IPv4."""
    if not peername:
        return "unknown"
    address = ipaddress.ip_address(peername[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def connection_error(error: Exception, peer: str) -> RubackupError:
    """A failed socket operation with `peer` as one of ours: Refused when a certificate is the reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(f"The certificate of {peer} is not accepted: {error.verify_message}.")
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return Refused(f"{peer} refused the connection: {(error.reason or '').replace('_', ' ').lower()}.")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{peer} did not answer in time.")
    if isinstance(error, EOFError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unavailable(f"The connection to {peer} ended.")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unavailable(f"The connection to {peer} failed: {reason}.")


def wrap(raw: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> ssl.SSLSocket:
    """The blocking socket with TLS, the handshake still to do, within a limit; `raw` is closed when that fails."""
    try:
        tune(raw)
        raw.settimeout(HANDSHAKE_SECONDS)
        return context.wrap_socket(raw, server_side=server_side, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        raise


def cut(sock: socket.socket) -> None:
    """Ends both directions at once, so that a thread which waits on the socket wakes up."""
    with contextlib.suppress(OSError):  # it may have ended already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's, which drops its state under the other thread


def linger(sock: socket.socket, seconds: float) -> None:
    """Says that no more comes, and reads until the other side ends too, so that nothing sent is lost.

    A plain close with bytes unread would make the kernel reset the connection, and the other side
    might never see our last words.
    """
    scratch = bytearray(64 << 10)
    end = time.monotonic() + seconds
    try:
        sock.shutdown(socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv_into(scratch):
                return
    except OSError:
        pass  # it has ended already, or will not: either way we are done
