"""Limits of the bandwidth of clients."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Body, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.resources._bandwidth import COLUMNS, WindowEnd, WindowStart
from rubackup.services import client_bandwidth, scopes


class ClientBandwidthRow(msgspec.Struct, kw_only=True):
    """A limit of a client's bandwidth."""

    id: Annotated[int, Meta(description="Id of the limit.")]
    client: Annotated[str, Meta(description="The client, `hostname (hwid)`.")]
    client_ref: Annotated[int, Meta(description="Id of the client.")]
    client_hwid: Annotated[str, Meta(description="Hardware id of the client: 16 hex digits.")]
    backup_bandwidth: Annotated[int, Meta(description="Limit of its backups in KiB per second; 0: no limit.")]
    restore_bandwidth: Annotated[int, Meta(description="Limit of its restores in KiB per second; 0: no limit.")]
    window_start: WindowStart
    window_end: WindowEnd


_EXAMPLE = {
    "client": "rubackup-client (525a99154f3505a2)", "backup_bandwidth": 0, "restore_bandwidth": 0,
    "window_start": "14:33:31", "window_end": "14:33:31",
}  # fmt: skip

CLIENT_BANDWIDTH = Resource(
    path="client_bandwidth",
    name="Client Bandwidth",
    tag="Client Bandwidth",
    summary="Limits of the bandwidth of clients",
    read=Permission.READ_CLIENTS,
    write=Permission.WRITE_CLIENTS,
    row=ClientBandwidthRow,
    source=Source(
        "client_bandwidth b JOIN clients c ON c.id = b.client_id",
        "b.id",
        {
            "id": "b.id", "client": "c.hostname || ' (' || c.hwid || ')'", "client_ref": "b.client_id",
            "client_hwid": "c.hwid", **COLUMNS,
        },
        frozenset({"id", "client_ref", "client_hwid"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.clients(principal, "c.group_id")),
    changeable=limited(lambda principal: scopes.clients(principal, "c.group_id", write=True)),
    create=making(client_bandwidth.create),
    create_body=Body(client_bandwidth.NewClientBandwidth, example={"data": _EXAMPLE}),
    update=client_bandwidth.update,
    update_body=Body(
        client_bandwidth.ClientBandwidthChange,
        example={"data": {**_EXAMPLE, "id": 1, "client_hwid": "525a99154f3505a2"}},
    ),
    delete=client_bandwidth.delete,
)  # fmt: skip
