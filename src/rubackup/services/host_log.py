"""What happened to clients and media servers, line by line; the lines outlive the host.

A client's lines belong to its group, and move with it to another one; those of hosts that were never
authorised belong to none. Housekeeping removes lines after `KEPT_DAYS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rubackup.catalog.database import Connection, Database

KEPT_DAYS = 90
"""How long a line stays."""
REFUSALS_MINUTES = 60
"""A host that is refused over and over for one reason leaves one line in so many minutes."""
TEXT_CHARACTERS = 1000


class Happened(Enum):
    """What a line is about; the value is its `action`."""

    WAITING = "waiting"
    """It asks for a certificate and waits for an administrator."""
    FORGOTTEN = "forgotten"
    """A user deleted it from those that wait."""
    AUTHORISED = "authorised"
    EDITED = "edited"
    DELETED = "deleted"
    """Its certificates are revoked; it waits for authorisation again."""
    ONLINE = "online"
    OFFLINE = "offline"
    CERTIFICATE = "certificate"
    """It was given a certificate: the first one or a renewed one."""
    REFUSED = "refused"
    """It came with a certificate that does not count any more."""


ACTIONS = tuple(one.value for one in Happened)


@dataclass(frozen=True)
class _Log:
    """The statements of one of the two logs."""

    of_rows: str
    of_waiting: str
    crowded: str
    refused: str
    offline: str
    remove: str


_OF_ROWS = """
INSERT INTO {log} ({key}, {scope} hostname, hwid, user_name, action, text)
SELECT h.id, {its_scope} h.hostname, h.hwid, $2, $3, $4 FROM {family} h WHERE h.id = ANY ($1::bigint[]) ORDER BY h.id"""
_OF_WAITING = """
INSERT INTO {log} (hostname, hwid, user_name, action, text)
SELECT u.hostname, u.hwid, $2, $3, $4 FROM unauthorised_{family} u WHERE u.id = ANY ($1::bigint[]) ORDER BY u.id"""
_CROWDED = """
INSERT INTO {log} (hostname, hwid, action, text)
SELECT u.hostname, u.hwid, 'waiting', $2 FROM unauthorised_{family} u WHERE u.id = $1 AND NOT EXISTS (
    SELECT 1 FROM {log} l WHERE l.hwid = u.hwid AND l.action = 'waiting' AND l.text = $2
        AND l.at > now() - make_interval(mins => $3))"""
CROWDED = (
    "So many keys wait that the address with the most loses the one that asked longest ago. Somebody may pose as this"
    " host: compare fingerprints and delete those that are none of yours."
)
_REFUSED = """
INSERT INTO {log} ({key}, {scope} hostname, hwid, action, text)
SELECT last.{key}, {last_scope} $2, $1, 'refused', $3
FROM (SELECT 1) one LEFT JOIN LATERAL (
    SELECT l.{key} {more} FROM {log} l WHERE l.hwid = $1 AND l.{key} IS NOT NULL ORDER BY l.id DESC LIMIT 1
) last ON true
WHERE NOT EXISTS (
    SELECT 1 FROM {log} l WHERE l.hwid = $1 AND l.action = 'refused' AND l.text = $3
        AND l.at > now() - make_interval(mins => $4))"""
_OFFLINE = """
INSERT INTO {log} ({key}, {scope} hostname, hwid, action, text)
SELECT h.id, {its_scope} h.hostname, h.hwid, 'offline', $2 FROM {presence} p JOIN {family} h ON h.id = p.{key}
WHERE p.online AND p.server_hwid = $1 ORDER BY h.id"""
_REMOVE = """
DELETE FROM {log} WHERE id IN (
    SELECT id FROM {log} WHERE at < now() - make_interval(days => $1) ORDER BY at, id LIMIT $2)"""


def _log(family: str, key: str, presence: str, scope: str = "") -> _Log:
    names = {
        "log": f"{family}_log", "family": family, "key": key, "presence": presence,
        "scope": f"{scope}," if scope else "", "last_scope": f"last.{scope}," if scope else "",
        "more": f", l.{scope}" if scope else "", "its_scope": "h.group_id," if scope else "",
    }  # fmt: skip
    return _Log(*(text.format(**names) for text in (_OF_ROWS, _OF_WAITING, _CROWDED, _REFUSED, _OFFLINE, _REMOVE)))


_LOGS = {
    "client": _log("clients", "client_id", "client_presence", "client_group_id"),
    "media": _log("media_servers", "media_server_id", "media_presence"),
}
_MOVE = "UPDATE clients_log SET client_group_id = $2 WHERE client_id = $1"


async def note(
    db: Connection, role: str, ids: Sequence[int], happened: Happened, text: str = "", *, user: str = ""
) -> None:
    """A line for each of these hosts of a role (`client`, `media`); of a host's deletion before it is done."""
    await db.execute(_LOGS[role].of_rows, list(ids), user, happened.value, _cut(text))


async def note_waiting(
    db: Connection, role: str, ids: Sequence[int], happened: Happened, text: str = "", *, user: str = ""
) -> None:
    """A line for each of these hosts that wait for authorisation."""
    await db.execute(_LOGS[role].of_waiting, list(ids), user, happened.value, _cut(text))


async def note_crowded(db: Connection, role: str, row_id: int) -> None:
    """This host that waits gives way to another; of one hardware id one line an hour, however many keys are made up."""
    await db.execute(_LOGS[role].crowded, row_id, CROWDED, REFUSALS_MINUTES)


async def note_all_offline(db: Connection, server_hwid: str, text: str) -> None:
    """A line for each host that the catalogue has as connected to this server."""
    for log in _LOGS.values():
        await db.execute(log.offline, server_hwid, text)


async def note_refused(database: Database, role: str, hwid: str, hostname: str, text: str) -> None:
    """A host with a certificate was turned away; for the same reason one line an hour.

    The certificate proves that the hardware id was authorised once: the line goes to whom it belonged last.
    """
    async with database.connection() as db:
        await db.execute(_LOGS[role].refused, hwid, hostname, _cut(text), REFUSALS_MINUTES)


async def move(db: Connection, client_id: int, group_id: int) -> None:
    """The client goes to another group, and its lines with it."""
    await db.execute(_MOVE, client_id, group_id)


async def remove_old(db: Connection, limit: int) -> None:
    """Remove lines whose time is over, at most `limit` of each log."""
    for log in _LOGS.values():
        await db.execute(log.remove, KEPT_DAYS, limit)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS] + "…"
