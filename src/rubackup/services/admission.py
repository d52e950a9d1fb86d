"""Who may connect: the one place that decides it, for every kind of host, when it comes and for as long as it stays.

A host that enrolled is known by its hardware id and its key, so whoever has another key is somebody else, whatever its
certificate says; an API by a certificate that was noted, as only `rb_init` and APIs of the servers' own role note
any. Nobody comes in with a certificate that was revoked. Table of listeners and callers: `docs/design/admission.md`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Refused

REVOKED_AT_ONCE = 50_000
REPLACED = "replaced by "
"""How the reason of a revocation begins when another key took its host's place."""
UNKNOWN_API = (
    "No API is enrolled in the catalogue with this certificate (it was expelled, or an older catalogue was restored):"
    " rb_init --enroll-api {name} on the primary server."
)
_ROLES = frozenset({"client", "media", "api"})

_JUDGED = """
SELECT r.reason AS revoked, CASE c.role
        WHEN 'client' THEN (SELECT h.fingerprint = c.key FROM clients h WHERE h.hwid = c.hwid)
        WHEN 'media' THEN (SELECT h.fingerprint = c.key FROM media_servers h WHERE h.hwid = c.hwid)
        WHEN 'api' THEN (
            SELECT true FROM api_hosts h
            JOIN issued_certificates i ON i.serial = c.serial AND i.role = 'api' AND i.hwid = h.hwid WHERE h.hwid = c.hwid)
    END AS known,
    CASE WHEN c.role = 'api' THEN (SELECT h.name FROM api_hosts h WHERE h.hwid = c.hwid AND h.database_role <> '') END AS name
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS c (role, hwid, serial, key, place)
LEFT JOIN revoked_certificates r ON r.serial = c.serial
ORDER BY c.place"""
"""`known`: null for a host that is not in the catalogue, false for one that is there with another key; `name`: of a dedicated API."""
_ISSUED = """
INSERT INTO issued_certificates (serial, role, hwid, not_after) VALUES ($1, $2, $3, $4) ON CONFLICT (serial) DO NOTHING"""
_REVOKE = """
INSERT INTO revoked_certificates (serial, role, hwid, reason)
SELECT serial, role, hwid, $3 FROM issued_certificates WHERE role = $1 AND hwid = $2
ON CONFLICT (serial) DO NOTHING"""
_REVOKED_HOSTS = """
SELECT serial FROM revoked_certificates WHERE role IN ('client', 'media') ORDER BY revoked_at DESC LIMIT $1"""


class Caller(Protocol):
    """Who a certificate names, and which key it is for."""

    @property
    def role(self) -> str:
        """`client`, `media`, `api` or `server`."""

    @property
    def hwid(self) -> str:
        """The hardware id."""

    @property
    def serial(self) -> str:
        """The certificate's serial number, hex."""

    @property
    def key(self) -> str:
        """SHA-256 of the public key (DER), hex."""


C = TypeVar("C", bound=Caller)


async def admit(database: Database, caller: Caller) -> None:
    """Refused, with the reason, unless the host may connect to a server now."""
    async with database.connection() as db:
        await require(db, caller)


async def require(db: Connection, caller: Caller) -> None:
    """`admit` within a transaction."""
    (reason,) = await _reasons(db, [caller])
    if reason:
        raise Refused(reason)


async def turned_away(database: Database, callers: Sequence[C]) -> list[C]:
    """Those that `admit` would refuse now; one question, whatever their number."""
    async with database.connection() as db:
        reasons = await _reasons(db, callers)
    return [caller for caller, reason in zip(callers, reasons, strict=True) if reason]


async def note(db: Connection, role: str, hwid: str, serial: str, not_after: dt.datetime) -> None:
    """A certificate was signed: without this it cannot be revoked, and an API is not known by it."""
    await db.execute(_ISSUED, serial, role, hwid, not_after)


async def revoke(db: Connection, role: str, hwid: str, reason: str) -> None:
    """Every certificate that was signed for this host counts no more."""
    await db.execute(_REVOKE, role, hwid, reason)


async def revoked_hosts(database: Database) -> list[str]:
    """Serials for media servers, which ask no catalogue: those of hosts that were revoked and may be within their time."""
    async with database.connection() as db:
        return [row["serial"] for row in await db.fetch(_REVOKED_HOSTS, REVOKED_AT_ONCE)]


async def _reasons(db: Connection, callers: Sequence[Caller]) -> list[str]:
    """Why each is refused; '' for who is admitted."""
    rows = await db.fetch(
        _JUDGED, [c.role for c in callers], [c.hwid for c in callers], [c.serial for c in callers],
        [c.key for c in callers],
    )  # fmt: skip
    return [_reason(caller, row) for caller, row in zip(callers, rows, strict=True)]


def _reason(caller: Caller, row: Any) -> str:
    if caller.role not in _ROLES:
        return "This role does not connect to a server."
    if row["revoked"] is not None:
        replaced = row["revoked"].startswith(REPLACED)
        return (
            "The certificate was revoked: a host with another key took the place of this one."
            if replaced
            else "The certificate was revoked."
        )
    if row["known"] is None and caller.role == "api":
        return UNKNOWN_API.format(name=row["name"] or "NAME")
    if row["known"] is None:
        return f"The hardware id {caller.hwid} is not authorised."
    return "" if row["known"] else f"The hardware id {caller.hwid} is authorised with another key."
