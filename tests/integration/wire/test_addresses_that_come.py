"""Listening on an address that the host has not: it is answered there from the moment at which it has it."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from rubackup.domain.errors import SystemFault, Unavailable
from rubackup.roles import listening
from rubackup.wire import sockets
from support.system import patiently

AWAY = "192.0.2.77"
"""An address of documentation: no host has it."""
COMES = """
import socket, subprocess, time
from rubackup.roles import listening
from rubackup.wire import sockets

def ip(*words):
    subprocess.run(["ip", *words], check=True)

def reached(address):
    # The kernel has the address before it has the way there.
    until = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(address)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)

ip("link", "set", "lo", "up")
for address, family in (("192.0.2.77", socket.AF_INET), ("2001:db8::77", socket.AF_INET6)):
    one = sockets.listen(address, 9991, free=True)
    (other,) = listening.listen(address, 5656, free=True)
    for listener in (one, other):
        port = listener.getsockname()[1]
        with socket.socket(family) as caller:
            try:
                caller.connect((address, port))
            except OSError:
                pass
            else:
                raise SystemExit("nobody has this address yet")
    ip("address", "add", f"{address}/{32 if family == socket.AF_INET else 128}", "dev", "lo", *(["nodad"] * (family == socket.AF_INET6)))
    for listener in (one, other):
        with reached((address, listener.getsockname()[1])):
            listener.accept()[0].close()
    print(address)
"""


def test_it_has_to_be_asked_for() -> None:
    """Otherwise whoever starts the process tries again: the address may come with the network."""
    with pytest.raises(SystemFault, match=f"Cannot listen on {AWAY}:0: "):
        sockets.listen(AWAY, 0)
    with pytest.raises(
        Unavailable, match=r"which is none of this host's addresses now\. If it moves between hosts: FREE_BIND=True"
    ):
        listening.listen(AWAY, 0)


def test_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """As nobody reaches the process there; an address that is there is listened on as ever."""
    with sockets.listen(AWAY, 0, free=True) as listener:
        assert listener.getsockname()[0] == AWAY
    for one in listening.listen_each(AWAY, 0, 2, free=True):
        one[0].close()
    told = [record.getMessage() for record in caplog.records]
    assert f"This host has not the address {AWAY} now; whoever calls port 0 there is answered once it has." in told
    assert f"APP_HOST: this host has not the address {AWAY} now; the API answers there once it has." in told
    caplog.clear()
    with sockets.listen("127.0.0.1", 0, free=True) as listener, socket.create_connection(listener.getsockname()):
        listener.accept()[0].close()
    assert caplog.records == []


def test_who_calls_is_answered_once_the_address_has_come() -> None:
    """In a network of its own, where it can be added; without a restart."""
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run(
        [*alone, sys.executable, "-c", COMES], capture_output=True, text=True, check=False, timeout=patiently(120)
    )
    assert (done.stdout.split(), done.returncode) == ([AWAY, "2001:db8::77"], 0), done.stderr
