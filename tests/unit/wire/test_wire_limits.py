"""What strangers may cost a listener."""

from __future__ import annotations

import pytest

from rubackup.wire import sockets
from rubackup.wire.limits import Allowance, Arrivals, Limits


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self):
        """The time it is set to."""
        return self.now


def test_arrivals_are_bounded_by_address():
    """One address cannot take every place."""
    arrivals = Arrivals(Limits(arriving=10, arriving_per_address=2))

    assert [arrivals.enter("a") for _ in range(3)] == [True, True, False]
    assert arrivals.enter("b")


def test_arrivals_are_bounded_in_all():
    """Many addresses together cannot take more than there is."""
    arrivals = Arrivals(Limits(arriving=2, arriving_per_address=2))

    assert [arrivals.enter(address) for address in "abc"] == [True, True, False]


def test_a_place_is_free_again_after_leaving():
    """Places are lent, not spent."""
    arrivals = Arrivals(Limits(arriving=1, arriving_per_address=1))
    assert arrivals.enter("a")

    arrivals.leave("a")

    assert arrivals.enter("a")


def test_an_allowance_is_spent_and_comes_back_with_time():
    """A burst is let through, then one request for each period, never more than the burst."""
    clock = Clock()
    allowance = Allowance(2, 0.5, clock)

    assert [allowance.take("a") for _ in range(3)] == [True, True, False]
    assert allowance.take("b")
    clock.now = 2.0
    assert [allowance.take("a") for _ in range(2)] == [True, False]
    clock.now = 1000.0
    assert [allowance.take("a") for _ in range(3)] == [True, True, False]


def test_the_memory_for_addresses_is_bounded():
    """An attacker with many addresses makes the oldest forgotten, not the table grow."""
    allowance = Allowance(1, 1.0, Clock())
    allowance.MOST_ADDRESSES = 10

    for number in range(1000):
        allowance.take(str(number))

    assert len(allowance._buckets) == 10


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("127.0.0.1", 5), "127.0.0.1"),
        (("::ffff:10.0.0.1", 5, 0, 0), "10.0.0.1"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::1"),
        ("", "unknown"),
    ],
)
def test_one_host_has_one_address(name, address):
    """The forms of an address that sockets give are brought to one."""
    assert sockets.plain_address(name) == address
