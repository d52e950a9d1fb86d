"""Who gives way when too many keys wait: whoever asks from where most of them come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rubackup.services.crowding import Waiting, of_all, of_one_name, source

BEGAN = datetime(2026, 11, 28, tzinfo=UTC)


def keys(addresses: str) -> list[Waiting]:
    """Keys that asked in this order; ids begin with 1."""
    named = enumerate(addresses.split(), 1)
    return [Waiting(n, f"10.0.0.{address}", BEGAN + timedelta(seconds=n)) for n, address in named]


@pytest.mark.parametrize(
    ("waiting", "newcomer", "gone"),
    [
        ("1 1 1", "10.0.0.2", 1),
        ("2 1 1", "10.0.0.2", 2),
        ("2 2 1", "10.0.0.2", 1),
        ("2 1 1 2", "10.0.0.2", 1),
        ("1 1 1", "10.0.0.1", 1),
        ("2 1 3", "10.0.0.4", 1),
        ("2 1 3", "10.0.0.3", 3),
        ("2 1 1 3 3", "10.0.0.4", 2),
    ],
)
def test_the_busiest_source_loses_its_oldest(waiting: str, newcomer: str, gone: int) -> None:
    """A newcomer never loses to a source that has more; of its own source when no other has as many."""
    assert of_one_name(keys(waiting), newcomer) == gone


@pytest.mark.parametrize(
    ("waiting", "newcomer", "gone"),
    [
        ("1 1 1", "10.0.0.2", 1),
        ("2 1 1 1", "10.0.0.2", 2),
        ("2 1 1", "10.0.0.2", None),
        ("1 1 1", "10.0.0.1", None),
        ("1 2 3", "10.0.0.4", None),
    ],
)
def test_of_all_hosts_only_a_busier_source_gives_way(waiting: str, newcomer: str, gone: int | None) -> None:
    """Else those who came first stay: hosts behind one address do not drive each other out."""
    assert of_all(keys(waiting), newcomer) == gone


def test_who_asked_longest_ago_is_the_oldest() -> None:
    """A host that goes on asking is not the oldest because it came first."""
    first, second = keys("1 1")
    again = Waiting(first.id, first.address, BEGAN + timedelta(hours=1))

    assert of_one_name([again, second], "10.0.0.2") == second.id


@pytest.mark.parametrize(
    ("address", "of"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_one_host_is_one_source(address: str, of: str) -> None:
    """However many addresses of its network it uses."""
    assert source(address) == of
