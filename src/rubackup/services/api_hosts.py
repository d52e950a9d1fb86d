"""Hosts of the API alone: which there are, with which certificate and which role of the service database each comes in.

Servers take in an API that is enrolled here with a certificate that was noted here, and no other. APIs that have the role of
the servers note themselves, as nobody else may write these rows. A host that is expelled has no row any more and its
certificates are revoked: no server takes it in, and none renews what it has. Browsers know
nothing of that, so these certificates live for a short time. Its role in PostgreSQL is the business of whoever may change roles
there (`roles.init.access`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import NotFound, Refused
from rubackup.domain.permissions import Principal
from rubackup.services import admission, configuration
from rubackup.services.admission import Caller
from rubackup.services.change import Change, changing
from rubackup.services.enrolment import Signed
from rubackup.services.no_hosts import NoHosts

API_DAYS = 45
"""So long a certificate lives, and is believed by browsers after its host was expelled. Renewed when two thirds are over."""
ENDS_SOON = dt.timedelta(days=30)
"""So long before its end a certificate is spoken of that lives for a year; one with less, when a quarter of its life is left."""
SOON_PART = 4
RENEWED_PART = 3
"""One is renewed when this part of its life is left."""
RENEW_INTERVAL = dt.timedelta(hours=1)
"""A host that asks more often is told to wait: each certificate is a signature and rows that stay."""
OWN = "own:"
"""How the names of APIs begin that have the servers' role and noted themselves; behind it is the hardware id."""
FAMILY = "server_state"
"""Where an administrator sees what waits for somebody."""

_FIND = "SELECT name, hwid, database_role FROM api_hosts WHERE name = $1 FOR UPDATE"
_KEEP = """
INSERT INTO api_hosts (name, hwid, database_role, certificate_serial, certificate_not_after)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET hwid = excluded.hwid, database_role = excluded.database_role,
    certificate_serial = excluded.certificate_serial, certificate_not_after = excluded.certificate_not_after,
    enrolled_at = now()"""
_MAY_NOTE = """
SELECT has_table_privilege('api_hosts', 'INSERT') AND has_table_privilege('issued_certificates', 'INSERT')"""
_OWN = """
INSERT INTO api_hosts (name, hwid, database_role, certificate_serial, certificate_not_after)
VALUES ('own:' || $1, $1, '', $2, $3) ON CONFLICT (hwid) DO UPDATE
SET certificate_serial = excluded.certificate_serial, certificate_not_after = excluded.certificate_not_after"""
_NOTED = """
SELECT EXISTS (SELECT 1 FROM api_hosts h JOIN issued_certificates i USING (hwid)
    WHERE h.hwid = $1 AND i.serial = $2 AND i.role = 'api')"""
_FIND_HWID = """
SELECT name, hwid, database_role, enrolled_at > now() - $2::interval AS just_now FROM api_hosts
WHERE hwid = $1 AND database_role <> '' FOR UPDATE"""
_FORGET = "DELETE FROM api_hosts WHERE name = $1"
_NAMES = "SELECT name FROM api_hosts ORDER BY name"
_ALONE = (
    "SELECT pg_advisory_xact_lock(x'5242455250'::bigint)"  # "RBERP": hosts of the API are enrolled one after another
)
_LANDED = "SELECT EXISTS (SELECT 1 FROM issued_certificates WHERE serial = $1)"
_ENDING = """
SELECT name, certificate_not_after AS ends_at FROM api_hosts
WHERE database_role <> ''
    AND certificate_not_after < now() + least($1, (certificate_not_after - enrolled_at) / $2::int - interval '1 day')
ORDER BY certificate_not_after, name"""


class ApiSigner(Protocol):
    """Signs with the issuing CA."""

    key_hash: str
    """SHA-256 of its public key (DER), hex."""

    def sign_api(self, csr_pem: bytes, hwid: str, name: str) -> Signed:
        """A leaf for the API of this name."""
        ...


class ApiHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host of the API as the catalogue knows it."""

    name: str
    hwid: str
    database_role: str


class EndingCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that somebody has to renew by hand."""

    name: Annotated[str, Meta(description="APP_HOST of an API on a host of its own.")]
    ends_at: Annotated[dt.datetime, Meta(description="When its certificate ends.")]


async def alone(db: Connection) -> None:
    """Wait until no other transaction that called this goes on."""
    await db.execute(_ALONE)


async def is_noted(db: Connection, serial: str) -> bool:
    """Whether a certificate was noted that was signed for a host."""
    return bool(await db.fetchval(_LANDED, serial))


async def find(db: Connection, name: str) -> ApiHost | None:
    """The host that was enrolled under this name, locked."""
    row = await db.fetchrow(_FIND, name)
    return None if row is None else ApiHost(**row)


async def keep(change: Change, host: ApiHost, serial: str, not_after: dt.datetime) -> None:
    """Note a certificate that was signed for a host. One that was enrolled anew loses what it had before."""
    before = await find(change.db, host.name)
    if before is not None and before.hwid != host.hwid:
        await _revoke(change, before, "enrolled anew")
    await admission.note(change.db, "api", host.hwid, serial, not_after)
    await change.db.execute(_KEEP, host.name, host.hwid, host.database_role, serial, not_after)
    change.after = {"name": host.name, "hwid": host.hwid, "database_role": host.database_role, "serial": serial}


async def expel(change: Change, name: str) -> ApiHost:
    """Shut a host out: its certificates are revoked and it is forgotten. NotFound names those that there are.

    One that has the servers' role is named by its hardware id; it has no role of its own.
    """
    host = await find(change.db, name) or await find(change.db, f"{OWN}{name}")
    if host is None:
        names = [row["name"] for row in await change.db.fetch(_NAMES)]
        dedicated = ", ".join(one for one in names if not one.startswith(OWN)) or "none"
        own = ", ".join(one.removeprefix(OWN) for one in names if one.startswith(OWN))
        more = f" With the role of the servers, by hardware id: {own}." if own else ""
        raise NotFound(f"No API was enrolled as {name}; there are: {dedicated}.{more}")
    await _revoke(change, host, "expelled")
    await change.db.execute(_FORGET, host.name)
    change.before = {"name": host.name, "hwid": host.hwid, "database_role": host.database_role}
    return host


async def _revoke(change: Change, host: ApiHost, reason: str) -> None:
    await admission.revoke(change.db, "api", host.hwid, reason)
    await change.wake("certificates")


async def note_own(database: Database, hwid: str, serial: str, not_after: dt.datetime) -> bool:
    """An API whose role owns the service database says by which certificate servers know it; whether it has such a role.

    APIs of servers and of `rubackup up` have it. The role of an API on a host of its own may not write there:
    only `rb_init` enrols such a host.
    """
    async with database.transaction() as db:
        if not await db.fetchval(_MAY_NOTE):
            return False
        if not await db.fetchval(_NOTED, hwid, serial):
            await db.execute(_OWN, hwid, serial, not_after)
            await admission.note(db, "api", hwid, serial, not_after)
        return True


async def renew(database: Database, signer: ApiSigner, caller: Caller, address: str, csr_pem: bytes) -> bytes:
    """Another certificate for an API on a host of its own that comes with one which counts; leaf and issuing CA.

    What it has before stays good until its end. NotFound when no such host is enrolled, Refused as of other hosts, when it may
    not connect any more, and within an hour of the last one.
    """
    who = Principal(0, "rubackup_api", frozenset(), address=address)
    async with changing(
        database, who, NoHosts(), method="RENEW", path="RenewCertificate", resource="api_hosts"
    ) as change:
        await admission.require(change.db, caller)
        row = await change.db.fetchrow(_FIND_HWID, caller.hwid, RENEW_INTERVAL)
        if row is None:
            raise NotFound("This API is not one that rb_init --enroll-api made.")
        wanted = await configuration.value(change.db, "rb_key_hash")
        if wanted and wanted != signer.key_hash:
            raise Refused("This server signs certificates with another key than rb_key_hash allows.")
        if row["just_now"]:
            raise Refused("This API got a certificate within the last hour; it gets no other one yet.")
        host = ApiHost(name=row["name"], hwid=row["hwid"], database_role=row["database_role"])
        signed = await asyncio.to_thread(signer.sign_api, csr_pem, host.hwid, host.name)
        await keep(change, host, signed.serial, signed.not_after)
    return signed.chain_pem


async def ending(db: Connection) -> list[EndingCertificate]:
    """Certificates of APIs that end soon, or that should have been renewed a day ago and of whose renewal the catalogue knows nothing."""
    return [EndingCertificate(**row) for row in await db.fetch(_ENDING, ENDS_SOON, RENEWED_PART)]


async def tell_end(change: Change, name: str, days: int, message: str) -> None:
    """An event about a certificate that ends soon, for all who may see what waits for somebody."""
    await change.event("certificate", FAMILY, 0, data={"name": name, "days_left": days, "message": message})
