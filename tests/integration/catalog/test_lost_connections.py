"""A PostgreSQL that is away: what needs it says so, in a sentence; the pool of connections adds nothing of its own."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import Unavailable

pytestmark = pytest.mark.postgres
REFUSALS = 3


def test_the_log_has_no_traceback_of_the_pool(
    database: DatabaseAddress, postgres: DatabaseAddress, caplog: pytest.LogCaptureFixture
) -> None:
    """And as soon as PostgreSQL is there again the next question is answered."""

    async def scenario() -> None:
        catalogue, admin = Database(database), await asyncpg.connect(**postgres.arguments())
        await catalogue.open()
        try:
            async with catalogue.connection() as connection:
                mine = await connection.fetchval("SELECT pg_backend_pid()")
            await admin.execute(f'ALTER DATABASE "{database.database}" CONNECTION LIMIT 0')
            assert await admin.fetchval("SELECT pg_terminate_backend($1, 60000)", mine)
            for _ in range(REFUSALS):
                with pytest.raises(Unavailable, match="service database"):
                    await ask(catalogue)
            await admin.execute(f'ALTER DATABASE "{database.database}" CONNECTION LIMIT -1')
            assert await ask(catalogue) == 1
        finally:
            await catalogue.close()
            await admin.close()

    with caplog.at_level(logging.DEBUG, logger="asyncpg"):
        asyncio.run(scenario())
    assert [one.getMessage() for one in caplog.records if one.name.startswith("asyncpg")] == []


async def ask(catalogue: Database) -> int:
    """The catalogue itself; Unavailable."""
    async with catalogue.connection() as connection:
        found: int = await connection.fetchval("SELECT 1")
        return found
