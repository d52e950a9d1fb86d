"""Pools and dynamic pool groups share their names: rules and backups name either in the same place."""

from __future__ import annotations

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('pool or group: ' || $1, 0))"
_GROUP = "SELECT 1 FROM dynamic_pool_groups WHERE name = $1"
_POOL = "SELECT 1 FROM pools WHERE pool_name = $1"


async def refuse_of_group(db: Connection, name: str) -> None:
    """Conflict when a dynamic pool group has the name that a pool is to get; none gets it until the transaction ends."""
    await db.execute(_LOCK, name)
    if await db.fetchval(_GROUP, name):
        raise Conflict(f"A dynamic pool group has the name {name}; a backup could not tell it from the pool.")


async def refuse_of_pool(db: Connection, name: str) -> None:
    """Conflict when a pool has the name that a dynamic pool group is to get; none gets it until the transaction ends."""
    await db.execute(_LOCK, name)
    if await db.fetchval(_POOL, name):
        raise Conflict(f"A pool has the name {name}; a backup could not tell it from the group.")
