"""Trees for consoles: groups with clients, media servers with pools and storages; two queries each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.domain.errors import NotFound
from rubackup.services import scopes
from rubackup.services.change import Change

LIMIT = 20
_PAGE = Meta(description="Page, from 1.", ge=1, le=1_000_000)
_LIMIT = Meta(description="Entries a page.", ge=1, le=1000)

_MATCHING = """
FROM client_groups x WHERE ({limit}) AND ($1::text = '' OR EXISTS (
    SELECT 1 FROM clients c WHERE c.group_id = x.id AND strpos(lower(c.hostname), lower($1)) > 0))"""
_GROUPS = f"""
SELECT x.id, x.name, x.shared, x.description, (SELECT count(*) {_MATCHING}) AS total
{_MATCHING} ORDER BY x.name, x.id LIMIT $2 OFFSET $3"""
_KNOWN = "SELECT x.id FROM client_groups x WHERE x.id = ANY ($1::bigint[]) AND ({limit})"
_CLIENTS = """
SELECT w.group_id, n.total, c.id, c.hostname, c.hwid, c.online
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (group_id, lim, skip)
CROSS JOIN LATERAL (
    SELECT count(*) AS total FROM clients c
    WHERE c.group_id = w.group_id AND ($4 = '' OR strpos(lower(c.hostname), lower($4)) > 0)
) n
LEFT JOIN LATERAL (
    SELECT c.id, c.hostname, c.hwid, coalesce(p.online, false) AS online
    FROM clients c LEFT JOIN client_presence p ON p.client_id = c.id
    WHERE c.group_id = w.group_id AND ($4 = '' OR strpos(lower(c.hostname), lower($4)) > 0)
    ORDER BY c.hostname, c.id LIMIT w.lim OFFSET w.skip
) c ON true ORDER BY w.group_id, c.hostname, c.id"""
_POOLS = """
SELECT m.id, m.hostname, m.hwid, coalesce(mp.online, false) AS online, p.id AS pool_id, p.pool_name, p.pool_type,
    coalesce(s.problem, '') AS problem, coalesce(s.free_bytes, 0) AS free_bytes,
    coalesce(s.total_bytes, 0) AS total_bytes
FROM media_servers m LEFT JOIN media_presence mp ON mp.media_server_id = m.id
LEFT JOIN pools p ON p.media_server_id = m.id LEFT JOIN pool_state s ON s.pool_id = p.id
WHERE {limit} ORDER BY m.hostname, m.id, p.pool_name"""
_STORAGES = """
SELECT s.id, s.pool_id, s.path, s.description FROM storage_local_catalogs s
WHERE s.pool_id = ANY ($1::bigint[]) ORDER BY s.path, s.id"""


class GroupPage(msgspec.Struct, kw_only=True):
    """Which clients of a group are wanted."""

    client_group_id: Annotated[int, Meta(description="Id of the group.", ge=1)]
    clients_limit: Annotated[int, _LIMIT] = LIMIT
    clients_page: Annotated[int, _PAGE] = 1


class ClientsTreeQuery(msgspec.Struct, kw_only=True):
    """Which groups and clients are wanted."""

    clients: Annotated[
        list[GroupPage],
        Meta(description="Pages of clients by group; the first page for groups not named.", max_length=1000),
    ] = []
    client_groups_page: Annotated[int, _PAGE] = 1
    client_groups_limit: Annotated[int, _LIMIT] = LIMIT
    filter_clients_hostname: Annotated[str, Meta(description="Part of a host name, any case.", max_length=253)] = ""


class ClientLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A client in the tree."""

    id: Annotated[int, Meta(description="Id of the client.")]
    hostname: Annotated[str, Meta(description="Host name.")]
    hwid: Annotated[str, Meta(description="Hardware id: 16 hex digits.")]
    online: Annotated[bool, Meta(description="Whether it is connected.")]


class GroupNode(msgspec.Struct, frozen=True, kw_only=True):
    """A client group in the tree."""

    id: Annotated[int, Meta(description="Id of the group.")]
    name: Annotated[str, Meta(description="Name of the group.")]
    shared: Annotated[bool, Meta(description="Whether copies may be restored to other clients of the group.")]
    description: Annotated[str, Meta(description="Free text.")]
    clients: Annotated[list[ClientLeaf], Meta(description="A page of its clients.")]
    clients_total: Annotated[int, Meta(description="How many clients match.")]
    clients_page: Annotated[int, Meta(description="Which page this is.")]
    clients_limit: Annotated[int, Meta(description="Clients a page.")]


class ClientsTree(msgspec.Struct, frozen=True, kw_only=True):
    """A page of client groups with a page of clients each."""

    client_groups: Annotated[list[GroupNode], Meta(description="A page of groups, by name.")]
    client_groups_total: Annotated[int, Meta(description="How many groups match.")]
    client_groups_page: Annotated[int, Meta(description="Which page this is.")]
    client_groups_limit: Annotated[int, Meta(description="Groups a page.")]


class StorageLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A storage in the tree."""

    id: Annotated[int, Meta(description="Id in storage_local_catalogs.")]
    path: Annotated[str, Meta(description="Folder on the media server.")]
    description: Annotated[str, Meta(description="Free text.")]


class PoolNode(msgspec.Struct, frozen=True, kw_only=True):
    """A pool in the tree."""

    id: Annotated[int, Meta(description="Id of the pool.")]
    pool_name: Annotated[str, Meta(description="Name of the pool.")]
    pool_type: Annotated[str, Meta(description="A name of destination_storage_types.")]
    problem: Annotated[str, Meta(description="What keeps the pool from being used; empty when nothing does.")]
    free_bytes: Annotated[int, Meta(description="Free space of its storages in bytes.")]
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


async def clients_tree(change: Change, wanted: ClientsTreeQuery) -> ClientsTree:
    """A page of groups with clients. NotFound for a named group that does not exist for the caller."""
    limit = scopes.clients(change.principal, "x.id")
    offset = (wanted.client_groups_page - 1) * wanted.client_groups_limit
    groups = await change.db.fetch(
        _GROUPS.format(limit=limit.numbered(4)), wanted.filter_clients_hostname, wanted.client_groups_limit, offset,
        *limit.values,
    )  # fmt: skip
    pages = {page.client_group_id: page for page in wanted.clients}
    await _refuse_unknown(change, pages, limit)
    shown = [pages.get(group["id"]) or GroupPage(client_group_id=group["id"]) for group in groups]
    rows = await change.db.fetch(
        _CLIENTS, [p.client_group_id for p in shown], [p.clients_limit for p in shown],
        [(p.clients_page - 1) * p.clients_limit for p in shown], wanted.filter_clients_hostname,
    )  # fmt: skip
    return ClientsTree(
        client_groups=[_group(group, page, rows) for group, page in zip(groups, shown, strict=True)],
        client_groups_total=groups[0]["total"] if groups else 0,
        client_groups_page=wanted.client_groups_page,
        client_groups_limit=wanted.client_groups_limit,
    )


async def _refuse_unknown(change: Change, pages: Mapping[int, GroupPage], limit: scopes.Limit) -> None:
    if not pages:
        return
    statement = _KNOWN.format(limit=limit.numbered(2))
    known = {row["id"] for row in await change.db.fetch(statement, list(pages), *limit.values)}
    missing = sorted(pages.keys() - known)
    if missing:
        raise NotFound(f"No such client groups: {', '.join(map(str, missing))}.", ids=missing)


def _group(group: Any, page: GroupPage, rows: list[Any]) -> GroupNode:
    own = [row for row in rows if row["group_id"] == group["id"]]
    leaves = [
        ClientLeaf(id=r["id"], hostname=r["hostname"], hwid=r["hwid"], online=r["online"])
        for r in own
        if r["id"] is not None
    ]
    return GroupNode(
        id=group["id"],
        name=group["name"],
        shared=group["shared"],
        description=group["description"],
        clients=leaves,
        clients_total=own[0]["total"],
        clients_page=page.clients_page,
        clients_limit=page.clients_limit,
    )


async def media_servers_tree(change: Change) -> MediaServersTree:
    """Every media server that the caller may see, also without pools, its pools also without storages."""
    limit = scopes.storage(change.principal, "m.id")
    rows = await change.db.fetch(_POOLS.format(limit=limit.numbered(1)), *limit.values)
    pool_ids = [row["pool_id"] for row in rows if row["pool_id"] is not None]
    storages: dict[int, list[StorageLeaf]] = {}
    for row in await change.db.fetch(_STORAGES, pool_ids):
        leaf = StorageLeaf(id=row["id"], path=row["path"], description=row["description"])
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
        total_bytes=row["total_bytes"],
        storages=storages.get(row["pool_id"], []),
    )
