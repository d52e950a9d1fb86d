"""The role of an API on a host of its own may do in PostgreSQL what its calls need."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from rubackup.catalog import numbers
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.roles.init.access import Administrator, give, group_of, prepare, role_of
from support.databases import execute

pytestmark = pytest.mark.postgres
PASSWORD = "a-password-of-a-test"


def test_it_can_set_numbers_forward(database: DatabaseAddress, postgres: DatabaseAddress) -> None:
    """As a pool that is taken over, and a reconciliation, make it do."""
    role, group = role_of(database.user, "numbers.example"), group_of(database.user)
    prepare(database, Administrator(postgres.user, postgres.password), role, PASSWORD, 1)

    async def leap() -> int:
        owner = await Database(database).direct()
        try:
            async with owner.transaction():
                await give(owner, database, role, PASSWORD)
        finally:
            await owner.close()
        db = await Database(dataclasses.replace(database, user=role, password=PASSWORD)).direct()
        try:
            await numbers.leap(db)
            last: int = await db.fetchval("SELECT nextval(pg_get_serial_sequence('repository', 'id'))")
            return last
        finally:
            await db.close()

    try:
        assert asyncio.run(leap()) > numbers.AHEAD
    finally:
        owner = dataclasses.replace(postgres, database=database.database)
        execute(owner, f'DROP OWNED BY "{group}"', f'DROP ROLE "{role}"', f'DROP ROLE "{group}"')
