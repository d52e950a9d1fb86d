"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rubackup.catalog.database import DatabaseAddress
from support.databases import fresh_database, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseAddress]:
    """A running PostgreSQL, as its administrator sees it."""
    with running_postgres() as address:
        yield address


@pytest.fixture
def database(postgres: DatabaseAddress) -> Iterator[DatabaseAddress]:
    """A fresh, migrated database of its own."""
    with fresh_database(postgres) as address:
        yield address


@pytest.fixture
def empty_database(postgres: DatabaseAddress) -> Iterator[DatabaseAddress]:
    """A fresh database with nothing in it."""
    with fresh_database(postgres, template=None) as address:
        yield address
