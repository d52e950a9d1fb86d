"""What integration tests share: a coroutine run against a database of its own, and a small API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from support.small_api import SmallApi, small_api

Scenario = Callable[[Database], Awaitable[None]]


@pytest.fixture
def run(database: DatabaseAddress) -> Callable[[Scenario], None]:
    """Runs `scenario(database)` on an open Database with a fresh schema."""

    async def opened(scenario: Scenario) -> None:
        pool = Database(database, size=8)
        await pool.open()
        try:
            await scenario(pool)
        finally:
            await pool.close()

    return lambda scenario: asyncio.run(opened(scenario))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SmallApi]:
    """A running API of a few routes, whose root is `tmp_path/root`."""
    with small_api(tmp_path) as server:
        yield server
