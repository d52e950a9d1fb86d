"""Rubackup Server System Monitoring. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class MonitoringRow(TypedDict):
    """What a server measured between two instants. `general_*`: the whole host, `server_*`: our process there."""

    id: int
    """Number of the record."""
    hostname: str
    """Host name of the server or media server."""
    hwid: str
    """Its hardware id: 64 hex digits."""
    server_type: str
    """server or media server."""
    timestamp_before: str
    """Beginning of the measurement."""
    timestamp_after: str
    """End of the measurement."""
    general_cpu_usage: float
    """Processor time used, percent of all processors."""
    server_cpu_usage: float
    """Processor time of our process, percent of all processors."""
    general_ram_usage: float
    """Memory in use, percent."""
    server_ram_usage: float
    """Memory of our process, percent."""
    general_ram_usage_m: float
    """Memory in use, megabytes (2^20 bytes)."""
    server_ram_usage_m: float
    """Memory of our process, megabytes (2^20 bytes)."""
    general_io_usage_r: float
    """Read from disks, bytes per second."""
    general_io_usage_w: float
    """Written to disks, bytes per second."""
    server_io_usage_r: float
    """Read from disks by our process, bytes per second."""
    server_io_usage_w: float
    """Written to disks by our process, bytes per second."""
    general_net_usage_r: float
    """Received from the network, bytes per second."""
    general_net_usage_w: float
    """Sent to the network, bytes per second."""
    load_average: float
    """Processes that ran or waited, mean of the last minute."""


ListColumn = Literal[
    "id", "hostname", "hwid", "server_type", "timestamp_before", "timestamp_after", "general_cpu_usage",
    "server_cpu_usage", "general_ram_usage", "server_ram_usage", "general_ram_usage_m", "server_ram_usage_m",
    "general_io_usage_r", "general_io_usage_w", "server_io_usage_r", "server_io_usage_w", "general_net_usage_r",
    "general_net_usage_w", "load_average",
]  # fmt: skip


class RubackupServerSystemMonitoring(Family):
    """Rubackup Server System Monitoring."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[MonitoringRow]]:
        """List: Rubackup Server System Monitoring. Permission: See how busy the servers are."""
        return self._call(
            "GET",
            "/rubackup_server_system_monitoring",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
            },
        )

    def all(
        self,
        *,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
    ) -> Iterator[MonitoringRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/rubackup_server_system_monitoring",
            {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data},
        )

    def read(self, row_id: int) -> Answer[MonitoringRow]:
        """Read one: Rubackup Server System Monitoring. Permission: See how busy the servers are."""
        return self._call("GET", f"/rubackup_server_system_monitoring/{segment(row_id)}")
