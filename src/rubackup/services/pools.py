"""What a media server must serve, and what it says of its pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.pools import BLOCK_DEVICE, CLIENT_DEFINED, FILE_SYSTEM, NOT_WRITTEN, SERVED, PoolProblem, cleared
from rubackup.services import configuration as settings
from rubackup.services.ports import BucketPlace
from rubackup.services.storage_kinds import CLOUD_LABEL, STATES

UNREPORTED = "The media server has not reported yet."
UNNAMED = "No client has told of a folder for it yet."
CLIENTS_PROBLEM = f"""CASE WHEN count(t.client_id) = 0 THEN '{UNNAMED}' WHEN bool_or(t.problem = '') THEN ''
    ELSE min(t.problem) END"""
"""What keeps a Client defined storage from being used, of the rows `t` of its `client_defined_storage_state`."""
_SERVED = ", ".join(f"'{name}'" for name in sorted(SERVED))
PROBLEM = f"""CASE WHEN p.pool_type IN ({_SERVED}) THEN coalesce(s.problem, '{UNREPORTED}')
    WHEN p.pool_type = '{CLIENT_DEFINED}' THEN CASE WHEN s.reported_at IS NULL THEN '{UNNAMED}' ELSE s.problem END
    ELSE '{NOT_WRITTEN.format("' || p.pool_type || '")}' END"""
"""What keeps pool `p` with its `pool_state s` from being used; '' when nothing does."""
PROBLEM_CODE = f"""CASE WHEN p.pool_type NOT IN ({_SERVED}, '{CLIENT_DEFINED}') THEN '{PoolProblem.NOT_WRITTEN}'
    WHEN s.reported_at IS NULL THEN '{PoolProblem.UNREPORTED}' WHEN s.problem = '' THEN ''
    ELSE coalesce(nullif(s.problem_code, ''), '{PoolProblem.OTHER}') END"""
"""What kind of problem that is, a `PoolProblem`."""
TOTAL_BYTES = f"""CASE WHEN p.pool_type = '{BLOCK_DEVICE}' AND coalesce(s.total_bytes, 0) = 0
    THEN (SELECT coalesce(sum(d.size_bytes), 0)::bigint FROM storage_block_devices d WHERE d.pool_id = p.id)
    ELSE coalesce(s.total_bytes, 0) END"""  # noqa: S608 - a constant
"""Size of the storages of pool `p` with its `pool_state s`."""

_POOLS = """
SELECT p.id, p.uuid, p.pool_name, p.pool_type, p.meta_data_pool_id, p.compression_type, p.ignore_free_space_check,
    p.algorithm, p.hash_length, p.block_size,
    coalesce(s.reconcile_wanted, false) AS reconcile_wanted, coalesce(s.contact, 0) + 1 AS contact
FROM pools p JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN pool_state s ON s.pool_id = p.id
WHERE m.hwid = $1 AND p.pool_type = ANY ($2::text[]) ORDER BY p.id"""
_STORAGES = """
SELECT s.id, s.path, s.pool_id FROM storage_local_catalogs s WHERE s.pool_id = ANY ($1::bigint[]) ORDER BY s.id"""
_DEVICES = """
SELECT s.id, s.device AS path, s.pool_id, s.uuid, s.parallel_workers FROM storage_block_devices s
WHERE s.pool_id = ANY ($1::bigint[]) ORDER BY s.id"""
_CLOUDS = f"""
SELECT s.*, {CLOUD_LABEL} AS path FROM storage_clouds s
WHERE s.pool_id = ANY ($1::bigint[]) ORDER BY s.id"""  # noqa: S608 - expressions of the code
_REPORT = """
INSERT INTO pool_state AS state (pool_id, problem, free_bytes, used_bytes, total_bytes, chunks, reconciled, reported_at,
    contact, emergency_path, emergency_problem, emergency_free_bytes, emergency_used_bytes, emergency_total_bytes, away, problem_code)
SELECT p.id, r.problem, r.free_bytes, r.used_bytes, r.total_bytes, r.chunks, r.reconciled, now(),
    CASE WHEN r.reconciled THEN r.contact ELSE 0 END, r.e_path, r.e_problem, r.e_free, r.e_used, r.e_total, ARRAY(SELECT jsonb_array_elements_text(r.away::jsonb)),
    r.code
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[],
        $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[], $16::text[])
    AS r (id, problem, free_bytes, used_bytes, total_bytes, chunks, reconciled, contact, e_path, e_problem, e_free, e_used, e_total, away, code)
JOIN pools p ON p.id = r.id JOIN media_servers m ON m.id = p.media_server_id AND m.hwid = $1
ORDER BY p.id
ON CONFLICT (pool_id) DO UPDATE SET problem = excluded.problem, free_bytes = excluded.free_bytes,
    used_bytes = excluded.used_bytes, total_bytes = excluded.total_bytes, chunks = excluded.chunks,
    reconciled = excluded.reconciled, reconcile_wanted = state.reconcile_wanted AND NOT excluded.reconciled,
    contact = greatest(state.contact, excluded.contact), reported_at = excluded.reported_at,
    emergency_path = excluded.emergency_path,
    emergency_problem = excluded.emergency_problem, emergency_free_bytes = excluded.emergency_free_bytes,
    emergency_used_bytes = excluded.emergency_used_bytes, emergency_total_bytes = excluded.emergency_total_bytes,
    away = excluded.away, problem_code = excluded.problem_code"""
_PROBLEMS = """
SELECT s.pool_id, p.pool_name, s.problem, s.emergency_path, s.emergency_used_bytes, s.away FROM pool_state s
JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = p.media_server_id WHERE m.hwid = $1"""
_REPORT_STORAGES = """
INSERT INTO {state} AS state (storage_id, problem, free_bytes, used_bytes, total_bytes, reported_at)
SELECT l.id, r.problem, r.free_bytes, r.used_bytes, r.total_bytes, now()
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS r (id, problem, free_bytes, used_bytes, total_bytes, pool_id)
JOIN {family} l ON l.id = r.id AND l.pool_id = r.pool_id
JOIN pools p ON p.id = l.pool_id JOIN media_servers m ON m.id = p.media_server_id AND m.hwid = $1
ORDER BY l.id
ON CONFLICT (storage_id) DO UPDATE SET problem = excluded.problem, free_bytes = excluded.free_bytes,
    used_bytes = excluded.used_bytes, total_bytes = excluded.total_bytes, reported_at = excluded.reported_at"""
_EVENT = """
INSERT INTO events (kind, family, row_id, media_server_id, data)
SELECT 'changed', 'pool_list', p.id, p.media_server_id, $2 FROM pools p WHERE p.id = $1"""


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What tells a device from another one at its path: its uuid in hex, '' when it was never made ready."""

    uuid: str
    workers: int


class StorageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A storage of a pool: a folder when it is neither `device` nor `bucket`. Ids are of the family of the pool's type."""

    id: int
    path: str
    """Folder, device, or endpoint, bucket and prefix."""
    device: DeviceRow | None = None
    bucket: BucketPlace | None = None


class PoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as its media server must serve it.

    `reserve_bytes` a backup must leave free; `evenly`: not one storage after another.
    """

    id: int
    uuid: str
    name: str
    compression: str
    reserve_bytes: int
    storages: list[StorageRow]
    evenly: bool = False
    emergency: str = ""
    """Folder for what no storage has room for; '' for none."""
    reconciled: bool = False
    """An administrator has reconciled, and the media server does not know yet."""
    metadata_pool: int = 0
    """Where the metafiles of its devices are kept; 0 for nowhere."""
    contact: int = 1
    """Number of the next contact with the pool: one more than it confirmed last."""
    algorithm: str = ""
    hash_length: int = 0
    block_size: int = 0
    """Of Block device pools."""


class StorageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a storage of a pool; '' in `problem` when it can be used."""

    id: int
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int


class EmergencyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a pool's emergency storage, in which something of it lies."""

    path: str = ""
    problem: str = ""
    free_bytes: int = 0
    used_bytes: int = 0
    total_bytes: int = 0


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
    emergency: EmergencyReport | None = None
    away: tuple[str, ...] = ()
    """Storages of the pool that are not there."""
    code: str = ""
    """What kind of problem it is, a `domain.pools.PoolProblem`."""


async def configuration(database: Database, media_hwid: str) -> list[PoolRow]:
    """The complete list of the pools whose storages the media server has."""
    async with database.transaction() as db:
        rows = await db.fetch(_POOLS, media_hwid, list(SERVED))
        storages = await _storages(db, [row["id"] for row in rows])
        reserve = await settings.number(db, "pool_storage_capacity_reserve")
        evenly = await settings.value(db, "data_spred_into_pool") == "evenly"
        emergency = str(await settings.value(db, "emergency_storage_local_catalog"))
        return [
            PoolRow(
                id=row["id"],
                uuid=row["uuid"].hex,
                name=row["pool_name"],
                compression=row["compression_type"],
                reserve_bytes=0 if row["ignore_free_space_check"] else reserve,
                storages=storages[row["id"]],
                metadata_pool=row["meta_data_pool_id"] or 0,
                evenly=evenly,
                emergency=emergency if row["pool_type"] == FILE_SYSTEM else "",
                reconciled=row["reconcile_wanted"],
                contact=row["contact"],
                algorithm=row["algorithm"] or "",
                hash_length=row["hash_length"] or 0,
                block_size=row["block_size"] or 0,
            )
            for row in rows
        ]


async def _storages(db: Connection, pool_ids: list[int]) -> dict[int, list[StorageRow]]:
    """The storages of pools, of whatever kind, in the order in which they were added."""
    found: dict[int, list[StorageRow]] = {pool_id: [] for pool_id in pool_ids}
    for row in await db.fetch(_STORAGES, pool_ids):
        found[row["pool_id"]].append(StorageRow(id=row["id"], path=row["path"]))
    for row in await db.fetch(_DEVICES, pool_ids):
        device = DeviceRow(uuid=row["uuid"].hex if row["uuid"] else "", workers=row["parallel_workers"])
        found[row["pool_id"]].append(StorageRow(id=row["id"], path=row["path"], device=device))
    for row in await db.fetch(_CLOUDS, pool_ids):
        bucket = BucketPlace(
            **{name: row[name] for name in BucketPlace.__struct_fields__ if name in row.keys()}  # noqa: SIM118 - a record
        )
        found[row["pool_id"]].append(StorageRow(id=row["id"], path=row["path"], bucket=bucket))
    return found


async def contacts(database: Database, media_hwid: str) -> list[tuple[int, int]]:
    """Each of the media server's pools, and the number of the next contact with it."""
    async with database.connection() as db:
        return [(row["id"], row["contact"]) for row in await db.fetch(_POOLS, media_hwid, list(SERVED))]


async def report(database: Database, media_hwid: str, states: Sequence[PoolReport]) -> None:
    """Store how the pools are; states of pools of other media servers are ignored."""
    async with database.transaction() as db:
        before = {row["pool_id"]: row for row in await db.fetch(_PROBLEMS, media_hwid)}
        spare = [s.emergency or EmergencyReport() for s in states]
        await db.execute(
            _REPORT, media_hwid, [s.id for s in states], [s.problem for s in states], [s.free_bytes for s in states],
            [s.used_bytes for s in states], [s.total_bytes for s in states], [s.chunks for s in states],
            [s.reconciled for s in states], [s.contact for s in states],
            [e.path for e in spare], [e.problem for e in spare],
            [e.free_bytes for e in spare], [e.used_bytes for e in spare], [e.total_bytes for e in spare],
            [msgspec.json.encode(s.away).decode() for s in states], [s.code for s in states],
        )  # fmt: skip
        found = [(state.id, storage) for state in states for storage in state.storages]
        for family, table in STATES.items():
            await db.execute(
                _REPORT_STORAGES.format(family=family, state=table), media_hwid, [s.id for _, s in found],
                [s.problem for _, s in found], [s.free_bytes for _, s in found], [s.used_bytes for _, s in found],
                [s.total_bytes for _, s in found], [pool_id for pool_id, _ in found],
            )  # fmt: skip
        for row in await db.fetch(_PROBLEMS, media_hwid):
            if data := _news(before.get(row["pool_id"]), row):
                await db.execute(_EVENT, row["pool_id"], data)


def _news(before: Any, row: Any) -> dict[str, Any]:
    """What an event tells of a pool: its problem, folders that went away or came back, the use of its emergency storage."""
    data: dict[str, Any] = {}
    if before is None or before["problem"] != row["problem"]:
        data["problem"] = row["problem"]
    if row["away"] != (before["away"] if before else []):
        data["away"] = list(row["away"])
    if row["emergency_path"] != (before["emergency_path"] if before else ""):
        data["emergency_storage"] = row["emergency_path"]
        data["message"] = _of_emergency(row)
    return data


def _of_emergency(row: Any) -> str:
    path, pool = row["emergency_path"], row["pool_name"]
    if not path:
        return f"Nothing of pool {pool} lies in the emergency storage any more."
    used = f"{row['emergency_used_bytes']} bytes of pool {pool} lie in the emergency storage {path}."
    return f"{used} {cleared(path)}".rstrip()
