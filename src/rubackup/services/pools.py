"""What a media server must serve, and what it says of its pools."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rubackup.catalog.database import Database
from rubackup.domain.pools import BLOCK_DEVICE, FILE_SYSTEM, NOT_WRITTEN, WRITTEN
from rubackup.services import configuration as settings

UNREPORTED = "The media server has not reported yet."
PROBLEM = f"""CASE WHEN p.pool_type = '{FILE_SYSTEM}' THEN coalesce(s.problem, '{UNREPORTED}')
    ELSE '{NOT_WRITTEN.format("' || p.pool_type || '")}' END"""
"""What keeps pool `p` with its `pool_state s` from being used; '' when nothing does."""
TOTAL_BYTES = f"""CASE WHEN p.pool_type = '{BLOCK_DEVICE}'
    THEN (SELECT coalesce(sum(d.size_bytes), 0)::bigint FROM storage_block_devices d WHERE d.pool_id = p.id)
    ELSE coalesce(s.total_bytes, 0) END"""  # noqa: S608 - a constant
"""Size of the storages of pool `p` with its `pool_state s`."""

_POOLS = """
SELECT p.id, p.uuid, p.pool_name, p.compression_type, p.ignore_free_space_check,
    coalesce(s.reconcile_wanted, false) AS reconcile_wanted, coalesce(s.contact, 0) + 1 AS contact
FROM pools p JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN pool_state s ON s.pool_id = p.id
WHERE m.hwid = $1 AND p.pool_type = ANY ($2::text[]) ORDER BY p.id"""
_STORAGES = """
SELECT s.id, s.path, s.pool_id FROM storage_local_catalogs s WHERE s.pool_id = ANY ($1::bigint[]) ORDER BY s.id"""
_REPORT = """
INSERT INTO pool_state AS state
    (pool_id, problem, free_bytes, used_bytes, total_bytes, chunks, reconciled, contact, reported_at)
SELECT p.id, r.problem, r.free_bytes, r.used_bytes, r.total_bytes, r.chunks, r.reconciled,
    CASE WHEN r.reconciled THEN r.contact ELSE 0 END, now()
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[], $9::bigint[])
    AS r (id, problem, free_bytes, used_bytes, total_bytes, chunks, reconciled, contact)
JOIN pools p ON p.id = r.id JOIN media_servers m ON m.id = p.media_server_id AND m.hwid = $1
ORDER BY p.id
ON CONFLICT (pool_id) DO UPDATE SET problem = excluded.problem, free_bytes = excluded.free_bytes,
    used_bytes = excluded.used_bytes, total_bytes = excluded.total_bytes, chunks = excluded.chunks,
    reconciled = excluded.reconciled, reconcile_wanted = state.reconcile_wanted AND NOT excluded.reconciled,
    contact = greatest(state.contact, excluded.contact), reported_at = excluded.reported_at"""
_PROBLEMS = """
SELECT s.pool_id, s.problem FROM pool_state s
JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = p.media_server_id WHERE m.hwid = $1"""
_REPORT_STORAGES = """
INSERT INTO storage_state AS state (storage_id, problem, free_bytes, used_bytes, total_bytes, reported_at)
SELECT l.id, r.problem, r.free_bytes, r.used_bytes, r.total_bytes, now()
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS r (id, problem, free_bytes, used_bytes, total_bytes)
JOIN storage_local_catalogs l ON l.id = r.id JOIN media_servers m ON m.id = l.media_server_id AND m.hwid = $1
ORDER BY l.id
ON CONFLICT (storage_id) DO UPDATE SET problem = excluded.problem, free_bytes = excluded.free_bytes,
    used_bytes = excluded.used_bytes, total_bytes = excluded.total_bytes, reported_at = excluded.reported_at"""
_EVENT = """
INSERT INTO events (kind, family, row_id, media_server_id, data)
SELECT 'changed', 'pool_list', p.id, p.media_server_id, $2 FROM pools p WHERE p.id = $1"""


class PoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as its media server must serve it.

    `storages`: (id, path); `reserve_bytes` a backup must leave free; `evenly`: not one storage after another.
    """

    id: int
    uuid: str
    name: str
    compression: str
    reserve_bytes: int
    storages: list[tuple[int, str]]
    evenly: bool = False
    reconciled: bool = False
    """An administrator has reconciled, and the media server does not know yet."""
    contact: int = 1
    """Number of the next contact with the pool: one more than it confirmed last."""


class StorageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a folder of a pool; '' in `problem` when it can be used."""

    id: int
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int


class PoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a pool; '' in `problem` when it can be used."""

    id: int
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int
    chunks: int
    reconciled: bool = True
    """Whether the pool knows this catalogue."""
    contact: int = 0
    """Number of the last contact that it knows; counts when it is reconciled."""
    storages: tuple[StorageReport, ...] = ()


async def configuration(database: Database, media_hwid: str) -> list[PoolRow]:
    """The complete list of the media server's pools of the types that this version writes to."""
    async with database.transaction() as db:
        rows = await db.fetch(_POOLS, media_hwid, list(WRITTEN))
        storages: dict[int, list[tuple[int, str]]] = {row["id"]: [] for row in rows}
        for storage in await db.fetch(_STORAGES, list(storages)):
            storages[storage["pool_id"]].append((storage["id"], storage["path"]))
        reserve = await settings.number(db, "pool_storage_capacity_reserve")
        evenly = await settings.value(db, "data_spred_into_pool") == "evenly"
        return [
            PoolRow(
                id=row["id"],
                uuid=row["uuid"].hex,
                name=row["pool_name"],
                compression=row["compression_type"],
                reserve_bytes=0 if row["ignore_free_space_check"] else reserve,
                storages=storages[row["id"]],
                evenly=evenly,
                reconciled=row["reconcile_wanted"],
                contact=row["contact"],
            )
            for row in rows
        ]


async def contacts(database: Database, media_hwid: str) -> list[tuple[int, int]]:
    """Each of the media server's pools, and the number of the next contact with it."""
    async with database.connection() as db:
        return [(row["id"], row["contact"]) for row in await db.fetch(_POOLS, media_hwid, list(WRITTEN))]


async def report(database: Database, media_hwid: str, states: Sequence[PoolReport]) -> None:
    """Store how the pools are; states of pools of other media servers are ignored."""
    async with database.transaction() as db:
        before = {row["pool_id"]: row["problem"] for row in await db.fetch(_PROBLEMS, media_hwid)}
        await db.execute(
            _REPORT, media_hwid, [s.id for s in states], [s.problem for s in states], [s.free_bytes for s in states],
            [s.used_bytes for s in states], [s.total_bytes for s in states], [s.chunks for s in states],
            [s.reconciled for s in states], [s.contact for s in states],
        )  # fmt: skip
        found = [storage for state in states for storage in state.storages]
        await db.execute(
            _REPORT_STORAGES, media_hwid, [s.id for s in found], [s.problem for s in found],
            [s.free_bytes for s in found], [s.used_bytes for s in found], [s.total_bytes for s in found],
        )  # fmt: skip
        for row in await db.fetch(_PROBLEMS, media_hwid):
            if before.get(row["pool_id"]) != row["problem"]:
                await db.execute(_EVENT, row["pool_id"], {"problem": row["problem"]})
