"""Ports that `rubackup up` chooses by itself: nobody comes upon one between the choice and its use."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rubackup.roles.up.ports import free_port, free_ports, listening, listening_somewhere

EVERY = frozenset(range(1, 65_536))
CHOOSE = "import sys; from rubackup.roles.up import ports; print(*eval(sys.argv[1], vars(ports)))"


def another_chooses(what: str) -> list[int]:
    """The ports that an expression gives in a process of its own, which keeps none of them any longer."""
    done = subprocess.run([sys.executable, "-c", CHOOSE, what], capture_output=True, text=True, check=True, timeout=120)
    return [int(port) for port in done.stdout.split()]


def test_the_kernel_gives_our_choice_to_nobody_else():
    """A port that is chosen and not yet used is outside of what the kernel deals out by itself."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    with socket.create_server(("127.0.0.1", 0)) as dealt:
        assert first <= dealt.getsockname()[1] <= last

    chosen = {free_port() for _ in range(200)}

    assert not [port for port in chosen if first <= port <= last]
    assert len(chosen) > 150  # two that look at the same time hardly ever find the same


def test_a_port_that_others_will_use_is_left_to_them():
    """PostgreSQL, whose port comes last, does not take the one of the API, which does not listen yet."""
    left = set(another_chooses("free_ports(4)"))

    assert {free_port(EVERY - left) for _ in left} == left


def test_a_port_in_use_is_not_chosen():
    """One that is listened on is passed over."""
    (other,) = another_chooses("free_ports(1)")
    with listening_somewhere() as taken:
        used = taken.getsockname()[1]
        assert free_port(EVERY - {used, other}) == other


def test_a_port_that_is_chosen_is_kept_from_others_who_choose():
    """Long after the choice and before the use; whoever it was chosen for listens there, and after a restart again."""
    port = free_port()

    assert another_chooses(f"[free_port(set(range(1, 65536)) - {{{port}}})]") != [port]
    for _ in range(2):
        with listening(port) as listener, socket.create_connection(("127.0.0.1", port)):
            assert listener.accept()[0].close() is None
            with pytest.raises(OSError, match="in use"):
                listening(port)
    assert another_chooses(f"[free_port(set(range(1, 65536)) - {{{port}}})]") != [port]


def test_few_ports_are_kept():
    """A process that chooses many does not run out of file descriptors."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(150):
        free_port()

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 64


def test_ports_chosen_together_are_not_equal():
    """All are held until the last is found."""
    assert len(set(free_ports(50))) == 50
