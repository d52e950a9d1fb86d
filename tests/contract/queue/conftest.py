"""Runs each scenario on the queue in PostgreSQL and on its in-memory twin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rubackup.catalog.database import Database
from rubackup.queue.memory import MemoryQueue
from rubackup.queue.ports import TaskQueue
from rubackup.queue.postgres import PooledQueue

Scenario = Callable[[TaskQueue], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario against an empty queue."""
    if request.param == "memory":
        return lambda scenario: asyncio.run(scenario(MemoryQueue()))
    address = request.getfixturevalue("database")

    async def in_postgres(scenario: Scenario) -> None:
        database = Database(address)
        await database.open()
        try:
            await scenario(PooledQueue(database))
        finally:
            await database.close()

    return lambda scenario: asyncio.run(in_postgres(scenario))
