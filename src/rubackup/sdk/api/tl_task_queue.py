"""TL Task Queue. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class TapeTaskRow(TypedDict):
    """A task of a robot or a drive."""

    id: int
    """Number of the task."""
    task_type: str
    """check_ltfs, erase_cartridge, export_cartridge, format_cartridge and the like."""
    status: str
    """A name of task_status."""
    media_server: str
    """Host name of the media server that does it."""
    media_server_ref: int
    """Id of that media server."""
    tape_library: int | None
    """Id of the tape library; null when it was deleted."""
    tape_drive: int | None
    """Id of the drive, where one is meant."""
    slot: int | None
    """Id of the slot, where one is meant."""
    volume_tag: str
    """Label of the cartridge; empty where none is meant."""
    message: str
    """What there is to say about the status."""
    created_by: str
    """Name of the user who made the task."""
    created_at: str
    """When the task was made."""
    started_at: str | None
    """When the media server took it."""
    finished_at: str | None
    """When it ended."""


ListColumn = Literal[
    "id", "task_type", "status", "media_server", "media_server_ref", "tape_library", "tape_drive", "slot",
    "volume_tag", "message", "created_by", "created_at", "started_at", "finished_at",
]  # fmt: skip


class TlTaskQueue(Family):
    """TL Task Queue."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[TapeTaskRow]]:
        """List: TL Task Queue. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/tl_task_queue",
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
    ) -> Iterator[TapeTaskRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/tl_task_queue", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def read(self, row_id: int) -> Answer[TapeTaskRow]:
        """Read one: TL Task Queue. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/tl_task_queue/{segment(row_id)}")
