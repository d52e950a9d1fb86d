"""What happened to clients and to media servers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited
from rubackup.services import scopes
from rubackup.services.host_log import ACTIONS, KEPT_DAYS

_ACTION = Meta(description=f"What happened: {', '.join(ACTIONS)}.")
_USER = Meta(description="Name of the user who did it; empty for the system and the host itself.")
_TEXT = Meta(description="What there is to say about it.")


class ClientLogRow(msgspec.Struct, kw_only=True):
    """What happened to a client."""

    id: Annotated[int, Meta(description="Number of the line.")]
    at: Annotated[datetime, Meta(description=f"When it happened. Lines are kept for {KEPT_DAYS} days.")]
    client: Annotated[str, Meta(description="The client, `hostname (hwid)`, as it was called then.")]
    client_ref: Annotated[
        int | None, Meta(description="Id of the client, also of one that was deleted; null before it was authorised.")
    ]
    hostname: Annotated[str, Meta(description="Its host name then.")]
    hwid: Annotated[str, Meta(description="Its hardware id: 16 hex digits.")]
    user_name: Annotated[str, _USER]
    action: Annotated[str, _ACTION]
    text: Annotated[str, _TEXT]


class MediaServerLogRow(msgspec.Struct, kw_only=True):
    """What happened to a media server."""

    id: Annotated[int, Meta(description="Number of the line.")]
    at: Annotated[datetime, Meta(description=f"When it happened. Lines are kept for {KEPT_DAYS} days.")]
    media_server: Annotated[str, Meta(description="Host name of the media server then.")]
    media_server_ref: Annotated[
        int | None,
        Meta(description="Id of the media server, also of one that was deleted; null before it was authorised."),
    ]
    hwid: Annotated[str, Meta(description="Its hardware id: 64 hex digits.")]
    user_name: Annotated[str, _USER]
    action: Annotated[str, _ACTION]
    text: Annotated[str, _TEXT]


_COMMON = {one: f"l.{one}" for one in ("id", "at", "hwid", "user_name", "action", "text")}

CLIENTS_LOG = Resource(
    path="clients_log",
    name="Clients Log",
    tag="Clients Log",
    summary="What happened to clients",
    read=Permission.READ_CLIENTS,
    row=ClientLogRow,
    source=Source(
        "clients_log l",
        "l.id",
        {
            **_COMMON, "client": "l.hostname || ' (' || l.hwid || ')'", "client_ref": "l.client_id",
            "hostname": "l.hostname",
        },
        frozenset({"id", "at", "client_ref", "hwid"}),
        descending=True,
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.clients(principal, "l.client_group_id")),
)  # fmt: skip

MEDIA_SERVERS_LOG = Resource(
    path="media_servers_log",
    name="Media Servers Log",
    tag="Media Servers Log",
    summary="What happened to media servers",
    read=Permission.READ_STORAGE,
    row=MediaServerLogRow,
    source=Source(
        "media_servers_log l",
        "l.id",
        {**_COMMON, "media_server": "l.hostname", "media_server_ref": "l.media_server_id"},
        frozenset({"id", "at", "media_server_ref", "hwid"}),
        descending=True,
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.storage(principal, "l.media_server_id")),
)
