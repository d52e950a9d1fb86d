"""Failed logins: who must wait, and how long.

Failures count per name and source network, unknown names too; an attempt counts before its password
is looked at, and a success takes all back. A pair with too many is blocked;
a name alone is only slowed down, by 5 s at most, so nobody can lock the superuser out.
Design section 6.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from rubackup.catalog.database import Connection
from rubackup.domain.errors import TooManyAttempts

DEFAULT_ATTEMPTS = 5
DEFAULT_BLOCK_MINUTES = 30
"""The values of the guide's example of the global configuration."""
MAX_DELAY_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.1


def network_of(address: str) -> str:
    """The source network of an address: /24, or /64 of IPv6; what is no address stands for itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    prefix = 24 if mapped.version == 4 else 64
    return str(ipaddress.ip_network((mapped, prefix), strict=False))


async def limits(db: Connection) -> tuple[int, timedelta]:
    """Failures that block, and for how long, as the global configuration says."""
    rows = await db.fetch(
        "SELECT key, value FROM global_configuration WHERE key = ANY($1::text[])",
        ["wrong_auth_attempts_count", "wrong_auth_block_period"],
    )
    found = {row["key"]: row["value"] for row in rows}
    attempts = int(found.get("wrong_auth_attempts_count", DEFAULT_ATTEMPTS))
    return attempts, timedelta(minutes=int(found.get("wrong_auth_block_period", DEFAULT_BLOCK_MINUTES)))


async def refuse_blocked(db: Connection, name: str, network: str, now: datetime) -> None:
    """TooManyAttempts with the seconds left when the pair is blocked."""
    until = await db.fetchval(
        "SELECT blocked_until FROM login_failures WHERE name = $1 AND network = $2 AND blocked_until > $3",
        name, network, now,
    )  # fmt: skip
    if until is not None:
        raise TooManyAttempts(retry_after_seconds=int((until - now).total_seconds()) + 1)


async def delay_seconds(db: Connection, name: str, now: datetime) -> float:
    """How long a login of this name waits: doubled by each recent failure, from whatever network."""
    _, period = await limits(db)
    failures = await db.fetchval(
        "SELECT coalesce(sum(failures), 0)::bigint FROM login_failures WHERE name = $1 AND last_failed_at > $2",
        name, now - period,
    )  # fmt: skip
    return min(FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 16), MAX_DELAY_SECONDS) if failures else 0.0


async def take_turn(db: Connection, name: str, network: str) -> None:
    """Wait until no other process looks at a password of this pair, until the connection is given back; Busy after 10 s."""
    await db.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", f"login:{name}\x1f{network}")


async def reserve(db: Connection, name: str, network: str, now: datetime) -> None:
    """Count an attempt as failed before its password is looked at; TooManyAttempts when the pair is blocked.

    One statement counts and blocks, so attempts at once cannot be more than the limit; `forgive` takes
    it back. A block that is in force stays as it is; after one, or a pause as long, counting starts anew.
    """
    attempts, period = await limits(db)
    until = now + period if attempts > 0 and period else None
    counted = await db.fetchval(
        """INSERT INTO login_failures (name, network, failures, last_failed_at, blocked_until)
           VALUES ($1, $2, 1, $3, CASE WHEN $6::int <= 1 THEN $5::timestamptz END)
           ON CONFLICT (name, network) DO UPDATE SET
               (failures, blocked_until) = (
                   SELECT n.failures, CASE WHEN n.failures >= $6 THEN $5 END
                   FROM (SELECT CASE WHEN login_failures.last_failed_at > $4 AND login_failures.blocked_until IS NULL
                                     THEN login_failures.failures + 1 ELSE 1 END) AS n (failures)),
               last_failed_at = $3
           WHERE login_failures.blocked_until IS NULL OR login_failures.blocked_until <= $3
           RETURNING failures""",
        name, network, now, now - period, until, attempts,
    )  # fmt: skip
    if counted is None:
        await refuse_blocked(db, name, network, now)
        raise TooManyAttempts(retry_after_seconds=1)


async def forgive(db: Connection, name: str, network: str, now: datetime) -> None:
    """A login went well: the pair starts anew, and what is long past is removed."""
    await db.execute(
        """DELETE FROM login_failures WHERE (name = $1 AND network = $2)
           OR (last_failed_at < $3 AND coalesce(blocked_until, last_failed_at) < $3)""",
        name, network, now - timedelta(days=1),
    )  # fmt: skip
