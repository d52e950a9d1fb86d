"""Runs a coroutine against a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rubackup.catalog.database import Database, DatabaseAddress

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
