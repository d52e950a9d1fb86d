"""How busy the servers are, and what they are: hardware id, licence, the client beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Clause, Resource, Source
from rubackup.domain.lookups import LicenseType
from rubackup.domain.permissions import Permission, Principal
from rubackup.services import scopes
from rubackup.services.monitoring import FIGURES, ONLINE_SECONDS


class MonitoringRow(msgspec.Struct, kw_only=True):
    """What a server measured between two instants. `general_*`: the whole host, `server_*`: our process there."""

    id: Annotated[int, Meta(description="Number of the record.")]
    hostname: Annotated[str, Meta(description="Host name of the server or media server.")]
    hwid: Annotated[str, Meta(description="Its hardware id: 64 hex digits.")]
    server_type: Annotated[str, Meta(description="server or media server.")]
    timestamp_before: Annotated[datetime, Meta(description="Beginning of the measurement.")]
    timestamp_after: Annotated[datetime, Meta(description="End of the measurement.")]
    general_cpu_usage: Annotated[float, Meta(description="Processor time used, percent of all processors.")]
    server_cpu_usage: Annotated[float, Meta(description="Processor time of our process, percent of all processors.")]
    general_ram_usage: Annotated[float, Meta(description="Memory in use, percent.")]
    server_ram_usage: Annotated[float, Meta(description="Memory of our process, percent.")]
    general_ram_usage_m: Annotated[float, Meta(description="Memory in use, megabytes (2^20 bytes).")]
    server_ram_usage_m: Annotated[float, Meta(description="Memory of our process, megabytes (2^20 bytes).")]
    general_io_usage_r: Annotated[float, Meta(description="Read from disks, bytes per second.")]
    general_io_usage_w: Annotated[float, Meta(description="Written to disks, bytes per second.")]
    server_io_usage_r: Annotated[float, Meta(description="Read from disks by our process, bytes per second.")]
    server_io_usage_w: Annotated[float, Meta(description="Written to disks by our process, bytes per second.")]
    general_net_usage_r: Annotated[float, Meta(description="Received from the network, bytes per second.")]
    general_net_usage_w: Annotated[float, Meta(description="Sent to the network, bytes per second.")]
    load_average: Annotated[float, Meta(description="Processes that ran or waited, mean of the last minute.")]


_OWN = ("id", "hostname", "hwid", "server_type", "timestamp_before", "timestamp_after", *FIGURES)

SYSTEM_MONITORING = Resource(
    path="rubackup_server_system_monitoring",
    name="Rubackup Server System Monitoring",
    tag="Rubackup Server System Monitoring",
    summary="How busy the servers are",
    read=Permission.READ_MONITORING,
    row=MonitoringRow,
    source=Source(
        "system_monitoring m",
        "m.id",
        {one: f"m.{one}" for one in _OWN},
        frozenset({"id", "hwid", "timestamp_after"}),
        descending=True,
    ),
    ops=LOG,
)


class ServerHwidRow(msgspec.Struct, kw_only=True):
    """A server or media server with its hardware id, its licence, and the client on the same host."""

    id: Annotated[int, Meta(description="Number of the row: even for media servers, odd for servers.")]
    hostname: Annotated[str, Meta(description="Host name.")]
    hwid: Annotated[str, Meta(description="Hardware id: 64 hex digits.")]
    server_type: Annotated[str, Meta(description="server or media server.")]
    media_server_ref: Annotated[int | None, Meta(description="Id of the media server; null for a server.")]
    client: Annotated[
        str | None,
        Meta(description="The client with the same host name, `hostname (hwid)`; null when the caller may see none."),
    ]
    client_ref: Annotated[int | None, Meta(description="Id of that client.")]
    license_type: Annotated[str, Meta(description="A name of license_types.")]
    license_capacity: Annotated[int | None, Meta(description="Gigabytes that the licence covers; null: no limit.")]
    license_valid_until: Annotated[datetime | None, Meta(description="When the licence ends; null: never.")]
    online: Annotated[bool, Meta(description="Whether it runs and is connected.")]
    last_online: Annotated[datetime | None, Meta(description="When it came, went or was seen last.")]
    package_version: Annotated[str, Meta(description="Version of its software.")]


_HOSTS = f"""(
    SELECT 2 * m.id AS id, m.hostname, m.hwid, 'media server' AS server_type, m.id AS media_server_id,
        m.package_version, coalesce(p.online, false) AS online, p.last_online
    FROM media_servers m LEFT JOIN media_presence p ON p.media_server_id = m.id
    UNION ALL
    SELECT 2 * s.id + 1, s.hostname, s.hwid, 'server', NULL, s.package_version,
        s.seen_at > now() - interval '{ONLINE_SECONDS} seconds', s.seen_at
    FROM servers s
) h LEFT JOIN LATERAL (
    SELECT c.id, c.group_id, c.hostname || ' (' || c.hwid || ')' AS label
    FROM clients c LEFT JOIN client_presence o ON o.client_id = c.id WHERE lower(c.hostname) = lower(h.hostname)
    ORDER BY coalesce(o.online, false) DESC, c.id DESC LIMIT 1
) c ON true CROSS JOIN (VALUES (true), (false)) v (client_shown)"""  # noqa: S608 - a constant of ours
"""Every host stands here twice, with its client and without; the scope takes the one that the caller may see."""


def _scope(principal: Principal) -> Clause:
    own, clients = scopes.storage(principal, "h.media_server_id"), scopes.clients(principal, "c.group_id")
    sql = f"({own.sql}) AND v.client_shown = (c.id IS NOT NULL AND ({clients.sql}))"
    return Clause(sql, own.values + clients.values)


SERVERS_HWID = Resource(
    path="servers_hw_id_tmp",
    name="Servers HWID",
    tag="Servers HWID",
    summary="Servers by hardware id, with licence and client",
    read=Permission.READ_STORAGE,
    row=ServerHwidRow,
    source=Source(
        _HOSTS,
        "h.id",
        {
            **{one: f"h.{one}" for one in ("id", "hostname", "hwid", "server_type", "online", "last_online")},
            "media_server_ref": "h.media_server_id",
            "client": "CASE WHEN v.client_shown THEN c.label END",
            "client_ref": "CASE WHEN v.client_shown THEN c.id END",
            "license_type": f"'{LicenseType.FREE.label}'",
            "license_capacity": "NULL::bigint",
            "license_valid_until": "NULL::timestamptz",
            "package_version": "h.package_version",
        },
        lock="-",
    ),
    ops=LOG,
    scope=_scope,
)
