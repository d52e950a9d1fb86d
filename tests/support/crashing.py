"""A catalogue whose connection is lost after so many statements of a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rubackup.catalog.database import Connection, Database


class Crash(Exception):
    """The server is gone in the middle of a transaction."""


class Crashing(Database):
    """Raises Crash in place of the statement after `left` more; never while that is None."""

    left: int | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, which may end early."""
        async with super().transaction() as connection:
            yield connection if self.left is None else _Counted(connection, self)


class _Counted:
    def __init__(self, connection: Connection, database: Crashing) -> None:
        self._connection, self._database = connection, database

    def __getattr__(self, name: str) -> Any:
        wanted = getattr(self._connection, name)
        if name not in {"fetch", "fetchrow", "fetchval", "execute"}:
            return wanted

        async def counted(*arguments: Any) -> Any:
            assert self._database.left is not None
            if self._database.left == 0:
                raise Crash
            self._database.left -= 1
            return await wanted(*arguments)

        return counted
