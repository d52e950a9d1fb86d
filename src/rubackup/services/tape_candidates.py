"""What tape libraries can be made of: robots and drives of a media server that no library uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Invalid, Unavailable
from rubackup.services.change import Change
from rubackup.services.fields import Row
from rubackup.services.ports import TapeElement
from rubackup.services.tape_fields import MEDIA_SERVER, MEDIUM_CHANGER, TAPE_DRIVE, is_sg_path
from rubackup.services.tape_inventory import own_drives
from rubackup.services.tape_scans import MOST_ROBOTS, Scanned, store

_UNASKED = f"Only {MOST_ROBOTS} robots are asked in one call."
_UNNAMED = "The robot does not say which drives are its own; mode=manual lists all drives."

_MODE = Meta(
    description="automatic: robots are asked which drives are theirs. manual: every robot and drive, nobody is asked."
)
_SG = Meta(description="Node of the library's robot, such as /dev/sg4; needed in the mode automatic.")


class LibraryCandidatesQuery(msgspec.Struct, kw_only=True):
    """Whose robots and drives are wanted."""

    media_server: Annotated[str, MEDIA_SERVER]
    mode: Annotated[Literal["automatic", "manual"], _MODE] = "automatic"


class DriveCandidatesQuery(LibraryCandidatesQuery, kw_only=True):
    """Whose drives are wanted."""

    sg_device_path: Annotated[str, _SG] = ""


class DriveCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A tape drive that no library uses."""

    id: Annotated[int, Meta(description="Number to name it by; the same as long as its serial number is the same.")]
    scsi_path: Annotated[str, Meta(description="SCSI address as `[host:channel:target:lun]`.")]
    device: Annotated[str, Meta(description="Generic device node, such as /dev/sg1.")]
    tape_device: Annotated[str, Meta(description="Tape node, such as /dev/nst0; empty without the tape driver.")]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    revision: Annotated[str, Meta(description="Version of its firmware.")]
    serial: Annotated[str, Meta(description="Serial number; empty when it does not tell one.")]


class RobotCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A robot that no library uses."""

    id: Annotated[int, Meta(description="Number to name it by; the same as long as its serial number is the same.")]
    scsi_path: Annotated[str, Meta(description="SCSI address as `[host:channel:target:lun]`.")]
    device: Annotated[str, Meta(description="Generic device node, such as /dev/sg4.")]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    revision: Annotated[str, Meta(description="Version of its firmware.")]
    serial: Annotated[str, Meta(description="Serial number; empty when it does not tell one.")]
    tape_drives_candidates_ids: Annotated[
        list[int], Meta(description="Its own drives, as far as the robot names them; empty in the mode manual.")
    ]
    problem: Annotated[str, Meta(description="Why the robot did not name its drives; empty when it did.")]


class LibraryCandidates(msgspec.Struct, frozen=True, kw_only=True):
    """What a tape library can be made of."""

    medium_changers: Annotated[list[RobotCandidate], Meta(description="Robots, by number.")]
    tape_drives: Annotated[list[DriveCandidate], Meta(description="Drives, by number.")]


async def library_candidates(
    change: Change, media_server_id: int, said: Scanned, *, automatic: bool
) -> LibraryCandidates:
    """What no library uses yet; in the mode automatic drives only that a free robot calls its own."""
    rows = await store(change, media_server_id, said.devices)
    drives = [row for row in rows if row["kind"] == TAPE_DRIVE]
    robots = [_robot(row, drives, said, automatic=automatic) for row in rows if row["kind"] == MEDIUM_CHANGER]
    if automatic:
        owned = {number for robot in robots for number in robot.tape_drives_candidates_ids}
        drives = [row for row in drives if row["id"] in owned]
    return LibraryCandidates(medium_changers=robots, tape_drives=[_drive(row) for row in drives])


def _robot(row: Row, drives: Sequence[Row], said: Scanned, *, automatic: bool) -> RobotCandidate:
    ids, problem = own_ids(drives, said.elements.get(row["device"], _UNASKED)) if automatic else ([], "")
    return RobotCandidate(
        id=row["id"],
        scsi_path=row["scsi_path"],
        device=row["device"],
        vendor=row["vendor"],
        product=row["product"],
        revision=row["revision"],
        serial=row["serial"],
        tape_drives_candidates_ids=ids,
        problem=problem,
    )


def own_ids(drives: Sequence[Row], said: list[TapeElement] | str) -> tuple[list[int], str]:
    """Which of the drives the robot calls its own, and what keeps it from naming them."""
    if isinstance(said, str):
        return [], said
    elements = [element for element in said if element.kind == "drive"]
    ids = [row["id"] for row in drives if own_drives([row["serial"]], elements)]
    unnamed = bool(elements) and not any(element.identifier for element in elements)
    return ids, _UNNAMED if unnamed else ""


async def drive_candidates(
    change: Change, media_server_id: int, said: Scanned, sg_device_path: str
) -> list[DriveCandidate]:
    """Drives that no library uses; with a robot only those that it calls its own."""
    rows = await store(change, media_server_id, said.devices)
    drives = [row for row in rows if row["kind"] == TAPE_DRIVE]
    if sg_device_path:
        if not any(d.kind == MEDIUM_CHANGER and d.device == sg_device_path for d in said.devices):
            raise Invalid(fields={"sg_device_path": "the media server has no robot there."})
        ids, problem = own_ids(drives, said.elements[sg_device_path])
        if problem:
            raise Unavailable(problem)
        drives = [row for row in drives if row["id"] in ids]
    return [_drive(row) for row in drives]


def robot_node(query: DriveCandidatesQuery) -> str:
    """The robot to be asked; '' in the mode manual. Invalid when none is named, or what cannot be one."""
    if query.mode == "manual":
        return ""
    if not is_sg_path(query.sg_device_path):
        raise Invalid(fields={"sg_device_path": "must be the robot's node, such as /dev/sg4, in the mode automatic."})
    return query.sg_device_path


def _drive(row: Row) -> DriveCandidate:
    return DriveCandidate(
        id=row["id"],
        scsi_path=row["scsi_path"],
        device=row["device"],
        tape_device=row["tape_device"],
        vendor=row["vendor"],
        product=row["product"],
        revision=row["revision"],
        serial=row["serial"],
    )
