"""From a path to its route: a tree of dictionaries, exact matches only.

Literal children win over `{id}`, and `{id}` takes digits only, so `DELETE task_queue/{id}`
and `DELETE task_queue/{status}` live side by side. A trailing slash is accepted everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from rubackup.domain.errors import MethodNotAllowed, NotFound

MAX_ID = 2**63 - 1


class Routed(Protocol):
    """What the tree needs to know of a route."""

    @property
    def method(self) -> str:
        """GET, POST, PATCH, DELETE."""
        ...

    @property
    def path(self) -> str:
        """The pattern below the base, `/users/{id}`."""
        ...


R = TypeVar("R", bound=Routed)


@dataclass
class Match(Generic[R]):
    """A route and what its path held."""

    route: R
    id: int | None = None
    word: str = ""
    digits: str = ""
    """The id as it was written."""


@dataclass
class _Node(Generic[R]):
    literals: dict[str, _Node[R]] = field(default_factory=dict)
    digits: _Node[R] | None = None
    word: _Node[R] | None = None
    routes: dict[str, R] = field(default_factory=dict)

    def child(self, segment: str) -> _Node[R]:
        """The child that a pattern's segment names, made when it is new."""
        if not segment.startswith("{"):
            return self.literals.setdefault(segment, _Node())
        if segment == "{id}":
            self.digits = self.digits or _Node()
            return self.digits
        self.word = self.word or _Node()
        return self.word


class Router(Generic[R]):
    """All routes, found by path and method."""

    def __init__(self, routes: Iterable[R] = ()) -> None:
        self._root: _Node[R] = _Node()
        for route in routes:
            self.add(route)

    def add(self, route: R) -> None:
        """Take a route in; two of one shape and method are a ValueError."""
        node = self._root
        for segment in _segments(route.path):
            node = node.child(segment)
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} has the shape of {node.routes[route.method].path}")
        node.routes[route.method] = route

    def find(self, method: str, path: str) -> Match[R]:
        """The route of a path below the base; NotFound, or MethodNotAllowed whose fact `allowed` lists the others."""
        node: _Node[R] | None = self._root
        number: int | None = None
        word = digits = ""
        for segment in _segments(path):
            assert node is not None
            if segment in node.literals:
                node = node.literals[segment]
            elif segment.isascii() and segment.isdigit() and node.digits is not None:
                node, number, digits = node.digits, _number(segment), segment
            elif segment and node.word is not None and not segment.isdigit():
                node, word = node.word, segment
            else:
                raise NotFound("There is no such path.")
        if node is None or not node.routes:
            raise NotFound("There is no such path.")
        route = node.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = ", ".join(sorted(node.routes))
            raise MethodNotAllowed(f"The method is not allowed for this path; allowed: {allowed}.", allowed=allowed)
        return Match(route, number, word, digits)


def _segments(path: str) -> list[str]:
    inner = path.removeprefix("/").removesuffix("/")
    return inner.split("/") if inner else []


def _number(segment: str) -> int:
    """The id; one that no row can have stays a number that none has."""
    return min(int(segment[:20]), MAX_ID)
