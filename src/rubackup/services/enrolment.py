"""How clients and media servers become known: asking, authorising, signing, withdrawing.

A hardware id is a name, not a secret: a certificate is only signed for the key that an
administrator has seen and authorised. Design section 6.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refused, TooManyAttempts
from rubackup.domain.identity import CLIENT_HWID, HOSTNAME, SERVER_HWID
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.permissions import Permission, Principal
from rubackup.domain.tasks import FINAL, Verb
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import _enrolment_sql as sql
from rubackup.services import admission, configuration, crowding, global_schedule, host_log, rekeying, scopes
from rubackup.services.change import Change
from rubackup.services.crowding import Waiting
from rubackup.services.host_log import Happened
from rubackup.services.rekeying import Expected

WAITING_LIMIT = 1000
KEYS_OF_ONE = 10
"""So many keys wait under one hardware id; `services.crowding` says which one gives way to a newer one."""
RETRY_AFTER_SECONDS = 60
_COUNT_LOCK = 0x52_42_45_4E_52  # "RBENR"
_BACK = "Its certificates are revoked; it waits for authorisation again."
_HWIDS = {"client": CLIENT_HWID, "media": SERVER_HWID}


class Signed(msgspec.Struct, frozen=True):
    """A leaf certificate followed by the issuing CA, the leaf's serial number, and its end."""

    chain_pem: bytes
    serial: str
    not_after: dt.datetime


class Signer(Protocol):
    """Signs with the issuing CA."""

    key_hash: str
    """SHA-256 of its public key (DER), hex."""

    def sign(self, csr_pem: bytes, role: str, hwid: str) -> Signed:
        """A leaf for the host, bound to its role and hardware id and to no host name."""
        ...


class Pending(msgspec.Struct, frozen=True):
    """An administrator has not decided yet; `fingerprint` is what he is shown."""

    fingerprint: str


class Granted(msgspec.Struct, frozen=True):
    """The certificate."""

    chain_pem: bytes


async def ask(
    database: Database,
    signer: Signer,
    *,
    role: str,
    hwid: str,
    hostname: str,
    address: str,
    csr_pem: bytes,
    fingerprint: str,
    package_version: str,
    os_type: str,
    os_version: str,
    data_endpoint: str = "",
) -> Pending | Granted:
    """A certificate if this key is authorised for the hardware id, signed anew each time; else the host waits.

    `fingerprint` is that of the key in `csr_pem`, whose signature the caller has checked. `hostname` is what the host calls
    itself: shown while it waits, never part of a certificate, and no matter for a host that is known. Another
    key for a known hwid waits in a row of its own, and nothing of the known host is touched or locked. Invalid for a
    malformed name, TooManyAttempts when 1,000 hosts of the role wait and most came from where this one comes from, Refused
    when this server's key is not the one of `rb_key_hash`.
    """
    if role not in _HWIDS or not _HWIDS[role].fullmatch(hwid):
        raise Invalid(fields={"hwid": "is not a hardware id of this role."})
    if not HOSTNAME.fullmatch(hostname):
        raise Invalid(fields={"hostname": "is not a host name."})
    table = sql.TABLES[role]
    async with database.transaction() as db:
        known = await db.fetchrow(table.find, hwid, fingerprint)
        if known is None:
            facts = [hwid, hostname, address, os_type, os_version, package_version, csr_pem, fingerprint]
            await _wait(db, role, [*facts, data_endpoint] if role == "media" else facts)
            return Pending(fingerprint)
        wanted = await configuration.value(db, "rb_key_hash")
        if wanted and wanted != signer.key_hash:
            raise Refused("This server signs certificates with another key than rb_key_hash allows.")
        signed = await asyncio.to_thread(signer.sign, csr_pem, role, hwid)
        await db.execute(table.sign, known["id"], signed.serial, signed.not_after, csr_pem)
        await admission.note(db, role, hwid, signed.serial, signed.not_after)
        kind = "Renewed" if known["certificate_serial"] else "The first one"
        text = f"{kind}: number {signed.serial}, valid until {signed.not_after:%Y-%m-%d %H:%M} UTC."
        await host_log.note(db, role, [known["id"]], Happened.CERTIFICATE, text)
    return Granted(signed.chain_pem)


async def _wait(db: Connection, role: str, facts: list[Any]) -> None:
    table = sql.TABLES[role]
    seen = await db.fetchval(table.seen, *facts)
    if seen is not None:
        return
    await db.execute("SELECT pg_advisory_xact_lock($1)", _COUNT_LOCK)
    gone = await _make_room(db, table, facts[0], facts[2])
    row_id = await db.fetchval(table.wait, *facts)
    if row_id is None:  # authorised since it was looked for
        return
    if gone is not None:
        await host_log.note_crowded(db, role, gone)
        await db.execute(f"DELETE FROM unauthorised_{table.family} WHERE id = $1", gone)  # noqa: S608 - one of two names
        await db.execute(sql.EVENT, "deleted", f"unauthorised_{table.family}", gone, None, None)
    await db.execute(sql.EVENT, "created", f"unauthorised_{table.family}", row_id, None, None)
    if gone is None:
        await host_log.note_waiting(db, role, [row_id], Happened.WAITING, f"From {facts[2]}, with the key {facts[7]}.")


async def _make_room(db: Connection, table: sql.Table, hwid: str, address: str) -> int | None:
    """The id of the row that has to go for a newcomer; None when there is room. TooManyAttempts when there is none."""
    waiting = await db.fetchrow(table.count, hwid)
    if waiting["keys"] >= KEYS_OF_ONE:
        return crowding.of_one_name([Waiting(**row) for row in await db.fetch(table.of_hwid, hwid)], address)
    if waiting["hosts"] < WAITING_LIMIT:
        return None
    gone = crowding.of_all([Waiting(**row) for row in await db.fetch(table.of_all)], address)
    if gone is None:
        raise TooManyAttempts("Too many hosts wait for authorisation.", retry_after_seconds=RETRY_AFTER_SECONDS)
    return gone


async def authorise_clients(change: Change, ids: Sequence[int], expected: Expected = Expected()) -> list[int]:  # noqa: B008 - frozen
    """Authorise these waiting clients; the ids of the clients that they become, in the order of `ids`.

    An administrator's clients land in his first group, others' in 'No group'. Earlier copies of the
    hardware id become the client's where the caller may dispose of them; copies of other groups
    stay with those groups: a hardware id is no proof that they were this host's. NotFound names
    missing ids; Conflict when a hardware id is authorised already, unless it is said that the key replaces the other, or
    when the key is another than the one named.
    """
    _require(change.principal, Permission.AUTHORISE_CLIENTS)
    db = change.db
    await _refuse_without_key(db)
    wanted = list(dict.fromkeys(ids))
    expected.check(len(wanted))
    rows = {row["id"]: row for row in await db.fetch(sql.CLIENTS_WAITING, wanted)}
    missing = [i for i in wanted if i not in rows]
    if missing:
        raise NotFound(f"No such unauthorised clients: {_join(missing)}.", ids=missing)
    if not all(expected.fits(row) for row in rows.values()):
        raise Conflict("The client that waits has another key than the one named; compare fingerprints again.")
    if expected.replace_key:
        created = [await rekeying.replace(change, "client", rows[i]) for i in wanted]
    else:
        group_id = await _group(db, change.principal)
        created = [await _authorise_client(change, rows[i], group_id) for i in wanted]
    change.row_ids.extend(created)
    change.after = [_public(rows[i]) for i in wanted]
    await change.wake("certificates")
    return created


async def _authorise_client(change: Change, row: Any, group_id: int) -> int:
    db = change.db
    client_id: int | None = await db.fetchval(sql.CLIENT_FROM_WAITING, row["id"], group_id)
    if client_id is None:
        raise rekeying.taken(row["hwid"])
    await db.execute(sql.CLIENT_PRESENCE, client_id)
    await db.execute(sql.CLIENT_RECORDS, client_id, row["hwid"], *_reach(change.principal))
    await db.execute("DELETE FROM unauthorised_clients WHERE id = $1", row["id"])
    await change.event("deleted", "unauthorised_clients", row["id"])
    await change.event("created", "clients", client_id, client_group_id=group_id)
    await _note(change, "client", client_id, Happened.AUTHORISED, f"With the key {row['fingerprint']}.")
    return client_id


def _reach(principal: Principal) -> tuple[bool, list[int]]:
    """Whether the caller disposes of every copy; else the client groups whose copies are his to hand on."""
    return scopes.changes_all(principal), list(principal.client_group_ids)


async def _group(db: Connection, principal: Principal) -> int:
    wide, groups = _reach(principal)
    if groups and not wide:
        return groups[0]
    found: int = await db.fetchval("SELECT id FROM client_groups WHERE name = 'No group'")
    return found


async def authorise_media_server(change: Change, hostname: str, expected: Expected = Expected()) -> int:  # noqa: B008 - frozen
    """Authorise the media server that waits under this host name, with the key named if one is; its id.

    NotFound when none waits; Conflict when several do and no key is named, or when the host name is in use, or the
    hardware id and it is not said that the key replaces the other.
    """
    _require(change.principal, Permission.AUTHORISE_MEDIA)
    await _refuse_without_key(change.db)
    expected.check(1)
    row = await _waiting_media(change.db, hostname, expected)
    if expected.replace_key:
        media_id = await rekeying.replace(change, "media", row)
    else:
        media_id = await _authorise_media(change, row)
    change.row_ids.append(media_id)
    change.after = _public(row)
    await change.wake("certificates")
    return media_id


async def _waiting_media(db: Connection, hostname: str, expected: Expected) -> Any:
    found = await db.fetch(sql.MEDIA_WAITING, hostname)
    if not found:
        raise NotFound(f"No media server with host name {hostname} waits for authorisation.")
    rows = [row for row in found if expected.fits(row)]
    if not rows:
        raise Conflict("The media server that waits has another key than the one named; compare fingerprints again.")
    if len(rows) > 1:
        raise Conflict(f"{len(rows)} keys wait under the host name {hostname}; name one, or delete those not yours.")
    return rows[0]


async def _authorise_media(change: Change, row: Any) -> int:
    hostname = row["hostname"]
    media_id: int | None = await change.db.fetchval(sql.MEDIA_FROM_WAITING, row["id"])
    if media_id is None:
        if await change.db.fetchval(sql.TABLES["media"].known, row["hwid"]) is not None:
            raise rekeying.taken(row["hwid"])
        raise Conflict(f"The host name {hostname} is that of another media server.")
    await change.db.execute(sql.MEDIA_PRESENCE, media_id)
    await change.db.execute("DELETE FROM unauthorised_media_servers WHERE id = $1", row["id"])
    await change.event("deleted", "unauthorised_media_servers", row["id"])
    await change.event("created", "media_servers", media_id, media_server_id=media_id)
    await _note(change, "media", media_id, Happened.AUTHORISED, f"With the key {row['fingerprint']}.")
    return media_id


async def withdraw_clients(change: Change, ids: Sequence[int]) -> None:
    """Delete these clients: their certificates are revoked and they wait for authorisation again.

    Their unfinished tasks are killed, their rules deleted; their copies stay. NotFound names missing ids.
    """
    db = change.db
    rows = await _deleting(change, sql.CLIENTS, ids, "clients")
    queue = PostgresQueue(db)
    for task in await db.fetch(sql.CLIENT_TASKS, list(rows), _final()):
        await queue.operate(task["id"], Verb.KILL, "The client was deleted.")
    await global_schedule.delete_of_clients(change, list(rows))
    for client_id, row in rows.items():
        await _revoke(change, "client", row["hwid"])
        await _note(change, "client", client_id, Happened.DELETED, _BACK)
        await db.execute(sql.CLIENT_BACK, client_id)
        await db.execute("DELETE FROM clients WHERE id = $1", client_id)
        await change.event("deleted", "clients", client_id, client_group_id=row["group_id"])
    await change.wake("certificates")


async def withdraw_media_servers(change: Change, ids: Sequence[int]) -> None:
    """Delete these media servers: their certificates are revoked and they wait for authorisation again.

    Conflict names those that still have pools or unfinished tasks; NotFound names missing ids.
    """
    db = change.db
    rows = await _deleting(change, sql.MEDIA_SERVERS, ids, "media servers")
    used = await db.fetch(sql.MEDIA_IN_USE, list(rows), _final())
    if used:
        names = ", ".join(row["hostname"] for row in used)
        raise Conflict(f"Media servers still have pools or tasks: {names}.", ids=[row["id"] for row in used])
    for media_id, row in rows.items():
        await _revoke(change, "media", row["hwid"])
        await _note(change, "media", media_id, Happened.DELETED, _BACK)
        await change.db.execute(sql.FORGET_MONITORING, row["hwid"])
        await db.execute(sql.MEDIA_BACK, media_id)
        await db.execute("DELETE FROM media_servers WHERE id = $1", media_id)
        await change.event("deleted", "media_servers", media_id, media_server_id=media_id)
    await change.wake("certificates")


async def _deleting(change: Change, read: str, ids: Sequence[int], what: str) -> dict[int, Any]:
    wanted = sorted(set(ids))
    rows = {row["id"]: row for row in await change.db.fetch(read, wanted)}
    missing = [i for i in wanted if i not in rows]
    if missing:
        raise NotFound(f"No such {what}: {_join(missing)}.", ids=missing)
    change.row_ids.extend(wanted)
    change.before = change.before or [_public(row) for row in rows.values()]
    return rows


async def _revoke(change: Change, role: str, hwid: str) -> None:
    await admission.revoke(change.db, role, hwid, f"deleted by {change.principal.name}")


async def _note(change: Change, role: str, row_id: int, happened: Happened, text: str) -> None:
    await host_log.note(change.db, role, [row_id], happened, text, user=change.principal.name)


async def _refuse_without_key(db: Connection) -> None:
    """Conflict when only one key may sign certificates, and no server has it: the host would wait for ever."""
    wanted = await configuration.value(db, "rb_key_hash")
    if wanted and not await db.fetchval(sql.SIGNS_WITH, wanted):
        raise Conflict("No server signs certificates with the key that rb_key_hash names; nobody can be authorised.")


def _require(principal: Principal, permission: Permission) -> None:
    if not principal.may(permission):
        raise Forbidden


def _final() -> list[str]:
    return [status.label for status in TaskStatus if status in FINAL]


def _public(row: Any) -> dict[str, Any]:
    return {key: row[key] for key in ("id", "hwid", "hostname", "fingerprint")}


def _join(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
