"""TCP ports of 127.0.0.1 that the machine's own listeners get where nobody wished for one."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections import deque
from collections.abc import Collection
from pathlib import Path

LOOPBACK = "127.0.0.1"

_FIRST, _END = 15_000, 65_536
"""Above the ports that products have by default, ours (5656, 9991 to 9993) and PostgreSQL's among them."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200
_MOST_KEPT = 64
_kept: deque[int] = deque()
"""Sockets that keep the ports chosen last from others who choose, until this process ends."""


def listening(port: int) -> socket.socket:
    """A socket that listens on `port`; OSError where it cannot. 0 is any port the kernel likes."""
    with contextlib.ExitStack() as undone:
        listener = undone.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1)
        undone.pop_all()
        return listener


def listening_somewhere(taken: Collection[int] = ()) -> socket.socket:
    """A socket that listens on a port of our choice, none of `taken`.

    The port is used only after this socket is closed. Until then nobody else must come upon it: the kernel gives
    every connection that goes out a port of its ephemeral range (ip(7)), and each `bind` to port 0 too, so the
    port lies outside of it; and another `rubackup up` that looks for ports finds this one kept (`_keeping`).
    """
    kernels = _kernels_range()
    choices = [*range(_FIRST, min(kernels.start, _END)), *range(max(kernels.stop, _FIRST), _END)]
    if taken:
        choices = [port for port in choices if port not in taken]
    for port in random.sample(choices, min(_TRIES, len(choices))):
        with contextlib.suppress(OSError):
            return _keeping(port)
    return listening(0)


def free_port(taken: Collection[int] = ()) -> int:
    """The number of a port that nobody listened on a moment ago, none of `taken`."""
    with listening_somewhere(taken) as probe:
        return int(probe.getsockname()[1])


def free_ports(number: int) -> list[int]:
    """Such ports, no two of them equal."""
    with contextlib.ExitStack() as held:
        return [int(held.enter_context(listening_somewhere()).getsockname()[1]) for _ in range(number)]


def _keeping(port: int) -> socket.socket:
    """A socket that listens on `port`, which then stays kept; OSError where anybody is bound to it.

    Without SO_REUSEADDR a socket is bound only where no other one is, be it that of a listener, of a connection or of
    another keeper. With it set afterwards, listeners, which all set it, may have the port beside the keeper.
    """
    with contextlib.ExitStack() as undone:
        keeper = undone.enter_context(socket.socket())
        keeper.bind((LOOPBACK, port))
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener = listening(port)
        except OSError:  # not Linux's own network: two are never bound to one port there
            keeper.close()
            return listening(port)
        _kept.append(keeper.detach())
    if len(_kept) > _MOST_KEPT:
        os.close(_kept.popleft())
    return listener


def _kernels_range() -> range:
    try:
        first, last = map(int, _EPHEMERAL.read_text().split())
    except (OSError, ValueError):  # a sandbox that shows no /proc/sys: Linux's default
        return range(32_768, 61_000)
    return range(first, last + 1)
