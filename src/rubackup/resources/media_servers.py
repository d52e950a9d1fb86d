"""Media servers, and those that wait for authorisation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Action, Answer, Body, Call, Created, Later, Op, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, made
from rubackup.services import media_servers, scopes, storage_tree, unauthorised, unknown_pools
from rubackup.services.unauthorised import REPLACES_KEY, replaces_key


class MediaServerRow(msgspec.Struct, kw_only=True):
    """An authorised media server."""

    id: Annotated[int, Meta(description="Id of the media server.")]
    hostname: Annotated[str, Meta(description="Host name, as other resources write it.")]
    hwid: Annotated[str, Meta(description="Hardware id: 64 hex digits.")]
    description: Annotated[str, Meta(description="Free text.")]
    local_service_mode: Annotated[str, Meta(description="yes: no new tasks for this media server's pools.")]
    max_tasks: Annotated[int, Meta(description="How many tasks of its pools are at work at a time; 0: any number.")]
    online: Annotated[bool, Meta(description="Whether it is connected.")]
    last_online: Annotated[datetime | None, Meta(description="When it came or went last.")]
    os_type: Annotated[str, Meta(description="A name of os_types.")]
    os_version: Annotated[str, Meta(description="Version of the operating system.")]
    package_version: Annotated[str, Meta(description="Version of its software.")]
    data_endpoint: Annotated[str, Meta(description="Where clients send their data, `host:port`.")]
    fingerprint: Annotated[str, Meta(description="SHA-256 fingerprint of its key.")]
    certificate_not_after: Annotated[datetime | None, Meta(description="When its certificate ends.")]
    authorised_at: Annotated[datetime, Meta(description="When it was authorised.")]


_OWN = (
    "id", "hostname", "hwid", "description", "max_tasks", "os_type", "os_version", "package_version", "data_endpoint",
    "fingerprint", "certificate_not_after", "authorised_at",
)  # fmt: skip
_TABLE = "media_servers m LEFT JOIN media_presence p ON p.media_server_id = m.id"
_WITH_TAPE = """(SELECT * FROM media_servers s WHERE EXISTS (
    SELECT 1 FROM pools o WHERE o.media_server_id = s.id AND o.pool_type = 'Tape library')) m"""
_COLUMNS = {
    **{one: f"m.{one}" for one in _OWN},
    "local_service_mode": "CASE WHEN m.local_service_mode THEN 'yes' ELSE 'no' END",
    "online": "coalesce(p.online, false)",
    "last_online": "p.last_online",
}
_SCOPE = limited(lambda principal: scopes.storage(principal, "m.id"))


async def _authorise(call: Call) -> Created:
    return made([await media_servers.authorise(call.change, call.body)])


async def _unknown_pools(call: Call) -> Later:
    assert call.id is not None
    hwid, hosts = await unknown_pools.media_server(call.change, call.id), call.change.hosts
    return Later(lambda: hosts.held_pools(hwid), unknown_pools.unknown)


async def _tree(call: Call) -> storage_tree.MediaServersTree:
    return await storage_tree.media_servers_tree(call.change)


MEDIA_SERVERS = Resource(
    path="media_servers",
    name="Media Servers",
    tag="Media Servers",
    summary="Hosts that store copies",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    remove=Permission.AUTHORISE_MEDIA,
    row=MediaServerRow,
    source=Source(_TABLE, "m.id", _COLUMNS, frozenset({"id", "hostname", "hwid"})),
    ops=LOG | Op.UPDATE | Op.DELETE | Op.BULK_DELETE,
    scope=_SCOPE,
    changeable=limited(lambda principal: scopes.storage(principal, "m.id", write=True)),
    update=media_servers.update,
    update_body=Body(
        media_servers.MediaServerChange, example={"data": {"description": "", "local_service_mode": "no"}}
    ),
    delete=media_servers.delete,
    actions=(
        Action(
            "POST", "authorize", "Authorise a media server that waits", Permission.AUTHORISE_MEDIA, _authorise,
            answer=Answer.CREATED,
            body=Body(media_servers.MediaServerName, example={"data": {"hostname": "my_hostname"}}),
        ),
        Action(
            "GET", "tree", "Media servers with their pools and storages", Permission.READ_STORAGE, _tree,
            answer=Answer.OBJECT, row=storage_tree.MediaServersTree, mutates=False,
        ),
        Action(
            "GET", "{id}/unknown_pools", "Pools that the media server holds and the catalogue does not know",
            Permission.WRITE_CONFIGURATION, _unknown_pools, answer=Answer.OBJECT, row=unknown_pools.UnknownPools,
            mutates=False,
        ),
    ),
)  # fmt: skip

MEDIA_SERVERS_WITH_TAPE = Resource(
    path="media_servers/filtered_by_tape_library_pool",
    name="Media Servers",
    tag="Media Servers",
    summary="Hosts that store copies",
    read=Permission.READ_STORAGE,
    row=MediaServerRow,
    source=Source(
        _WITH_TAPE + _TABLE.removeprefix("media_servers m"),
        "m.id", _COLUMNS, frozenset({"id", "hostname", "hwid"}), lock="-",
    ),
    ops=Op.LIST,
    scope=_SCOPE,
)  # fmt: skip


class UnauthorisedMediaServerRow(msgspec.Struct, kw_only=True):
    """A media server that waits for authorisation."""

    id: Annotated[int, Meta(description="Id of the row.")]
    hostname: Annotated[str, Meta(description="Host name that it told.")]
    hwid: Annotated[str, Meta(description="Hardware id that it told: 64 hex digits.")]
    address: Annotated[str, Meta(description="Address that it came from.")]
    os_type: Annotated[str, Meta(description="A name of os_types.")]
    os_version: Annotated[str, Meta(description="Version of the operating system.")]
    package_version: Annotated[str, Meta(description="Version of its software.")]
    data_endpoint: Annotated[str, Meta(description="Where clients would send their data, `host:port`.")]
    fingerprint: Annotated[str, Meta(description="SHA-256 fingerprint of its key; compare it with the host's.")]
    replaces_key: Annotated[bool, Meta(description=REPLACES_KEY)]
    first_seen_at: Annotated[datetime, Meta(description="When it asked first.")]
    last_seen_at: Annotated[datetime, Meta(description="When it asked last.")]


_WAITING = (
    "id", "hostname", "hwid", "address", "os_type", "os_version", "package_version", "data_endpoint", "fingerprint",
    "first_seen_at", "last_seen_at",
)  # fmt: skip
UNAUTHORISED_MEDIA_SERVERS = Resource(
    path="unauthorised_media_servers",
    name="Unauthorised Media Servers",
    tag="Unauthorised Media Servers",
    summary="Media servers that wait for authorisation",
    read=Permission.READ_STORAGE,
    write=Permission.AUTHORISE_MEDIA,
    row=UnauthorisedMediaServerRow,
    source=Source(
        "unauthorised_media_servers u", "u.id",
        {**{one: f"u.{one}" for one in _WAITING}, "replaces_key": replaces_key("media_servers")},
        frozenset({"id", "hwid"}),
    ),
    ops=LOG | Op.DELETE | Op.BULK_DELETE,
    scope=limited(scopes.authorises_media),
    delete=unauthorised.forget_media_servers,
)  # fmt: skip
