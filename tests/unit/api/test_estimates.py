"""Totals that are estimates are told again for a few seconds."""

from __future__ import annotations

from rubackup.api.estimates import KEPT_SECONDS, MOST, Estimates


def test_an_estimate_is_told_again_until_its_time_is_over() -> None:
    """Five seconds; another question is another total."""
    now = [0.0]
    estimates = Estimates(lambda: now[0])
    estimates.put(("a", "[]"), 20_000)

    assert estimates.get(("a", "[]")) == 20_000
    assert estimates.get(("a", "[1]")) is None
    now[0] = KEPT_SECONDS
    assert estimates.get(("a", "[]")) is None


def test_only_so_many_are_remembered() -> None:
    """The oldest goes first."""
    estimates = Estimates()
    for number in range(MOST + 1):
        estimates.put(number, number)

    assert estimates.get(0) is None
    assert estimates.get(MOST) == MOST
