"""What kind of problem a pool has, whoever tells it."""

from __future__ import annotations

import pytest

from rubackup.domain.pools import OPENING, PASSING, STANDING, PoolProblem, problem_of


@pytest.mark.parametrize(
    ("code", "problem", "expected"),
    [
        ("", "", ""),
        ("full", "", ""),
        ("full", "Any sentence.", "full"),
        ("of tomorrow", "Pool p cannot be used: x", "other"),
        ("", OPENING, "opening"),
        ("", "Pool p cannot be used: its disk is away", "unusable"),
        ("", "There is no room left.", "other"),
    ],
)
def test_older_and_newer_hosts_are_understood(code: str, problem: str, expected: str) -> None:
    """The sentence counts only where there is no code; one that nobody here knows is no reason to wait, nor not to."""
    assert problem_of(code, problem) == expected


def test_no_problem_is_passing_and_standing() -> None:
    """Nobody waits for what needs somebody."""
    assert not PASSING & STANDING
    assert not {PoolProblem.OTHER, PoolProblem.FULL} & (PASSING | STANDING)
