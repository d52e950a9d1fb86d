"""Medium Changers. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class ChangerChange(TypedDict):
    """What to change of a robot."""

    scsi_path: NotRequired[str]
    """SCSI address as `[host:channel:target:lun]`, such as [6:0:0:0]."""
    device: NotRequired[str]
    """Device node on the media server, such as /dev/sg1."""


class MediumChangerRow(TypedDict):
    """The robot of a tape library."""

    id: int
    """Id of the robot."""
    tape_library_id: int
    """Id of its tape library."""
    media_server: str
    """Host name of its media server."""
    media_server_ref: int
    """Id of that media server."""
    scsi_path: str
    """SCSI address as `[host:channel:target:lun]`."""
    device: str
    """Device node on the media server, by which it is asked."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    revision: str
    """Version of its firmware."""
    serial: str
    """Serial number; another robot is refused. Empty until it was asked at a new place."""


ListColumn = Literal[
    "id", "tape_library_id", "media_server", "media_server_ref", "scsi_path", "device", "vendor", "product",
    "revision", "serial",
]  # fmt: skip


class MediumChangers(Family):
    """Medium Changers."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[MediumChangerRow]]:
        """List: Medium Changers. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/medium_changers",
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
    ) -> Iterator[MediumChangerRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/medium_changers", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def read(self, row_id: int) -> Answer[MediumChangerRow]:
        """Read one: Medium Changers. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/medium_changers/{segment(row_id)}")

    def update(
        self, row_id: int, data: ChangerChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Medium Changers. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/medium_changers/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
