"""Ports that `rubackup up` chooses by itself: nobody comes upon one between the choice and its use."""

from __future__ import annotations

import socket
from pathlib import Path

from rubackup.roles.up.ports import free_port, free_ports, listening_somewhere


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
    left = {free_port() for _ in range(4)}
    others = set(range(1, 65_536)) - left

    assert {free_port(others) for _ in range(60)} <= left


def test_a_port_in_use_is_not_chosen():
    """One that is listened on is passed over."""
    with listening_somewhere() as taken:
        used = taken.getsockname()[1]
        other = free_port()
        assert {free_port(set(range(1, 65_536)) - {used, other}) for _ in range(10)} == {other}


def test_ports_chosen_together_are_not_equal():
    """All are held until the last is found."""
    assert len(set(free_ports(50))) == 50
