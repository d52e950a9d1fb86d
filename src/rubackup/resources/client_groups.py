"""Client groups."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Body, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.services import client_groups, scopes


class ClientGroupRow(msgspec.Struct, kw_only=True):
    """A client group."""

    id: Annotated[int, Meta(description="Id of the group.")]
    name: Annotated[str, Meta(description="Name of the group.")]
    shared: Annotated[bool, Meta(description="Whether copies of one client may be restored to another of the group.")]
    clustered: Annotated[bool, Meta(description="Whether the clients are nodes of one cluster.")]
    description: Annotated[str, Meta(description="Free text.")]
    launch_attempts_limit: Annotated[int, Meta(description="How often a task of a client is tried.")]


_COLUMNS = ("id", "name", "shared", "clustered", "description", "launch_attempts_limit")
_EXAMPLE = {
    "data": {
        "name": "group_name", "shared": False, "clustered": False, "description": "some description",
        "launch_attempts_limit": 1,
    }
}  # fmt: skip

CLIENT_GROUPS = Resource(
    path="client_groups",
    name="Client Groups",
    tag="Client Groups",
    summary="What administrators administer",
    read=Permission.READ_CLIENTS,
    write=Permission.WRITE_CLIENT_GROUPS,
    row=ClientGroupRow,
    source=Source("client_groups g", "g.id", {one: f"g.{one}" for one in _COLUMNS}, frozenset({"id", "name"})),
    ops=CRUD,
    scope=limited(lambda principal: scopes.clients(principal, "g.id")),
    changeable=limited(lambda principal: scopes.clients(principal, "g.id", write=True)),
    create=making(client_groups.create),
    create_body=Body(client_groups.NewClientGroup, example=_EXAMPLE),
    update=client_groups.update,
    update_body=Body(client_groups.ClientGroupChange, example=_EXAMPLE),
    delete=client_groups.delete,
)
