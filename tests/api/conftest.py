"""Callers of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.resources.auth import AUTH
from rubackup.resources.lookups import LOOKUPS
from support.api import Api, running_api
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
