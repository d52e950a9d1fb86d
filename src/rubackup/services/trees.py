"""The tree of client groups with their clients, for consoles, in two queries."""

from __future__ import annotations

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
SELECT s.total, s.known, g.id, g.name, g.shared, g.description
FROM (
    SELECT (SELECT count(*) {_MATCHING}) AS total,
        ARRAY(SELECT x.id FROM client_groups x WHERE x.id = ANY ($4::bigint[]) AND ({{limit}})) AS known
) s LEFT JOIN LATERAL (
    SELECT x.id, x.name, x.shared, x.description {_MATCHING} ORDER BY x.name, x.id LIMIT $2 OFFSET $3
) g ON true ORDER BY g.name, g.id"""  # noqa: S608 - constants
"""The page, with how many groups match and which of those that were named exist: one row at least."""
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


async def clients_tree(change: Change, wanted: ClientsTreeQuery) -> ClientsTree:
    """A page of groups with clients. NotFound for a named group that does not exist for the caller."""
    limit = scopes.clients(change.principal, "x.id")
    offset = (wanted.client_groups_page - 1) * wanted.client_groups_limit
    pages = {page.client_group_id: page for page in wanted.clients}
    found = await change.db.fetch(
        _GROUPS.format(limit=limit.numbered(5)), wanted.filter_clients_hostname, wanted.client_groups_limit, offset,
        list(pages), *limit.values,
    )  # fmt: skip
    if missing := sorted(pages.keys() - set(found[0]["known"])):
        raise NotFound(f"No such client groups: {', '.join(map(str, missing))}.", ids=missing)
    groups = [row for row in found if row["id"] is not None]
    shown = [pages.get(group["id"]) or GroupPage(client_group_id=group["id"]) for group in groups]
    rows = await change.db.fetch(
        _CLIENTS, [p.client_group_id for p in shown], [p.clients_limit for p in shown],
        [(p.clients_page - 1) * p.clients_limit for p in shown], wanted.filter_clients_hostname,
    )  # fmt: skip
    return ClientsTree(
        client_groups=[_group(group, page, rows) for group, page in zip(groups, shown, strict=True)],
        client_groups_total=found[0]["total"],
        client_groups_page=wanted.client_groups_page,
        client_groups_limit=wanted.client_groups_limit,
    )


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
