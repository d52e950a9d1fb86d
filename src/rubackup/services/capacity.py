"""How much of the pools the copies of a client, a rule or a strategy may take (`storage_capacity`), where that is limited.

What counts is what its copies added to their pools (`stored_bytes`). A backup is not begun when they take the capacity, less the
reserve of rules and strategies; one that is being made is not cut off, so the reserve should be as large as a backup.
"""

from __future__ import annotations

from dataclasses import dataclass

from rubackup.catalog.database import Connection
from rubackup.services import configuration

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Limit:
    """Whose copies are limited by which keys: `column` of the repository and of tasks names the owner's row in `table`."""

    word: str
    table: str
    column: str
    switch: str
    reserve: str = ""
    """The key with the gigabytes that stay free; '' where there is none."""
    period: str = ""
    """The key with the minutes between two notices."""
    name: str = "o.name"


CLIENT = Limit("client", "clients", "client_id", "clients_capacity_limits", name="o.hostname || ' (' || o.hwid || ')'")
RULE = Limit(
    "rule", "global_schedule", "rule_id", "global_schedule_capacity_limits", "rule_storage_capacity_reserve",
    "rule_storage_capacity_notification_period",
)  # fmt: skip
STRATEGY = Limit(
    "strategy", "backup_strategies", "strategy_id", "backup_strategies_capacity_limits",
    "strategy_storage_capacity_reserve", "strategy_storage_capacity_notification_period",
)  # fmt: skip

_USED = """
SELECT {name} AS name, o.storage_capacity,
    (SELECT coalesce(sum(r.stored_bytes), 0)::bigint FROM repository r WHERE r.{column} = o.id) AS used
FROM {table} o WHERE o.id = $1 AND o.storage_capacity > 0"""


async def exceeded(db: Connection, client_id: int | None) -> str:
    """Why the client gets no further copy, as a sentence; '' when it may have one."""
    return await over(db, CLIENT, client_id)


async def over(db: Connection, limit: Limit, owner_id: int | None) -> str:
    """Why there is no room for a further copy of this owner, as a sentence; '' when there is."""
    found = await _usage(db, limit, owner_id)
    if found is None or found.excess < 0:
        return ""
    kept = f", of which {found.reserve} GB stay free ({limit.reserve})" if found.reserve else ""
    return (
        f"The copies of {limit.word} {found.name} take {found.used} bytes; its storage_capacity is "
        f"{found.capacity} GB{kept} ({limit.switch})."
    )


async def excess(db: Connection, limit: Limit, owner_id: int | None) -> int:
    """How many bytes lie beyond what the owner's copies may take; less than 0 where there is room for a further copy."""
    found = await _usage(db, limit, owner_id)
    return -1 if found is None else found.excess


@dataclass(frozen=True)
class _Usage:
    name: str
    used: int
    capacity: int
    reserve: int

    @property
    def excess(self) -> int:
        return self.used - (self.capacity - self.reserve) * GIGABYTE


async def _usage(db: Connection, limit: Limit, owner_id: int | None) -> _Usage | None:
    """What the owner's copies take; None where nothing limits them."""
    if owner_id is None or not await configuration.enabled(db, limit.switch):
        return None
    row = await db.fetchrow(_USED.format(name=limit.name, column=limit.column, table=limit.table), owner_id)
    if row is None:
        return None
    reserve = await configuration.number(db, limit.reserve) if limit.reserve else 0
    return _Usage(row["name"], row["used"], row["storage_capacity"], reserve)
