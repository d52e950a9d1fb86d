"""What rb_init says of PostgreSQL's connections."""

from __future__ import annotations

from rubackup.roles.init.advice import sentences

ADVICE = {"others": 0, "api_workers": 1}


def test_what_the_manual_asks_for_is_enough() -> None:
    """50 reserved and 106 in all, for one server and an API of one process."""
    assert sentences(106, 50, **ADVICE) == []


def test_too_few_are_told_with_the_number_to_set() -> None:
    """PostgreSQL's own defaults lack both."""
    reserved, most = sentences(100, 3, **ADVICE)

    assert reserved.startswith("superuser_reserved_connections is 3; set it to 50")
    assert most.startswith(
        "max_connections is 100: with 50 reserved 50 are left, and one server and one API open up to 28"
    )
    assert "Set it to 106 or more" in most


def test_workers_of_the_api_count_each() -> None:
    """So do connections that are reserved for others; more than 50 that are reserved are not taken for 50."""
    (four,) = sentences(150, 50, others=0, api_workers=4)
    assert "one API with 4 workers open up to 64" in four
    assert "Set it to 178 or more" in four
    assert sentences(178, 50, others=0, api_workers=4) == []
    (others,) = sentences(178, 60, others=10, api_workers=4)
    assert "with 70 reserved 108 are left" in others


def test_a_change_that_waits_for_a_restart_is_told() -> None:
    """What stands in postgresql.conf already does not hold yet."""
    assert "do not hold yet" in sentences(106, 50, others=0, api_workers=1, waiting=True)[0]
