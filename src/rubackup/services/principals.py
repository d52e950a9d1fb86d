"""Who a session belongs to: user, roles and what they cover, read in one query for each call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.permissions import Principal, Role

USER_COLUMNS = """u.id, u.username, u.is_superuser,
       ARRAY(SELECT client_group_id FROM administrators WHERE user_id = u.id ORDER BY 1) AS client_groups,
       ARRAY(SELECT media_server_id FROM maintainers WHERE user_id = u.id ORDER BY 1) AS media_servers,
       ARRAY(SELECT strategy_id FROM strategy_administrators WHERE user_id = u.id ORDER BY 1) AS strategies,
       EXISTS (SELECT 1 FROM supervisors WHERE user_id = u.id) AS is_supervisor,
       EXISTS (SELECT 1 FROM auditors WHERE user_id = u.id) AS is_auditor"""
"""What tells who a user is, of the table `users u`; `principal_of` reads it."""

_PRINCIPAL = f"""
SELECT {USER_COLUMNS}, f.revoked_at, f.ends_at
FROM token_families f JOIN users u ON u.id = f.user_id
WHERE f.family = $1
"""  # noqa: S608 - constant


async def find_principal(
    db: Connection, family: str, name: str, address: str, now: datetime
) -> tuple[Principal, bool] | None:
    """The caller of a session and whether the session is alive; None when it is not this user's."""
    row = await db.fetchrow(_PRINCIPAL, family)
    if row is None or row["username"] != name:
        return None
    return principal_of(row, address, family), row["revoked_at"] is None and row["ends_at"] > now


def principal_of(row: Any, address: str, session: str = "") -> Principal:
    """The user of a row with USER_COLUMNS, with all rights of this moment."""
    return Principal(
        user_id=row["id"],
        name=row["username"],
        roles=_roles(row),
        client_group_ids=tuple(row["client_groups"]),
        media_server_ids=tuple(row["media_servers"]),
        strategy_ids=tuple(row["strategies"]),
        address=address,
        session=session,
    )


async def roles_of(db: Connection, family: str) -> frozenset[Role]:
    """The roles of a session's user."""
    return _roles(await db.fetchrow(_PRINCIPAL, family))


def _roles(row: Any) -> frozenset[Role]:
    held = {
        Role.SUPERUSER: row["is_superuser"],
        Role.SUPERVISOR: row["is_supervisor"],
        Role.MAINTAINER: bool(row["media_servers"]),
        Role.ADMINISTRATOR: bool(row["client_groups"]),
        Role.AUDITOR: row["is_auditor"],
        Role.STRATEGY_ADMINISTRATOR: bool(row["strategies"]),
    }
    return frozenset(role for role, has in held.items() if has)
