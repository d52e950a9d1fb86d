"""How much of the pools a client's copies may take (`storage_capacity`), where `clients_capacity_limits` is on."""

from __future__ import annotations

from rubackup.catalog.database import Connection
from rubackup.services import configuration

GIGABYTE = 1_000_000_000
_USED = """
SELECT c.hostname || ' (' || c.hwid || ')' AS client, c.storage_capacity,
    (SELECT coalesce(sum(r.stored_bytes), 0)::bigint FROM repository r WHERE r.client_id = c.id) AS used
FROM clients c WHERE c.id = $1 AND c.storage_capacity > 0"""


async def exceeded(db: Connection, client_id: int | None) -> str:
    """Why the client gets no further copy, as a sentence; '' when it may have one.

    What counts is what its copies added to their pools. A copy that is being made is not cut off.
    """
    if client_id is None or not await configuration.enabled(db, "clients_capacity_limits"):
        return ""
    row = await db.fetchrow(_USED, client_id)
    if row is None or row["used"] < row["storage_capacity"] * GIGABYTE:
        return ""
    return (
        f"The copies of client {row['client']} take {row['used']} bytes; its storage_capacity is "
        f"{row['storage_capacity']} GB (clients_capacity_limits)."
    )
