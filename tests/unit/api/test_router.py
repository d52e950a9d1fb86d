"""The route tree: exact matches, literals before ids, ids of digits only."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rubackup.api.router import MAX_ID, Router
from rubackup.domain.errors import MethodNotAllowed, NotFound


@dataclass(frozen=True)
class Named:
    """A route that is only a name."""

    method: str
    path: str


ROUTES = [
    Named("GET", "/users"),
    Named("GET", "/users/{id}"),
    Named("PATCH", "/users/change_password"),
    Named("DELETE", "/task_queue/{id}"),
    Named("GET", "/task_queue/extension"),
    Named("DELETE", "/task_queue/{status}"),
    Named("GET", "/clients/{id}/resource_type"),
]


@pytest.fixture
def router() -> Router[Named]:
    """The routes above."""
    return Router(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/users", "/users"),
        ("GET", "/users/", "/users"),
        ("HEAD", "/users/7", "/users/{id}"),
        ("PATCH", "/users/change_password", "/users/change_password"),
        ("DELETE", "/task_queue/5", "/task_queue/{id}"),
        ("DELETE", "/task_queue/Done", "/task_queue/{status}"),
        ("GET", "/clients/007/resource_type/", "/clients/{id}/resource_type"),
    ],
)
def test_finds_the_one_route(router: Router[Named], method: str, path: str, found: str) -> None:
    """A path has at most one route, in whatever order they were added."""
    assert router.find(method, path).route.path == found
    assert Router(ROUTES[::-1]).find(method, path).route.path == found


@pytest.mark.parametrize(
    "path", ["/user", "/users/x", "/users//", "/users/7/x", "/users/-1", "/users/٣", "/x/y/z", "/"]
)
def test_anything_else_is_not_found(router: Router[Named], path: str) -> None:
    """No prefix matches, no sign, no digits of other scripts."""
    with pytest.raises(NotFound):
        router.find("GET", path)


def test_a_wrong_method_tells_the_right_ones(router: Router[Named]) -> None:
    """The error knows what Allow has to say."""
    with pytest.raises(MethodNotAllowed) as caught:
        router.find("POST", "/users/7")

    assert caught.value.facts["allowed"] == "GET"


def test_ids_and_words_are_handed_on(router: Router[Named]) -> None:
    """Digits arrive as a number, other words as they stand."""
    assert router.find("DELETE", "/task_queue/0012").id == 12
    assert router.find("DELETE", "/task_queue/At_Client").word == "At_Client"


def test_an_endless_number_is_an_id_that_nobody_has(router: Router[Named]) -> None:
    """It neither overflows nor costs time."""
    assert router.find("GET", "/users/" + "9" * 5000).id == MAX_ID


def test_two_routes_of_one_shape_are_refused() -> None:
    """The second would never be reached."""
    with pytest.raises(ValueError, match="shape"):
        Router([Named("GET", "/a/{status}"), Named("GET", "/a/{word}")])
