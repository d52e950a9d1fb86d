"""The service database as `rb_init` works on it: by a connection of its own, and what it changes is in the audit."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.permissions import Principal, Role
from rubackup.services.change import Change, changing
from rubackup.services.no_hosts import NoHosts

_WHO: Final = Principal(0, "rb_init", frozenset({Role.SUPERUSER}), address="localhost")


@contextlib.asynccontextmanager
async def opened(address: DatabaseAddress) -> AsyncIterator[Database]:
    """The service database, for one thing."""
    database = Database(address, size=1, application="rb_init")
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def change_of(address: DatabaseAddress, path: str, resource: str) -> AsyncIterator[Change]:
    """A change with its audit row."""
    async with (
        opened(address) as database,
        changing(database, _WHO, NoHosts(), method="INIT", path=path, resource=resource) as change,
    ):
        yield change
