"""Which clients and media servers are connected, and to which server.

Coming online changes the presence row first and unblocks after that; whoever blocks a task on an
offline host holds that row FOR SHARE. So no task is blocked on a host that has just come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection, Database
from rubackup.domain.identity import KEY_ID
from rubackup.domain.lookups import Crypto
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import host_log
from rubackup.services.host_log import Happened

UNBLOCK_AT_ONCE = 1000
MOST_PLACES = 100_000
SILENT_SECONDS = 15.0
"""A server that was not heard of for so long has died, or lost the catalogue."""
KEYS = 1000
"""So many keys of a client are remembered."""
STORAGES = 100
"""So many names of storages that a client has folders for are remembered."""
NAME_LENGTH = 128

_CLIENT_FACTS = """
UPDATE clients SET hostname = $2, package_version = $3, os_type = $4, os_version = $5, resource_types = $6,
    ciphers = $7, key_ids = $8, storages = $9
WHERE hwid = $1 RETURNING id, group_id"""
_KEYS = "UPDATE clients SET key_ids = $2 WHERE hwid = $1"
_MEDIA_FACTS = """
UPDATE media_servers m SET package_version = $3, os_type = $4, os_version = $5, data_endpoint = $6,
    hostname = CASE WHEN EXISTS (SELECT 1 FROM media_servers o WHERE o.hostname = $2 AND o.id <> m.id)
        THEN m.hostname ELSE $2 END
WHERE hwid = $1 RETURNING id"""
_CLIENT_COMES = """
INSERT INTO client_presence (client_id, online, server_hwid, last_online, tasks_taken) VALUES ($1, true, $2, now(), $3)
ON CONFLICT (client_id) DO UPDATE SET online = true, server_hwid = $2, last_online = now(), tasks_taken = $3"""
_MEDIA_COMES = """
INSERT INTO media_presence (media_server_id, online, server_hwid, last_online, tasks_taken, sessions_taken)
VALUES ($1, true, $2, now(), $3, $4)
ON CONFLICT (media_server_id) DO UPDATE SET online = true, server_hwid = $2, last_online = now(), tasks_taken = $3,
    sessions_taken = $4"""
_CLIENT_GOES = """
UPDATE client_presence p SET online = false, last_online = now() FROM clients c
WHERE c.id = p.client_id AND p.online AND c.hwid = $1 AND p.server_hwid = $2 RETURNING c.id, c.group_id"""
_MEDIA_GOES = """
UPDATE media_presence p SET online = false, last_online = now() FROM media_servers m
WHERE m.id = p.media_server_id AND p.online AND m.hwid = $1 AND p.server_hwid = $2 RETURNING m.id"""
_RESET = """
WITH gone AS (UPDATE {table} SET online = false WHERE online AND server_hwid = $1 RETURNING {key})
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
SELECT 'presence', '{family}', h.id, {group}, {media}, '{{"online": false}}' FROM gone JOIN {family} h ON h.id = gone.{key}"""
_SEEN = "UPDATE servers SET seen_at = now() WHERE hwid = $1"
_TABLES = {
    "client": {"table": "client_presence", "key": "client_id", "hosts": "clients", "group": "h.group_id"},
    "media": {
        "table": "media_presence", "key": "media_server_id", "hosts": "media_servers", "group": "NULL::bigint",
    },
}  # fmt: skip
_DEAD = """NOT EXISTS (
    SELECT 1 FROM servers s WHERE s.hwid = p.server_hwid AND s.seen_at > now() - make_interval(secs => {silent}))"""
_STILL_HERE = f"""
WITH found AS (
    SELECT p.{{key}} AS id, p.online FROM {{table}} p JOIN {{hosts}} h ON h.id = p.{{key}}
    WHERE h.hwid = ANY ($1::text[]) AND (NOT p.online OR p.server_hwid <> $2 AND {_DEAD.format(silent="$3")})
    ORDER BY p.{{key}} FOR UPDATE OF p
)
UPDATE {{table}} p SET online = true, server_hwid = $2, last_online = now()
FROM found f JOIN {{hosts}} h ON h.id = f.id WHERE p.{{key}} = f.id
RETURNING h.id, h.hwid, {{group}} AS group_id, f.online AS was_online"""  # noqa: S608 - names of the code
_NOBODYS = f"""
WITH found AS (
    SELECT p.{{key}} AS id FROM {{table}} p WHERE p.online AND p.server_hwid <> $1 AND {_DEAD.format(silent="$2")}
    ORDER BY p.{{key}} LIMIT 1000 FOR UPDATE
)
UPDATE {{table}} p SET online = false, last_online = now()
FROM found f JOIN {{hosts}} h ON h.id = f.id WHERE p.{{key}} = f.id
RETURNING h.id, h.hwid, {{group}} AS group_id"""  # noqa: S608 - names of the code
_NOT_HERE = """
WITH gone AS (
    SELECT h.hwid FROM {table} p JOIN {hosts} h ON h.id = p.{key}
    WHERE p.online AND p.server_hwid = $2 AND p.last_online < now() - make_interval(secs => $3)
    EXCEPT SELECT unnest($1::text[])
), found AS (
    SELECT p.{key} AS id FROM gone JOIN {hosts} h ON h.hwid = gone.hwid JOIN {table} p ON p.{key} = h.id
    WHERE p.online AND p.server_hwid = $2 AND p.last_online < now() - make_interval(secs => $3)
    ORDER BY p.{key} LIMIT 1000 FOR UPDATE OF p
)
UPDATE {table} p SET online = false, last_online = now()
FROM found f JOIN {hosts} h ON h.id = f.id WHERE p.{key} = f.id
RETURNING h.id, h.hwid, {group} AS group_id"""
"""The going of these could not be written when they went. EXCEPT, as what the planner thinks of a list of 10,000 names made an anti-join a
loop in a loop, of 12 s."""
_SERVER = """
INSERT INTO servers (hwid, hostname, package_version, issuing_key_hash) VALUES ($1, $2, $3, $4)
ON CONFLICT (hwid) DO UPDATE SET hostname = $2, package_version = $3, issuing_key_hash = $4, started_at = now(),
    seen_at = now()"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
VALUES ('presence', $1, $2, $3, $4, $5)"""


async def client_online(
    database: Database,
    hwid: str,
    server_hwid: str,
    *,
    hostname: str,
    package_version: str,
    os_type: str = "Linux",
    os_version: str = "",
    resource_types: Sequence[str] = (),
    ciphers: Sequence[str] = (),
    key_ids: Sequence[str] = (),
    storages: Sequence[str] = (),
    tasks: int = 0,
) -> None:
    """Store what the client says of itself and let its waiting tasks run. Unknown clients are left alone.

    `tasks`: how many it works on at a time; 0: it does not say.
    """
    async with database.transaction() as db:
        row = await db.fetchrow(
            _CLIENT_FACTS,
            hwid,
            hostname,
            package_version,
            os_type,
            os_version,
            list(resource_types),
            [name for name in Crypto.labels() if name in ciphers],
            _keys(key_ids),
            [name for name in storages if len(name) <= NAME_LENGTH and name.isprintable()][:STORAGES],
        )
        if row is None:
            return
        await db.execute(_CLIENT_COMES, row["id"], server_hwid, _places(tasks))
        await db.execute(_EVENT, "clients", row["id"], row["group_id"], None, {"online": True})
        await host_log.note(db, "client", [row["id"]], Happened.ONLINE, _with(package_version))
        await _unblock(db, f"client:{hwid}")


async def client_keys(database: Database, hwid: str, key_ids: Sequence[str]) -> None:
    """Store which keys a client holds now."""
    async with database.connection() as db:
        await db.execute(_KEYS, hwid, _keys(key_ids))


def _keys(key_ids: Sequence[str]) -> list[str]:
    """The ids that are some, as many as a client can have use of."""
    return [key_id for key_id in key_ids if KEY_ID.fullmatch(key_id)][:KEYS]


async def media_online(
    database: Database,
    hwid: str,
    server_hwid: str,
    *,
    hostname: str,
    package_version: str,
    os_type: str = "Linux",
    os_version: str = "",
    data_endpoint: str = "",
    tasks: int = 0,
    sessions: int = 0,
) -> None:
    """Store what the media server says of itself and let the tasks that wait for it run.

    `tasks` and `sessions`: how many of its own, and of clients, it has at a time; 0: it does not say.

    A new host name is taken over unless another media server has it.
    """
    async with database.transaction() as db:
        row = await db.fetchrow(_MEDIA_FACTS, hwid, hostname, package_version, os_type, os_version, data_endpoint)
        if row is None:
            return
        await db.execute(_MEDIA_COMES, row["id"], server_hwid, _places(tasks), _places(sessions))
        await db.execute(_EVENT, "media_servers", row["id"], None, row["id"], {"online": True})
        await host_log.note(db, "media", [row["id"]], Happened.ONLINE, _with(package_version))
        await _unblock(db, f"media:{hwid}")


async def client_offline(database: Database, hwid: str, server_hwid: str) -> None:
    """The connection to this server is gone; nothing changes when the client is connected to another by now."""
    async with database.transaction() as db:
        row = await db.fetchrow(_CLIENT_GOES, hwid, server_hwid)
        if row is not None:
            await db.execute(_EVENT, "clients", row["id"], row["group_id"], None, {"online": False})
            await host_log.note(db, "client", [row["id"]], Happened.OFFLINE)


async def media_offline(database: Database, hwid: str, server_hwid: str) -> None:
    """As `client_offline`, for a media server."""
    async with database.transaction() as db:
        row = await db.fetchrow(_MEDIA_GOES, hwid, server_hwid)
        if row is not None:
            await db.execute(_EVENT, "media_servers", row["id"], None, row["id"], {"online": False})
            await host_log.note(db, "media", [row["id"]], Happened.OFFLINE)


async def repeat(
    database: Database,
    server_hwid: str,
    clients: Sequence[str],
    media_servers: Sequence[str],
    coming: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """The server lives and these hosts (by hwid) are connected to it: those that were offline, or known by a server that died.

    What was said by a server that has not been heard of for 15 s is taken back, where it concerns no host of these, and what
    this one has said more than 15 s ago of others.
    Of hosts that are just `coming`, `client_online` and `media_online` tell, each by itself.
    Returns role and hwid of those that are back.
    """
    async with database.transaction() as db:  # at once, and without a lock on the row meanwhile
        await db.execute(_SEEN, server_hwid)
    async with database.transaction() as db:
        back = []
        for role, table in _TABLES.items():
            connected = clients if role == "client" else media_servers
            rows = await db.fetch(_STILL_HERE.format(**table), list(connected), server_hwid, SILENT_SECONDS)
            for row in rows:
                if not row["was_online"]:
                    await _tell(db, role, row, online=True)
                    await _unblock(db, f"{role}:{row['hwid']}")
                back.append((role, row["hwid"]))
            lost = await db.fetch(_NOBODYS.format(**table), server_hwid, SILENT_SECONDS)
            lost += await db.fetch(_NOT_HERE.format(**table), [*connected, *coming], server_hwid, SILENT_SECONDS)
            for row in lost:
                await _tell(db, role, row, online=False)
        return back


async def _tell(db: Connection, role: str, row: Any, *, online: bool) -> None:
    family = "clients" if role == "client" else "media_servers"
    media_id = row["id"] if role == "media" else None
    await db.execute(_EVENT, family, row["id"], row["group_id"], media_id, {"online": online})
    await host_log.note(db, role, [row["id"]], Happened.ONLINE if online else Happened.OFFLINE)


async def reset(
    database: Database, server_hwid: str, *, hostname: str, package_version: str, issuing_key_hash: str = ""
) -> None:
    """The server starts: it is listed with the key that it signs certificates with, and nobody is connected to it."""
    async with database.transaction() as db:
        await db.execute(_SERVER, server_hwid, hostname, package_version, issuing_key_hash)
        await host_log.note_all_offline(db, server_hwid, f"Server {hostname} starts: nobody is connected to it yet.")
        await db.execute(
            _RESET.format(
                table="client_presence", key="client_id", family="clients", group="h.group_id", media="NULL::bigint"
            ),
            server_hwid,
        )
        await db.execute(
            _RESET.format(
                table="media_presence",
                key="media_server_id",
                family="media_servers",
                group="NULL::bigint",
                media="h.id",
            ),
            server_hwid,
        )


def _places(told: int) -> int | None:
    """A number of places as it is stored; a host that says nothing, or nonsense, has no limit but its own word."""
    return told if 0 < told <= MOST_PLACES else None


def _with(package_version: str) -> str:
    return f"With version {package_version}."


async def _unblock(db: Connection, on: str) -> None:
    queue = PostgresQueue(db)
    while await queue.unblock(on, UNBLOCK_AT_ONCE) == UNBLOCK_AT_ONCE:
        pass
