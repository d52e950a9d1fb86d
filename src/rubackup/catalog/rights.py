"""What an API on a host of its own may not change, though it may change rows: who belongs here, and what was done."""

from __future__ import annotations

from collections.abc import Mapping

from rubackup.catalog.database import Database
from rubackup.catalog.quoting import quoted

_CHANGE = ("INSERT", "UPDATE", "DELETE")
GUARDED: Mapping[str, tuple[str, ...]] = {
    "schema_version": _CHANGE,
    "api_hosts": _CHANGE,
    "issued_certificates": _CHANGE,
    "revoked_certificates": ("UPDATE", "DELETE"),  # whoever deletes a host by the API revokes what it has
    "audit": ("UPDATE", "DELETE"),
}
"""Rights that nobody but the owner has, by table."""
_LOCK = "SELECT pg_advisory_xact_lock(x'5242475244'::bigint)"  # "RBGRD"
_TOO_MUCH = """
SELECT c.relname AS name, a.privilege_type AS privilege FROM pg_class c
CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[]) AND r.rolname = $2
    AND pg_has_role(c.relowner, 'USAGE')"""


def group_of(common: str) -> str:
    """The role that holds the rights of all APIs on hosts of their own."""
    return f"{common}_api"


def taken_back(group: str) -> list[str]:
    """The statements that leave this role what it may have of the guarded tables."""
    return [f"REVOKE {', '.join(rights)} ON {name} FROM {quoted(group)}" for name, rights in GUARDED.items()]


async def guard(database: Database) -> int:
    """Take from the group what an older version granted it; how many rights that were."""
    async with database.transaction() as db:
        group = group_of(await db.fetchval("SELECT current_user::text"))
        await db.execute(_LOCK)  # two servers may start at once
        rows = await db.fetch(_TOO_MUCH, list(GUARDED), group)
        found = [row for row in rows if row["privilege"] in GUARDED[row["name"]]]
        for row in found:
            await db.execute(f"REVOKE {row['privilege']} ON public.{row['name']} FROM {quoted(group)}")
        return len(found)
