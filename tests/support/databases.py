"""A PostgreSQL for the test run, and fresh migrated databases made from a template in some 50 ms."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg

from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.migrate import migrate
from rubackup.roles.up.postgres import EmbeddedPostgres

ROLE, PASSWORD, TEMPLATE = "rubackup", "test-password", "rubackup_template"
# The runs end with the folder: what a crash of the machine would lose is of no interest.
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}

ROOM_BYTES = 2 << 30

_numbers = itertools.count(1)


def execute(address: DatabaseAddress, *statements: str) -> None:
    """Run statements on a connection of their own, each outside a transaction."""

    async def run() -> None:
        try:
            connection = await asyncpg.connect(
                host=address.host, port=address.port, user=address.user,
                password=address.password, database=address.database,
            )  # fmt: skip
        except asyncpg.PostgresError:
            await sockets_closed()
            raise
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


async def sockets_closed() -> None:
    """Return when every transport of the running loop is closed.

    asyncpg does not wait for the end of a TLS connection over which it was refused. A loop that ends before leaves it to the
    garbage collector, which complains in the middle of whatever test comes next.
    """
    loop: Any = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while any(transport._sock is not None for transport in list(loop._transports.values())):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def running_postgres() -> Iterator[DatabaseAddress]:
    """The administrator's address of a server that ends with the block, with a migrated template in it."""
    folder = Path(tempfile.mkdtemp(prefix="rb-test-", dir=_memory()))
    folder.chmod(0o711)  # the user that PostgreSQL runs as has to reach its sockets
    server = EmbeddedPostgres(folder / "state", folder / "run", settings=SETTINGS)
    try:
        server.start()
        administrator = server.address()
        execute(administrator, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        execute(administrator, f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
        asyncio.run(migrate(as_role(administrator, TEMPLATE)))
        yield administrator
    finally:
        server.stop()
        shutil.rmtree(folder)


def _memory() -> str | None:
    """A folder in memory, where it has room: a database is made there in half the time."""
    shared = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > ROOM_BYTES:
            return str(shared)
    return None


def as_role(administrator: DatabaseAddress, database: str) -> DatabaseAddress:
    """The product's own role, which owns its database and nothing else."""
    return replace(administrator, user=ROLE, password=PASSWORD, database=database)


@contextlib.contextmanager
def fresh_database(administrator: DatabaseAddress, *, template: str | None = TEMPLATE) -> Iterator[DatabaseAddress]:
    """A database of its own; without a template it is empty."""
    name = f"test_{next(_numbers)}"
    source = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
    execute(administrator, f"CREATE DATABASE {name} OWNER {ROLE}{source}")
    try:
        yield as_role(administrator, name)
    finally:
        execute(administrator, f"DROP DATABASE {name} WITH (FORCE)")
