"""Client defined pools: what a client is told of those that it brings storages for, what it says of them, and what it has to do.

Each client has a part of its own of such a pool, which no other host opens. Its media server keeps the manifests.
Design: `docs/design/pools.md`, Client defined pools.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Conflict
from rubackup.domain.identity import client_label
from rubackup.domain.pools import CLIENT_DEFINED, OWNERS_ONLY, kept_folder
from rubackup.services import configuration as settings
from rubackup.services import pools
from rubackup.services.pools import PoolReport
from rubackup.services.scopes import Limit

SETTING = "CLIENT_DEFINED_STORAGES"
AT_ONCE = 1000
NAMED = 5
"""Clients that a refusal names at most."""

_POOLS = f"""
SELECT p.id, p.uuid, p.pool_name, p.ignore_free_space_check,
    (SELECT coalesce(array_agg(s.id ORDER BY s.id), '{{}}') FROM client_defined_storages s WHERE s.pool_id = p.id) AS ids,
    (SELECT coalesce(array_agg(s.name ORDER BY s.id), '{{}}') FROM client_defined_storages s WHERE s.pool_id = p.id) AS names,
    (SELECT s.metadata_fs_pool_id FROM client_defined_storages s WHERE s.pool_id = p.id ORDER BY s.id LIMIT 1) AS metadata_pool
FROM pools p WHERE p.pool_type = '{CLIENT_DEFINED}' AND """  # noqa: S608 - constants of ours
_OF_CLIENT = """EXISTS (
    SELECT 1 FROM client_defined_storages s JOIN clients c ON s.name = ANY (c.storages) WHERE s.pool_id = p.id AND c.hwid = $1)
ORDER BY p.id"""
_CLIENTS = """
SELECT DISTINCT c.hwid FROM client_defined_storages s JOIN clients c ON s.name = ANY (c.storages)"""
_REPORT = """
INSERT INTO client_defined_storage_state AS state (storage_id, client_id, problem, free_bytes, used_bytes, total_bytes, reported_at)
SELECT s.id, c.id, r.problem, r.free_bytes, r.used_bytes, r.total_bytes, now()
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS r (id, problem, free_bytes, used_bytes, total_bytes)
JOIN client_defined_storages s ON s.id = r.id JOIN clients c ON c.hwid = $1
ORDER BY s.id
ON CONFLICT (storage_id, client_id) DO UPDATE SET problem = excluded.problem, free_bytes = excluded.free_bytes,
    used_bytes = excluded.used_bytes, total_bytes = excluded.total_bytes, reported_at = excluded.reported_at"""
_GONE = """
DELETE FROM client_defined_storage_state t USING client_defined_storages s, clients c
WHERE s.id = t.storage_id AND c.id = t.client_id AND c.hwid = $1 AND t.storage_id <> ALL ($2::bigint[])
RETURNING s.pool_id"""
_OF_STORAGES = "SELECT DISTINCT pool_id FROM client_defined_storages WHERE id = ANY ($1::bigint[]) ORDER BY pool_id"
_TOTAL = f"""
WITH now AS (
    SELECT p.id, {pools.CLIENTS_PROBLEM} AS problem,
        coalesce(sum(t.free_bytes), 0)::bigint AS free_bytes, coalesce(sum(t.used_bytes), 0)::bigint AS used_bytes,
        coalesce(sum(t.total_bytes), 0)::bigint AS total_bytes, p.media_server_id, s.problem AS before
    FROM pools p LEFT JOIN client_defined_storages d ON d.pool_id = p.id
    LEFT JOIN client_defined_storage_state t ON t.storage_id = d.id LEFT JOIN pool_state s ON s.pool_id = p.id
    WHERE p.id = ANY ($1::bigint[]) GROUP BY p.id, s.problem ORDER BY p.id
), stored AS (
    INSERT INTO pool_state AS state (pool_id, problem, free_bytes, used_bytes, total_bytes, reported_at)
    SELECT id, problem, free_bytes, used_bytes, total_bytes, now() FROM now
    ON CONFLICT (pool_id) DO UPDATE SET problem = excluded.problem, free_bytes = excluded.free_bytes,
        used_bytes = excluded.used_bytes, total_bytes = excluded.total_bytes, reported_at = excluded.reported_at,
        reconciled = state.reconciled OR state.reconcile_wanted, reconcile_wanted = false
)
INSERT INTO events (kind, family, row_id, media_server_id, data)
SELECT 'changed', 'pool_list', id, media_server_id, jsonb_build_object('problem', problem) FROM now
WHERE before IS DISTINCT FROM problem"""  # noqa: S608 - expressions of the code
_WAITING = """
SELECT t.pool_id, t.uuid, t.client_hwid, p.uuid AS pool_uuid, m.hwid AS media_hwid
FROM record_tombstones t JOIN pools p ON p.id = t.pool_id JOIN media_servers m ON m.id = p.media_server_id
WHERE t.client_hwid = $1 AND t.acknowledged_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM task_queue q WHERE q.parent_uuid = t.uuid
        AND q.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission'))
ORDER BY t.created_at, t.uuid LIMIT $2"""
_KEEPER = f"""
SELECT m.hwid, p.uuid, l.epoch FROM pools p JOIN media_servers m ON m.id = p.media_server_id CROSS JOIN leadership l
WHERE p.id = $1 AND p.pool_type = '{CLIENT_DEFINED}'"""  # noqa: S608 - a constant of ours
_KEPT_WAITING = """
SELECT t.pool_id, t.uuid, t.client_hwid, p.uuid AS pool_uuid, m.hwid AS media_hwid
FROM record_tombstones t JOIN pools p ON p.id = t.pool_id JOIN media_servers m ON m.id = p.media_server_id
WHERE m.hwid = $1 AND t.client_hwid <> '' AND NOT t.manifest_gone ORDER BY t.created_at, t.uuid LIMIT $2"""
_MANIFEST_GONE = "UPDATE record_tombstones SET manifest_gone = true WHERE uuid = $1"
_UNTOLD_LOCKS = f"""
SELECT r.id, r.pool_id, r.uuid, r.locked_until FROM repository r JOIN pools p ON p.id = r.pool_id
WHERE p.pool_type = '{CLIENT_DEFINED}' AND r.client_hwid = $1 AND r.locked_until IS NOT NULL
    AND r.locked_until IS DISTINCT FROM r.pool_locked_until
ORDER BY r.id LIMIT $2"""  # noqa: S608 - a constant of ours
_ABLE = f"""
SELECT p.pool_name, c.hostname, c.hwid, c.resource_types <> ARRAY[]::text[] AS judged,
    EXISTS (SELECT 1 FROM client_defined_storages s WHERE s.pool_id = p.id AND s.name = ANY (c.storages)) AS able,
    EXISTS (SELECT 1 FROM pool_substitutions x WHERE x.pool_id = p.id) AS substituted,
    ARRAY(SELECT x.hostname || ' (' || x.hwid || ')' FROM clients x WHERE x.storages && ARRAY(
        SELECT s.name FROM client_defined_storages s WHERE s.pool_id = p.id) AND ({{limit}}) ORDER BY x.hostname, x.hwid LIMIT $3) AS others,
    ARRAY(SELECT s.name FROM client_defined_storages s WHERE s.pool_id = p.id ORDER BY s.id) AS names
FROM pools p CROSS JOIN clients c WHERE p.id = $1 AND c.id = $2 AND p.pool_type = '{CLIENT_DEFINED}'"""  # noqa: S608
_CONCERNED = """
SELECT c.id FROM clients c WHERE (
    EXISTS (SELECT 1 FROM client_defined_storage_state t JOIN client_defined_storages s ON s.id = t.storage_id
        WHERE s.pool_id = $1 AND t.client_id = c.id AND t.used_bytes > 0)
    OR EXISTS (SELECT 1 FROM repository r WHERE r.pool_id = $1 AND r.client_id = c.id))
    AND NOT EXISTS (SELECT 1 FROM task_queue q WHERE q.pool_id = $1 AND q.client_id = c.id AND q.task_type = 'Clean'
        AND q.status <> ALL ($2::text[]))
ORDER BY c.id"""
_IN_USE = """
SELECT s.id, s.name, c.hostname, c.hwid FROM client_defined_storages s
JOIN client_defined_storage_state t ON t.storage_id = s.id AND t.used_bytes > 0 JOIN clients c ON c.id = t.client_id
WHERE s.id = ANY ($1::bigint[]) AND EXISTS (SELECT 1 FROM repository r WHERE r.pool_id = s.pool_id AND r.client_hwid = c.hwid)
ORDER BY s.id, c.hostname LIMIT 1"""
_STATE = "FROM client_defined_storage_state t WHERE t.storage_id = s.id"
FOLDERS = {
    "clients": f"(SELECT count(*) {_STATE})",
    "problem": f"(SELECT {pools.CLIENTS_PROBLEM} {_STATE})",
    "used_bytes": f"(SELECT coalesce(sum(t.used_bytes), 0)::bigint {_STATE})",
}
"""What clients tell of their folders for storage `s`, by column."""
PROBLEM_OF = f"""CASE WHEN p.pool_type <> '{CLIENT_DEFINED}' OR $4::bigint IS NULL THEN '' ELSE coalesce(
    (SELECT CASE WHEN bool_or(t.problem = '') THEN '' ELSE min(t.problem) END
     FROM client_defined_storage_state t JOIN client_defined_storages k ON k.id = t.storage_id
     WHERE k.pool_id = p.id AND t.client_id = $4 HAVING count(*) > 0),
    'the client has no folder for it ({SETTING})') END"""  # noqa: S608 - constants of ours
"""What keeps the client `$4` from writing to pool `p`; '' when nothing does, for other types of pools, and for no client."""


class ClientPoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as a client keeps its part of it."""

    id: int
    uuid: str
    name: str
    storages: list[tuple[int, str]]
    metadata_pool: int = 0
    reserve_bytes: int = 0
    evenly: bool = False


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """A record that a client, and the media server that keeps its manifest, have to forget."""

    pool_id: int
    record: str
    media_hwid: str
    folder: str


async def clients(database: Database) -> set[str]:
    """Hardware ids of the clients that have folders for some pool."""
    async with database.connection() as db:
        return {row["hwid"] for row in await db.fetch(_CLIENTS)}


async def configuration(database: Database, hwid: str) -> list[ClientPoolRow]:
    """The pools that a client has folders for, as it told when it came."""
    async with database.connection() as db:
        return await _rows(db, await db.fetch(_POOLS + _OF_CLIENT, hwid))


async def of_pool(db: Connection, pool_id: int) -> ClientPoolRow | None:
    """One pool; None when it is no Client defined one."""
    rows = await _rows(db, await db.fetch(f"{_POOLS} p.id = $1", pool_id))
    return rows[0] if rows else None


async def of(database: Database, pool_id: int) -> ClientPoolRow | None:
    """As `of_pool`."""
    async with database.connection() as db:
        return await of_pool(db, pool_id)


async def keeper_of(database: Database, pool_id: int) -> tuple[str, str, int] | None:
    """Who keeps the manifests of a pool: the media server by hardware id, the pool's uuid, the epoch; None for other pools."""
    async with database.connection() as db:
        row = await db.fetchrow(_KEEPER, pool_id)
    return (row["hwid"], row["uuid"].hex, row["epoch"]) if row else None


async def _rows(db: Connection, rows: Sequence[Any]) -> list[ClientPoolRow]:
    reserve = await settings.number(db, "pool_storage_capacity_reserve")
    evenly = await settings.value(db, "data_spred_into_pool") == "evenly"
    return [
        ClientPoolRow(
            id=row["id"], uuid=row["uuid"].hex, name=row["pool_name"],
            storages=list(zip(row["ids"], row["names"], strict=True)), metadata_pool=row["metadata_pool"] or 0,
            reserve_bytes=0 if row["ignore_free_space_check"] else reserve, evenly=evenly,
        )
        for row in rows
    ]  # fmt: skip


async def report(database: Database, hwid: str, states: Sequence[PoolReport]) -> None:
    """Store how a client's storages are; those that it does not tell of any more are forgotten."""
    found = [storage for state in states for storage in state.storages]
    async with database.transaction() as db:
        ids = [s.id for s in found]
        await db.execute(
            _REPORT, hwid, ids, [s.problem for s in found], [s.free_bytes for s in found],
            [s.used_bytes for s in found], [s.total_bytes for s in found],
        )  # fmt: skip
        concerned = {row["pool_id"] for row in await db.fetch(_GONE, hwid, ids)}
        concerned |= {row["pool_id"] for row in await db.fetch(_OF_STORAGES, ids)}
        if concerned:
            await sum_up(db, sorted(concerned))


async def sum_up(db: Connection, pool_ids: Sequence[int]) -> None:
    """How these pools are, of what clients tell of the storages that they have now."""
    await db.execute(_TOTAL, list(pool_ids))


async def waiting_tombstones(database: Database, hwid: str) -> list[Tombstone]:
    """Records that a client has to forget, oldest first, at most 1,000."""
    async with database.connection() as db:
        return [_tombstone(row) for row in await db.fetch(_WAITING, hwid, AT_ONCE)]


async def kept_tombstones(database: Database, media_hwid: str) -> list[Tombstone]:
    """Records whose manifests a media server has to keep no more, whatever their clients know by now; at most 1,000."""
    async with database.connection() as db:
        return [_tombstone(row) for row in await db.fetch(_KEPT_WAITING, media_hwid, AT_ONCE)]


async def manifest_gone(database: Database, record: str) -> None:
    """The media server keeps it no more; a repeat changes nothing."""
    async with database.connection() as db:
        await db.execute(_MANIFEST_GONE, uuid.UUID(record))


def _tombstone(row: Any) -> Tombstone:
    return Tombstone(
        pool_id=row["pool_id"],
        record=row["uuid"].hex,
        media_hwid=row["media_hwid"],
        folder=kept_folder(row["pool_uuid"].hex, row["client_hwid"]),
    )


async def untold_locks(database: Database, hwid: str) -> list[tuple[int, int, str, dt.datetime]]:
    """(id, pool id, uuid, until) of copies whose lock their client has not been told, at most 1,000."""
    async with database.connection() as db:
        rows = await db.fetch(_UNTOLD_LOCKS, hwid, AT_ONCE)
    return [(row["id"], row["pool_id"], row["uuid"].hex, row["locked_until"]) for row in rows]


async def concerned(db: Connection, pool_id: int, over: Sequence[str]) -> list[int]:
    """Clients that keep something in the pool and have no cleaning of it that is not `over`."""
    return [row["id"] for row in await db.fetch(_CONCERNED, pool_id, list(over))]


async def refuse_unable(db: Connection, pool_id: int, client_id: int, limit: Limit) -> None:
    """Conflict when the client has no folder for the pool, nor another pool that could take its place.

    A client that never came online is not judged. `limit`: the clients that the caller may know of.
    """
    row = await db.fetchrow(_ABLE.format(limit=limit.numbered(4)), pool_id, client_id, NAMED, *limit.values)
    if row is None or row["able"] or row["substituted"] or not row["judged"]:
        return
    names = ", ".join(repr(name) for name in row["names"])
    others = f" Clients that have one: {', '.join(row['others'])}." if row["others"] else " No client has one."
    raise Conflict(
        f"Client {client_label(row['hostname'], row['hwid'])} has no folder for pool {row['pool_name']}: its setting {SETTING} "
        f"has to name one for a storage of the pool ({names}).{others}"
    )


async def refuse_in_use(db: Connection, storage_ids: Sequence[int]) -> None:
    """Conflict while a client keeps copies in one of these storages."""
    row = await db.fetchrow(_IN_USE, list(storage_ids))
    if row is not None:
        who = client_label(row["hostname"], row["hwid"])
        raise Conflict(
            f"The storage {row['name'] or row['id']} holds data of the pool: copies of client {who} lie there."
        )


def refuse_others(pool_type: str) -> None:
    """Conflict for a copy that only its own client can read."""
    if pool_type == CLIENT_DEFINED:
        raise Conflict(OWNERS_ONLY)
