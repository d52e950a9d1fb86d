"""One change of the catalogue: its transaction, its caller, its audit row, its events.

Every mutating call of the API runs inside `changing(...)`; a service function gets the
Change and does its work on `change.db`. What it raises rolls everything back.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rubackup.catalog.database import Connection, Database, notify
from rubackup.domain.permissions import Principal
from rubackup.services.ports import Hosts

SECRET_KEYS = frozenset({"password", "user_password", "new_password", "password_hash", "secret_key", "token"})


EVENTS_CHANNEL = "events"
"""Told at the end of a change: a hint for who follows the event log."""


@dataclass
class Change:
    """What a service function needs. `before`, `after` and `row_ids` go into the audit row."""

    db: Connection
    principal: Principal
    hosts: Hosts
    row_ids: list[int] = field(default_factory=list)
    before: Any = None
    after: Any = None

    async def event(
        self,
        kind: str,
        family: str,
        row_id: int,
        *,
        client_group_id: int | None = None,
        media_server_id: int | None = None,
        strategy_id: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Append to the event log, visible when the transaction commits."""
        await self.db.execute(
            """INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, strategy_id, data)
               VALUES ($1, $2, $3, $4, $5, $6, $7)""",
            kind, family, row_id, client_group_id, media_server_id, strategy_id, data or {},
        )  # fmt: skip
        await notify(self.db, EVENTS_CHANNEL)

    async def wake(self, channel: str, payload: str = "") -> None:
        """Tell the servers to look: channels are tasks, pools, certificates, records, bandwidth."""
        await notify(self.db, channel, payload)


def starred(value: Any) -> Any:
    """A copy of a decoded JSON tree in which secrets are stars."""
    if isinstance(value, dict):
        return {k: "*****" if k in SECRET_KEYS else starred(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [starred(v) for v in value]
    return value


@contextlib.asynccontextmanager
async def changing(
    database: Database, principal: Principal, hosts: Hosts, *, method: str, path: str, resource: str
) -> AsyncIterator[Change]:
    """A Change in a transaction; its audit row is written with it, so one never exists without the other."""
    async with database.transaction() as connection:
        change = Change(connection, principal, hosts)
        yield change
        await write_audit(
            connection, principal, method=method, path=path, resource=resource, outcome="done",
            row_ids=list(dict.fromkeys(change.row_ids)), before=change.before, after=change.after,
        )  # fmt: skip


async def write_audit(
    connection: Connection,
    principal: Principal,
    *,
    method: str,
    path: str,
    resource: str,
    outcome: str,
    row_ids: Sequence[int] = (),
    before: Any = None,
    after: Any = None,
) -> None:
    """One audit row; refused attempts write it in a transaction of their own."""
    await connection.execute(
        """INSERT INTO audit (user_name, token_name, address, method, path, resource, row_ids, outcome, before,
               after)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        principal.name, principal.token_name, principal.address, method, path, resource, list(row_ids), outcome,
        starred(before), starred(after),
    )  # fmt: skip
