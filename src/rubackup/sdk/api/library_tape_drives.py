"""Library Tape Drives. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import DriveCandidate, Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class DriveChange(TypedDict):
    """What to change of a drive."""

    scsi_path: NotRequired[str]
    """SCSI address as `[host:channel:target:lun]`, such as [6:0:0:0]."""
    device: NotRequired[str]
    """Device node on the media server, such as /dev/sg1."""
    sys_transfer_element: NotRequired[int | None]


class NewDrives(TypedDict):
    """Drives to be added to a tape library."""

    ids: list[int]
    """Ids of candidates, as GET /library_tape_drives/candidates lists them."""
    tape_library_id: int
    """Id of the tape library."""


class TapeDriveRow(TypedDict):
    """A drive of a tape library, with what was in it at the last synchronisation."""

    id: int
    """Id of the drive."""
    tape_library_id: int
    """Id of its tape library."""
    media_server: str
    """Host name of its media server."""
    media_server_ref: int
    """Id of that media server."""
    candidate_id: int
    """Candidate that it was made of."""
    scsi_path: str
    """SCSI address as `[host:channel:target:lun]`."""
    device: str
    """Device node on the media server."""
    sys_transfer_element: int | None
    """Address of its element, as the robot counts; null: unknown."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    revision: str
    """Version of its firmware when it was added."""
    serial: str
    """Serial number."""
    is_full: bool
    """Whether a cartridge was in it."""
    volume_tag: str
    """Label of that cartridge; empty without a readable one."""
    source_element: int | None
    """Element that the cartridge came from, if known."""
    problem: str
    """What is wrong with the drive; empty when nothing is."""


ListColumn = Literal[
    "id", "tape_library_id", "media_server", "media_server_ref", "candidate_id", "scsi_path", "device",
    "sys_transfer_element", "vendor", "product", "revision", "serial", "is_full", "volume_tag", "source_element",
    "problem",
]  # fmt: skip


class LibraryTapeDrives(Family):
    """Library Tape Drives."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[TapeDriveRow]]:
        """List: Library Tape Drives. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/library_tape_drives",
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
    ) -> Iterator[TapeDriveRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/library_tape_drives", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewDrives, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Library Tape Drives. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/library_tape_drives", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Library Tape Drives. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/library_tape_drives",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[TapeDriveRow]:
        """Read one: Library Tape Drives. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/library_tape_drives/{segment(row_id)}")

    def update(
        self, row_id: int, data: DriveChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Library Tape Drives. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/library_tape_drives/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def candidates(
        self,
        *,
        media_server: str,
        mode: Literal["automatic", "manual"] | None = None,
        sg_device_path: str | None = None,
    ) -> Answer[Page[DriveCandidate]]:
        """Drives that no library uses. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/library_tape_drives/candidates",
            query={"media_server": media_server, "mode": mode, "sg_device_path": sg_device_path},
        )

    def clean(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Clean a drive. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/library_tape_drives/{segment(row_id)}/clean",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
