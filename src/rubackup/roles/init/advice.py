"""What PostgreSQL's settings lack for an installation: the guide's superuser_reserved_connections, and room enough."""

from __future__ import annotations

import asyncio

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.up.catalogue import connected

API_CONNECTIONS = 12
SERVER_CONNECTIONS = 16
"""What a process opens at most: its pool, its listener, its lock."""
RESERVED = 50
"""The guide's value of superuser_reserved_connections."""
_SETTINGS = """SELECT name, setting::integer AS value, pending_restart FROM pg_settings
WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')"""


def needed(api_workers: int) -> int:
    """How many connections one server and one API with so many processes open at most."""
    return SERVER_CONNECTIONS + API_CONNECTIONS * api_workers


def sentences(most: int, reserved: int, *, others: int, api_workers: int, waiting: bool = False) -> list[str]:
    """What an administrator should change. `others`: reserved for roles of pg_use_reserved_connections."""
    found = []
    if waiting:
        found.append("settings of connections were changed and do not hold yet: PostgreSQL has to be restarted.")
    if reserved < RESERVED:
        found.append(
            f"superuser_reserved_connections is {reserved}; set it to {RESERVED} in postgresql.conf, so that"
            " administrators get in when all other connections are taken."
        )
    wanted = 2 * needed(api_workers)
    kept = max(reserved, RESERVED) + others
    if most - kept < wanted:
        api = "one API" if api_workers == 1 else f"one API with {api_workers} workers"
        found.append(
            f"max_connections is {most}: with {kept} reserved {max(most - kept, 0)} are left, and one server and {api} open"
            f" up to {needed(api_workers)}, twice that while one version replaces another. Set it to {kept + wanted} or more;"
            " PostgreSQL has to be restarted."
        )
    return found


def advise(address: DatabaseAddress, api_workers: int = 1) -> list[str]:
    """The sentences on the PostgreSQL at this address."""

    async def ask() -> list[str]:
        async with connected(address) as connection:
            rows = await connection.fetch(_SETTINGS)
        value = {row["name"]: row["value"] for row in rows}
        return sentences(
            value["max_connections"], value["superuser_reserved_connections"],
            others=value.get("reserved_connections", 0), api_workers=api_workers,
            waiting=any(row["pending_restart"] for row in rows),
        )  # fmt: skip

    return asyncio.run(ask())
