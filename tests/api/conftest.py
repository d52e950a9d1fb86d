"""Callers of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.resources import RESOURCES
from rubackup.resources.auth import AUTH
from rubackup.resources.lookups import LOOKUPS
from support.api import Api, running_api
from support.fixtures import Stock, stock
from support.hosts import AnsweringHosts
from support.sessions import Clock
from support.widgets import TABLE, WIDGETS


@pytest.fixture
def api(database: DatabaseAddress) -> Iterator[Api]:
    """The superuser, logged in, of an API with widgets, lookups and auth."""
    with running_api(database, (AUTH, *LOOKUPS, WIDGETS)) as caller:
        caller.execute(TABLE)
        caller.login("rubackup")
        yield caller


@pytest.fixture
def slept(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays that logins were given, instead of waiting for them."""
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    monkeypatch.setattr(api.app.kernel.sessions, "_sleep", sleep)
    return delays


@pytest.fixture
def clock(api: Api, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the API's sessions."""
    return Clock(api, monkeypatch)


@pytest.fixture
def office(database: DatabaseAddress) -> Iterator[Api]:
    """The superuser, logged in, of the whole API; hosts answer."""
    with running_api(database, RESOURCES, AnsweringHosts()) as caller:
        caller.login("rubackup")
        yield caller


@pytest.fixture
def rows(office: Api) -> Stock:
    """Makes rows for `office`."""
    return stock(office)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the inherited suite's tests of one resource together, so that each database is made once."""

    def resource(item: pytest.Item) -> str:
        parameters = getattr(item, "callspec", None)
        family = parameters.params.get("family") if parameters else None
        return getattr(family, "path", "")

    suite = [number for number, item in enumerate(items) if resource(item)]
    for number, item in zip(suite, sorted((items[n] for n in suite), key=resource), strict=True):
        items[number] = item
