"""Tape Libraries. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import DriveCandidate, Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class ChangerLeaf(TypedDict):
    """A robot in the tree."""

    id: int
    """Id in medium_changers."""
    scsi_path: str
    """SCSI address."""
    device: str
    """Device node."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    serial: str
    """Serial number."""


class DriveLeaf(TypedDict):
    """A drive in the tree."""

    id: int
    """Id in library_tape_drives."""
    scsi_path: str
    """SCSI address."""
    device: str
    """Device node."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    serial: str
    """Serial number."""
    sys_transfer_element: int | None
    """Element address as the robot counts."""
    is_full: bool
    """Whether a cartridge was in it."""
    volume_tag: str
    """Label of that cartridge."""
    problem: str
    """What is wrong with it; empty when nothing is."""


class LibraryCandidates(TypedDict):
    """What a tape library can be made of."""

    medium_changers: list[RobotCandidate]
    """Robots, by number."""
    tape_drives: list[DriveCandidate]
    """Drives, by number."""


class LibraryNode(TypedDict):
    """A tape library in the tree."""

    id: int
    """Id of the library."""
    description: str
    """Free text."""
    medium_changer: ChangerLeaf
    """Its robot."""
    tape_drives: list[DriveLeaf]
    """Its drives, by id."""
    slots: list[SlotLeaf]
    """Always empty; GET /library_slots lists them."""


class NewTapeLibrary(TypedDict):
    """A tape library to be made of devices that GET /tape_libraries/candidates listed."""

    pool: int | str
    """Pool of the type Tape library on this media server: name or id."""
    media_server: int | str
    """The media server that the library is presented to: name or id."""
    description: NotRequired[str]
    """Free text."""
    medium_changer_candidate_id: int
    """Id of the robot's candidate."""
    tape_drives_candidates_ids: list[int]
    """Ids of the drives' candidates."""


class PoolsPage(TypedDict):
    """Which pools are wanted."""

    limit: NotRequired[int]
    """Pools a page."""
    page: NotRequired[int]
    """Page, from 1."""


class Robot(TypedDict):
    """A robot."""

    scsi_path: str
    """SCSI address as `[host:channel:target:lun]`."""
    device: str
    """Generic device node."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    revision: str
    """Version of its firmware."""
    serial: str
    """Serial number; empty when it does not tell one."""


class RobotCandidate(TypedDict):
    """A robot that no library uses."""

    id: int
    """Number to name it by; the same as long as its serial number is the same."""
    scsi_path: str
    """SCSI address as `[host:channel:target:lun]`."""
    device: str
    """Generic device node, such as /dev/sg4."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    revision: str
    """Version of its firmware."""
    serial: str
    """Serial number; empty when it does not tell one."""
    tape_drives_candidates_ids: list[int]
    """Its own drives, as far as the robot names them; empty in the mode manual."""
    problem: str
    """Why the robot did not name its drives; empty when it did."""


class RobotElement(TypedDict):
    """A place for a cartridge, as the robot tells it."""

    element_address: int
    """Address of the element."""
    is_full: bool
    """Whether a cartridge is there."""
    volume_tag: str
    """Its label; empty when it has no readable one."""
    accessible: bool
    """Whether the robot can reach it."""
    source_element: int | None
    """Where the cartridge came from, if the robot knows."""
    identifier: str
    """What the robot calls a drive, with its serial number; else empty."""
    problem: str
    """What is wrong with it, as a SCSI sense code; empty when nothing is."""


class RobotInfo(TypedDict):
    """A robot with all its elements."""

    medium_changer: Robot
    """The robot."""
    slots: list[RobotElement]
    """Slots."""
    import_export: list[RobotElement]
    """Slots through which cartridges come and go."""
    tape_drives: list[RobotElement]
    """Drives."""
    pickers: list[RobotElement]
    """Grippers of the robot."""


class RobotQuestion(TypedDict):
    """Which robot is to be asked."""

    media_server: int | str
    """The media server that the library is presented to: host name or id."""
    medium_changer_sg_path: str
    """Node of the robot, such as /dev/sg4."""


class SlotLeaf(TypedDict):
    """A slot in the tree; the guide asks for none of them."""

    id: int
    """Id in library_slots."""


class TapeLibraryRow(TypedDict):
    """A tape library."""

    id: int
    """Id of the library."""
    pool: str
    """Name of the pool whose copies it keeps."""
    pool_ref: int
    """Id of that pool."""
    media_server: str
    """Host name of the media server that it is presented to."""
    media_server_ref: int
    """Id of that media server."""
    description: str
    """Free text."""
    medium_changer: int
    """Id of its robot in medium_changers."""
    medium_changer_candidate_id: int
    """Candidate that its robot was made of."""
    tape_drives_candidates_ids: list[int]
    """Candidates that its drives were made of."""
    tape_drives: int
    """How many drives it has."""
    slots: int
    """How many slots it has, those for import and export included."""
    full_slots: int
    """In how many slots a cartridge lay at the last synchronisation."""
    synced_at: str
    """When its robot was asked last."""
    created_at: str
    """When the library was made."""


class TapePoolNode(TypedDict):
    """A pool of the type Tape library in the tree."""

    id: int
    """Id of the pool."""
    pool_name: str
    """Name of the pool."""
    description: str
    """Free text."""
    media_server: str
    """Host name of its media server."""
    media_server_ref: int
    """Id of that media server."""
    tape_libraries: list[LibraryNode]
    """Its libraries; none is possible."""


class TapeTree(TypedDict):
    """A page of tape pools with their libraries."""

    pools: list[TapePoolNode]
    """A page of pools, by name."""
    pools_total: int
    """How many there are; 0 on a page behind the last."""
    pools_page: int
    """Which page this is."""
    pools_limit: int
    """Pools a page."""


class TapeTreeQuery(TypedDict):
    """Which part of the tree is wanted."""

    pools: NotRequired[PoolsPage]
    """Page of pools."""


ListColumn = Literal[
    "id", "pool", "pool_ref", "media_server", "media_server_ref", "description", "medium_changer",
    "medium_changer_candidate_id", "tape_drives", "slots", "full_slots", "synced_at", "created_at",
]  # fmt: skip


class TapeLibraries(Family):
    """Tape Libraries."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[TapeLibraryRow]]:
        """List: Tape Libraries. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/tape_libraries",
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
    ) -> Iterator[TapeLibraryRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/tape_libraries", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewTapeLibrary, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Tape Libraries. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/tape_libraries", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Tape Libraries. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE", "/tape_libraries", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[TapeLibraryRow]:
        """Read one: Tape Libraries. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/tape_libraries/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Tape Libraries. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/tape_libraries/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def candidates(
        self, *, media_server: str, mode: Literal["automatic", "manual"] | None = None
    ) -> Answer[LibraryCandidates]:
        """Robots and drives that no library uses. Permission: See media servers, pools and storages."""
        return self._call("GET", "/tape_libraries/candidates", query={"media_server": media_server, "mode": mode})

    def candidates_info(self, data: RobotQuestion) -> Answer[RobotInfo]:
        """A robot with its slots, as it tells now. Permission: Edit media servers, pools and storages."""
        return self._call("POST", "/tape_libraries/candidates/info", body={"data": data})

    def tree(self, data: TapeTreeQuery) -> Answer[TapeTree]:
        """Tape pools with their libraries, robots and drives. Permission: See media servers, pools and storages."""
        return self._call("POST", "/tape_libraries/tree", body={"data": data})

    def sync(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Ask the robot where which cartridge lies. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST",
            f"/tape_libraries/{segment(row_id)}/sync",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
