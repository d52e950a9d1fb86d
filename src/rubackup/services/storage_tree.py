"""The tree of media servers with their pools and the pools' storages, in two queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.services import pools, scopes, storage_clouds
from rubackup.services.change import Change
from rubackup.services.storage_kinds import CLOUD_LABEL

_POOLS = f"""
SELECT m.id, m.hostname, m.hwid, coalesce(mp.online, false) AS online, p.id AS pool_id, p.pool_name, p.pool_type,
    {pools.PROBLEM} AS problem, coalesce(s.free_bytes, 0) AS free_bytes, coalesce(s.used_bytes, 0) AS used_bytes,
    {pools.TOTAL_BYTES} AS total_bytes
FROM media_servers m LEFT JOIN media_presence mp ON mp.media_server_id = m.id
LEFT JOIN pools p ON p.media_server_id = m.id LEFT JOIN pool_state s ON s.pool_id = p.id
WHERE {{limit}} ORDER BY m.hostname, m.id, p.pool_name"""  # noqa: S608 - expressions of the code

FAMILIES: tuple[str, ...] = (
    f"""SELECT 'storage_local_catalogs', s.id, s.pool_id, s.path, s.description, coalesce(t.problem, '{pools.UNREPORTED}'),
        t.free_bytes, t.used_bytes, t.total_bytes
    FROM storage_local_catalogs s LEFT JOIN storage_state t ON t.storage_id = s.id""",  # noqa: S608 - expressions of the code
    f"""SELECT 'storage_block_devices', s.id, s.pool_id, s.device, s.description, coalesce(t.problem, '{pools.UNREPORTED}'),
        t.free_bytes, coalesce(t.used_bytes, 0), coalesce(nullif(t.total_bytes, 0), s.size_bytes)
    FROM storage_block_devices s LEFT JOIN storage_block_device_state t ON t.storage_id = s.id""",  # noqa: S608
    f"""SELECT 'client_defined_storages', s.id, s.pool_id, s.name, s.description,
        {pools.CLIENTS_PROBLEM},
        sum(t.free_bytes)::bigint, coalesce(sum(t.used_bytes), 0)::bigint, sum(t.total_bytes)::bigint
    FROM client_defined_storages s LEFT JOIN client_defined_storage_state t ON t.storage_id = s.id GROUP BY s.id""",  # noqa: S608
    f"""SELECT 'storage_clouds', s.id, s.pool_id, {CLOUD_LABEL}, s.description, {storage_clouds.PROBLEM}, NULL,
        coalesce(t.used_bytes, 0), NULL
    FROM storage_clouds s LEFT JOIN storage_cloud_state t ON t.storage_id = s.id JOIN pools p ON p.id = s.pool_id JOIN media_servers m ON m.id = p.media_server_id""",  # noqa: S608
    """SELECT 'emergency_storage_local_catalog', s.pool_id, s.pool_id, s.emergency_path, '', s.emergency_problem,
        s.emergency_free_bytes, s.emergency_used_bytes, s.emergency_total_bytes FROM pool_state s WHERE s.emergency_path <> ''""",
    """SELECT 'tape_cartridges', c.id, c.pool_id, c.volume_tag, c.description, '', NULL, NULL, NULL
    FROM tape_cartridges c""",
)
"""For each family of storages: its name, id, pool, what it is called, description, problem, free, used, total bytes.

A family of storages is in the tree once it stands here.
"""
_STORAGES = f"""
SELECT x.* FROM ({" UNION ALL ".join(FAMILIES)})
    AS x (family, id, pool_id, path, description, problem, free_bytes, used_bytes, total_bytes)
WHERE x.pool_id = ANY ($1::bigint[]) ORDER BY x.family, x.path, x.id"""  # noqa: S608 - statements of the code


class StorageLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A storage in the tree."""

    family: Annotated[
        str,
        Meta(
            description="The family that it is a row of, such as storage_local_catalogs; emergency_storage_local_catalog: "
            "what lies in the emergency folder of the global configuration."
        ),
    ]
    id: Annotated[int, Meta(description="Id in that family; the pool's for its emergency storage.")]
    path: Annotated[str, Meta(description="Folder, device, name or bucket.")]
    description: Annotated[str, Meta(description="Free text.")]
    problem: Annotated[
        str, Meta(description="What keeps it from being used, beside what its pool says; empty when nothing does.")
    ]
    free_bytes: Annotated[int | None, Meta(description="Free space in bytes; null: not known.")]
    used_bytes: Annotated[int | None, Meta(description="What the pool's data takes in it in bytes; null: not known.")]
    total_bytes: Annotated[int | None, Meta(description="Size in bytes; null: not known, or without end.")]


class PoolNode(msgspec.Struct, frozen=True, kw_only=True):
    """A pool in the tree."""

    id: Annotated[int, Meta(description="Id of the pool.")]
    pool_name: Annotated[str, Meta(description="Name of the pool.")]
    pool_type: Annotated[str, Meta(description="A name of destination_storage_types.")]
    problem: Annotated[str, Meta(description="What keeps the pool from being used; empty when nothing does.")]
    free_bytes: Annotated[int, Meta(description="Free space of its storages in bytes.")]
    used_bytes: Annotated[int, Meta(description="What the pool's data takes in bytes.")]
    total_bytes: Annotated[int, Meta(description="Size of its storages in bytes.")]
    storages: Annotated[list[StorageLeaf], Meta(description="Its storages; none is possible.")]


class MediaServerNode(msgspec.Struct, frozen=True, kw_only=True):
    """A media server in the tree."""

    id: Annotated[int, Meta(description="Id of the media server.")]
    hostname: Annotated[str, Meta(description="Host name.")]
    hwid: Annotated[str, Meta(description="Hardware id: 64 hex digits.")]
    online: Annotated[bool, Meta(description="Whether it is connected.")]
    pools: Annotated[list[PoolNode], Meta(description="Its pools; none is possible.")]


class MediaServersTree(msgspec.Struct, frozen=True):
    """Every media server with its pools and their storages."""

    media_servers: Annotated[list[MediaServerNode], Meta(description="By host name.")]


async def media_servers_tree(change: Change) -> MediaServersTree:
    """Every media server that the caller may see, also without pools, its pools also without storages."""
    limit = scopes.storage(change.principal, "m.id")
    rows = await change.db.fetch(_POOLS.format(limit=limit.numbered(1)), *limit.values)
    pool_ids = [row["pool_id"] for row in rows if row["pool_id"] is not None]
    storages: dict[int, list[StorageLeaf]] = {}
    for row in await change.db.fetch(_STORAGES, pool_ids):
        leaf = StorageLeaf(**{name: row[name] for name in StorageLeaf.__struct_fields__})
        storages.setdefault(row["pool_id"], []).append(leaf)
    nodes: dict[int, MediaServerNode] = {}
    for row in rows:
        node = nodes.setdefault(
            row["id"],
            MediaServerNode(id=row["id"], hostname=row["hostname"], hwid=row["hwid"], online=row["online"], pools=[]),
        )
        if row["pool_id"] is not None:
            node.pools.append(_pool(row, storages))
    return MediaServersTree(list(nodes.values()))


def _pool(row: Any, storages: Mapping[int, list[StorageLeaf]]) -> PoolNode:
    return PoolNode(
        id=row["pool_id"],
        pool_name=row["pool_name"],
        pool_type=row["pool_type"],
        problem=row["problem"],
        free_bytes=row["free_bytes"],
        used_bytes=row["used_bytes"],
        total_bytes=row["total_bytes"],
        storages=storages.get(row["pool_id"], []),
    )
