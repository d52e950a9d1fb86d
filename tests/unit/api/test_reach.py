"""Which events a caller sees follows from the declarations of the families."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from rubackup.api.reach import Reach, View, reach_of
from rubackup.api.resource import EVERYTHING, NOTHING, Clause, Resource
from rubackup.domain.permissions import Permission, Principal, Role
from rubackup.resources import RESOURCES
from rubackup.services.events import Event, Place, read_place, write_place

BY_PATH = {resource.path: resource for resource in RESOURCES}
ANNA = Principal(1, "anna", frozenset({Role.ADMINISTRATOR}), client_group_ids=(7,))
MAX = Principal(2, "max", frozenset({Role.MAINTAINER}), media_server_ids=(7,))
BOTH = Principal(3, "both", ANNA.roles | MAX.roles, client_group_ids=(7,), media_server_ids=(8,))
OLGA = Principal(4, "olga", frozenset({Role.AUDITOR}))


def resource(scope: Clause | None = None, read: Permission = Permission.READ_CLIENTS) -> Resource:
    """A family with this scope."""
    return Resource("x", "X", "X", "x", read, scope=lambda _principal: scope or EVERYTHING)


@pytest.mark.parametrize(
    ("principal", "path", "reach"),
    [
        (ANNA, "clients", Reach(client_groups=frozenset({7}))),
        (ANNA, "task_queue", Reach(client_groups=frozenset({7}))),
        (ANNA, "pool_list", Reach(everything=True)),
        (ANNA, "users", None),
        (MAX, "task_queue", Reach(media_servers=frozenset({7}))),
        (MAX, "pool_list", Reach(media_servers=frozenset({7}))),
        (MAX, "clients", None),
        (BOTH, "task_queue", Reach(client_groups=frozenset({7}), media_servers=frozenset({8}))),
        (BOTH, "clients", Reach(client_groups=frozenset({7}))),
        (OLGA, "clients", Reach(everything=True)),
        (OLGA, "users", Reach(everything=True)),
        (Principal(5, "nobody"), "clients", None),
    ],
)
def test_the_columns_that_decide_are_those_of_the_scope(principal: Principal, path: str, reach: Reach | None) -> None:
    """Client groups count where the family's scope asks for them, media servers likewise, and nowhere else."""
    assert reach_of(BY_PATH[path], principal) == reach


def test_a_scope_that_asks_for_something_else_shows_nothing() -> None:
    """What is told by the row alone (whose it is) cannot be told of a row that may be gone."""
    assert reach_of(resource(Clause("t.user_id = {}", (7,))), ANNA) == Reach()
    assert reach_of(resource(NOTHING), ANNA) == Reach()
    assert reach_of(resource(), ANNA) == Reach(everything=True)
    assert reach_of(resource(read=Permission.READ_USERS), ANNA) is None


def test_marks_are_found_however_the_scope_holds_them() -> None:
    """A list in a list, a number by itself; strategies count as groups and servers do."""

    def scope(principal: Principal) -> Clause:
        group, media, strategy = principal.client_group_ids, principal.media_server_ids, principal.strategy_ids
        return Clause("{} {} {}", (media[0], [list(group)], list(strategy)))

    family = Resource("x", "X", "X", "x", Permission.READ_CLIENTS, scope=scope)
    caller = replace(BOTH, strategy_ids=(9,))
    assert reach_of(family, caller) == Reach(
        client_groups=frozenset({7}), media_servers=frozenset({8}), strategies=frozenset({9})
    )


def test_an_event_without_a_column_is_for_those_who_see_all() -> None:
    """About nothing in particular: no scope covers it."""
    event = Event(Place(1, 1), dt.datetime.now(dt.UTC), "changed", "clients", 1, None, None, None, {})

    assert not View.of(BY_PATH, BOTH).sees(event)
    assert View.of(BY_PATH, OLGA).sees(event)
    assert not View.of(BY_PATH, OLGA, ["users"]).sees(event)


def test_a_place_is_read_as_it_was_written() -> None:
    """To the largest numbers that PostgreSQL gives."""
    for place in (Place(0, 0), Place(2**64 - 1, 2**63 - 1)):
        assert read_place(write_place("0123abcd", place)) == ("0123abcd", place)
