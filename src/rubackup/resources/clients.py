"""Clients, those that wait for authorisation, and what can be asked of a live client."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.lookups import LookupRow
from rubackup.api.resource import LOG, Action, Answer, Body, Call, Created, Later, Op, Page, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, whole, with_body
from rubackup.services import browse, clients, scopes, trees, unauthorised
from rubackup.services.unauthorised import REPLACES_KEY, replaces_key


class ClientRow(msgspec.Struct, kw_only=True):
    """An authorised client."""

    id: Annotated[int, Meta(description="Id of the client.")]
    client: Annotated[str, Meta(description="The client as other resources name it: `hostname (hwid)`.")]
    hostname: Annotated[str, Meta(description="Host name.")]
    hwid: Annotated[str, Meta(description="Hardware id: 16 hex digits.")]
    group_id: Annotated[str, Meta(description="Name of the client group.")]
    group_id_ref: Annotated[int, Meta(description="Id of the client group.")]
    description: Annotated[str, Meta(description="Free text.")]
    online: Annotated[bool, Meta(description="Whether it is connected.")]
    last_online: Annotated[datetime | None, Meta(description="When it came or went last.")]
    os_type: Annotated[str, Meta(description="A name of os_types.")]
    os_version: Annotated[str, Meta(description="Version of the operating system.")]
    package_version: Annotated[str, Meta(description="Version of the client's software.")]
    resource_types: Annotated[list[str], Meta(description="What it can back up, names of resource_types.")]
    ciphers: Annotated[list[str], Meta(description="What it can encrypt with, names of crypto.")]
    key_ids: Annotated[list[str], Meta(description="Which keys of encrypted copies it holds, the current one first.")]
    lsf_flag: Annotated[bool, Meta(description="Whether backups that its own tools start go to `ls_pool`.")]
    ls_pool: Annotated[str | None, Meta(description="Name of the pool for backups that its own tools start.")]
    ls_pool_ref: Annotated[int | None, Meta(description="Id of that pool.")]
    lrl_flag: Annotated[bool, Meta(description="Whether its own tools may see its rules and make requests about them.")]
    storage_capacity: Annotated[int, Meta(description="Limit for its copies in gigabytes; 0: none.")]
    max_tasks: Annotated[int, Meta(description="How many of its tasks are at work at a time; 0: as many as it takes.")]
    centralized_restore: Annotated[bool, Meta(description="Whether restores to it may be ordered through the API.")]
    client_side_backup: Annotated[bool, Meta(description="Whether its own tools may start backups.")]
    client_side_restore: Annotated[bool, Meta(description="Whether its own tools may start restores.")]
    fingerprint: Annotated[str, Meta(description="SHA-256 fingerprint of its key.")]
    certificate_not_after: Annotated[datetime | None, Meta(description="When its certificate ends.")]
    authorised_at: Annotated[datetime, Meta(description="When it was authorised.")]


_OWN = (
    "id", "hostname", "hwid", "description", "os_type", "os_version", "package_version", "resource_types", "ciphers", "key_ids", "lsf_flag",
    "lrl_flag", "storage_capacity", "max_tasks", "centralized_restore", "client_side_backup", "client_side_restore", "fingerprint",
    "certificate_not_after", "authorised_at",
)  # fmt: skip
_SOURCE = Source(
    "clients c LEFT JOIN client_groups g ON g.id = c.group_id LEFT JOIN client_presence p ON p.client_id = c.id "
    "LEFT JOIN pools ls ON ls.id = c.ls_pool_id",
    "c.id",
    {
        **{one: f"c.{one}" for one in _OWN},
        "client": "c.hostname || ' (' || c.hwid || ')'",
        "group_id": "g.name",
        "group_id_ref": "c.group_id",
        "online": "coalesce(p.online, false)",
        "last_online": "p.last_online",
        "ls_pool": "ls.pool_name",
        "ls_pool_ref": "c.ls_pool_id",
    },
    frozenset({"id", "hostname", "hwid", "group_id_ref"}),
)


async def _authorise(call: Call) -> Created:
    ids, task_ids = await clients.authorise(call.change, call.body)
    return Created(tuple(ids), tuple(task_ids))


async def _resource_types(call: Call) -> Page:
    assert call.id is not None
    found = await clients.resource_types(call.change, call.id)
    return whole([LookupRow(one.id, one.label, one.description) for one in found])


CLIENTS = Resource(
    path="clients",
    name="Clients",
    tag="Clients",
    summary="Hosts whose data is backed up",
    read=Permission.READ_CLIENTS,
    write=Permission.WRITE_CLIENTS,
    row=ClientRow,
    source=_SOURCE,
    ops=LOG | Op.UPDATE | Op.DELETE | Op.BULK_DELETE,
    scope=limited(lambda principal: scopes.clients(principal, "c.group_id")),
    changeable=limited(lambda principal: scopes.clients(principal, "c.group_id", write=True)),
    update=clients.update,
    update_body=Body(
        clients.ClientChange,
        example={
            "data": {
                "group_id": "No group", "lsf_flag": False, "ls_pool": "Default", "lrl_flag": False,
                "storage_capacity": 10, "description": "Client description", "centralized_restore": False,
                "client_side_backup": False, "client_side_restore": False,
            }
        },
    ),
    delete=clients.delete,
    actions=(
        Action(
            "POST", "authorize", "Authorise clients that wait", Permission.AUTHORISE_CLIENTS, _authorise,
            answer=Answer.CREATED, body=Body(clients.ClientIds, example={"data": {"clients_ids": [1]}}),
        ),
        Action(
            "POST", "tree", "Client groups with their clients", Permission.READ_CLIENTS, with_body(trees.clients_tree),
            answer=Answer.OBJECT, row=trees.ClientsTree, mutates=False,
            body=Body(
                trees.ClientsTreeQuery,
                example={
                    "data": {
                        "clients": [{"client_group_id": 1, "clients_limit": 20, "clients_page": 1}],
                        "client_groups_page": 1, "client_groups_limit": 20, "filter_clients_hostname": "rubackup-client",
                    }
                },
            ),
        ),
        Action(
            "GET", "{id}/resource_type", "What a client can back up", Permission.READ_CLIENTS, _resource_types,
            answer=Answer.LIST, row=LookupRow, mutates=False,
        ),
    ),
)  # fmt: skip


class UnauthorisedClientRow(msgspec.Struct, kw_only=True):
    """A client that waits for authorisation."""

    id: Annotated[int, Meta(description="Id of the row.")]
    hostname: Annotated[str, Meta(description="Host name that it told.")]
    hwid: Annotated[str, Meta(description="Hardware id that it told: 16 hex digits.")]
    address: Annotated[str, Meta(description="Address that it came from.")]
    os_type: Annotated[str, Meta(description="A name of os_types.")]
    os_version: Annotated[str, Meta(description="Version of the operating system.")]
    package_version: Annotated[str, Meta(description="Version of its software.")]
    fingerprint: Annotated[str, Meta(description="SHA-256 fingerprint of its key; compare it with the host's.")]
    replaces_key: Annotated[bool, Meta(description=REPLACES_KEY)]
    first_seen_at: Annotated[datetime, Meta(description="When it asked first.")]
    last_seen_at: Annotated[datetime, Meta(description="When it asked last.")]


_WAITING = (
    "id", "hostname", "hwid", "address", "os_type", "os_version", "package_version", "fingerprint", "first_seen_at",
    "last_seen_at",
)  # fmt: skip
UNAUTHORISED_CLIENTS = Resource(
    path="unauthorised_clients",
    name="Unauthorised Clients",
    tag="Unauthorised Clients",
    summary="Clients that wait for authorisation",
    read=Permission.READ_CLIENTS,
    write=Permission.AUTHORISE_CLIENTS,
    row=UnauthorisedClientRow,
    source=Source(
        "unauthorised_clients u",
        "u.id",
        {**{one: f"u.{one}" for one in _WAITING}, "replaces_key": replaces_key("clients")},
        frozenset({"id", "hwid"}),
    ),
    ops=LOG | Op.DELETE | Op.BULK_DELETE,
    delete=unauthorised.forget_clients,
)


async def _list_filesystem(call: Call) -> Later:
    folders = await browse.checked(call.change, call.body)

    async def ask() -> Page:
        return whole(await browse.list_filesystem(call.change.hosts, folders))

    return Later(ask)


LIST_CLIENT_FILESYSTEM = Resource(
    path="list_client_filesystem",
    name="List Client Filesystem",
    tag="List Client Filesystem",
    summary="Folders of a live client",
    read=Permission.BROWSE_CLIENTS,
    actions=(
        Action(
            "POST", "", "Entries of folders of live clients", Permission.BROWSE_CLIENTS, _list_filesystem,
            answer=Answer.LIST, row=browse.LiveEntry, mutates=False, operation_id="list_client_filesystem",
            body=Body(
                browse.LiveFolder, many=True, example={"data": [{"client_hwid": "525a99154f3505a2", "path": "/"}]}
            ),
        ),
    ),
)  # fmt: skip
