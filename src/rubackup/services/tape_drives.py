"""Drives and robots of tape libraries: adding, correcting where they are, removing, cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.services.change import Change
from rubackup.services.fields import Problems, update_columns
from rubackup.services.tape_fields import (
    DEVICE,
    LIBRARY_ID,
    MOST_DRIVES,
    SCSI_PATH,
    TAPE_DRIVE,
    candidates,
    device,
    library,
    refuse_unusable,
    scsi_path,
)

NO_ROBOTICS = "This version does not move cartridges yet: {what}. Nothing was done."
"""The honest answer to what a robot or a drive would have to do."""
_UNSYNCED = "Not synchronised since sys_transfer_element was changed."
_NOT_ASKED = "The robot was not asked yet where this drive is: synchronise the library."

_INSERT = """
INSERT INTO library_tape_drives
    (tape_library_id, candidate_id, scsi_path, device, vendor, product, revision, serial, problem)
SELECT $1, c.id, c.scsi_path, c.device, c.vendor, c.product, c.revision, c.serial, $3
FROM tape_candidates c WHERE c.id = ANY ($2::bigint[]) ORDER BY array_position($2::bigint[], c.id)
ON CONFLICT (candidate_id) DO NOTHING RETURNING id"""
_COUNT = "SELECT count(*) FROM library_tape_drives WHERE tape_library_id = $1"
_DRIVE = """
SELECT d.tape_library_id, d.sys_transfer_element, l.media_server_id
FROM library_tape_drives d JOIN tape_libraries l ON l.id = d.tape_library_id WHERE d.id = $1"""
_CHANGER = """
SELECT m.scsi_path, m.device, l.media_server_id FROM medium_changers m JOIN tape_libraries l ON l.id = m.tape_library_id
WHERE m.id = $1"""
_TAKEN = """
SELECT w.what FROM (
    SELECT 'medium changer ' || m.id AS what, m.tape_library_id, m.scsi_path, m.device FROM medium_changers m
    UNION ALL
    SELECT 'tape drive ' || d.id, d.tape_library_id, d.scsi_path, d.device FROM library_tape_drives d
) w JOIN tape_libraries l ON l.id = w.tape_library_id
WHERE l.media_server_id = $1 AND w.what <> $2 AND (w.scsi_path = $3 OR w.device = $4) ORDER BY w.what LIMIT 1"""
_ELEMENT_TAKEN = """
SELECT id FROM library_tape_drives WHERE tape_library_id = $1 AND sys_transfer_element = $2 AND id <> $3"""
_LOADED = "SELECT id FROM library_tape_drives WHERE id = ANY ($1::bigint[]) AND is_full ORDER BY id"
_DELETE = """
DELETE FROM library_tape_drives d USING tape_libraries l
WHERE l.id = d.tape_library_id AND d.id = ANY ($1::bigint[]) RETURNING d.id, l.media_server_id"""

_ELEMENT = Meta(
    description="Address of the drive's element, as the robot counts (0 to 65535); null: unknown.", ge=0, le=0xFFFF
)
_CANDIDATE = Annotated[int, Meta(description="Id of a drive's candidate.", ge=1)]


class NewDrives(msgspec.Struct, kw_only=True):
    """Drives to be added to a tape library."""

    ids: Annotated[
        list[_CANDIDATE],
        Meta(
            description="Ids of candidates, as GET /library_tape_drives/candidates lists them.",
            min_length=1,
            max_length=MOST_DRIVES,
        ),
    ]
    tape_library_id: Annotated[int, LIBRARY_ID]


class DriveChange(msgspec.Struct, kw_only=True):
    """What to change of a drive."""

    scsi_path: Annotated[str, SCSI_PATH] | UnsetType = UNSET
    device: Annotated[str, DEVICE] | UnsetType = UNSET
    sys_transfer_element: Annotated[int, _ELEMENT] | UnsetType | None = UNSET


class ChangerChange(msgspec.Struct, kw_only=True):
    """What to change of a robot."""

    scsi_path: Annotated[str, SCSI_PATH] | UnsetType = UNSET
    device: Annotated[str, DEVICE] | UnsetType = UNSET


async def add_drives(db: Connection, library_id: int, candidate_ids: Sequence[int]) -> list[int]:
    """Drives out of candidates, in this order; Conflict when a library got one of them meanwhile."""
    rows = await db.fetch(_INSERT, library_id, list(candidate_ids), _NOT_ASKED)
    if len(rows) < len(candidate_ids):
        raise Conflict("A drive belongs to another tape library by now.")
    if await db.fetchval(_COUNT, library_id) > MOST_DRIVES:
        raise Conflict(f"A tape library can have at most {MOST_DRIVES} drives.")
    return [row["id"] for row in rows]


async def create(change: Change, new: NewDrives) -> tuple[int, ...]:
    """New drives of a library; their ids. Conflict for drives that a library has already."""
    problems = Problems()
    found = await library(problems, change, new.tape_library_id, "data.tape_library_id")
    named = [(TAPE_DRIVE, number, f"data.ids.{place}") for place, number in enumerate(new.ids)]
    rows = await candidates(problems, change, found["media_server_id"], named) if found else {}
    problems.raise_any()
    refuse_unusable([rows[number] for number in new.ids])
    ids = await add_drives(change.db, new.tape_library_id, new.ids)
    for drive_id in ids:
        await change.event("created", "library_tape_drives", drive_id, media_server_id=found["media_server_id"])
    return tuple(ids)


async def update(change: Change, drive_id: int, wanted: DriveChange) -> None:
    """Change what is given; Conflict when another device of the media server is there, or a drive at this element."""
    columns = _paths(wanted)
    row = await change.db.fetchrow(_DRIVE, drive_id)
    await _refuse_taken(change, row["media_server_id"], f"tape drive {drive_id}", columns)
    element = wanted.sys_transfer_element
    if element is not UNSET and element != row["sys_transfer_element"]:
        taken = await change.db.fetchval(_ELEMENT_TAKEN, row["tape_library_id"], element, drive_id)
        if taken is not None:
            raise Conflict(f"The tape drive {taken} of this library is at element {element}.")
        columns |= {
            "sys_transfer_element": element, "is_full": False, "volume_tag": "", "source_element": None,
            "problem": _UNSYNCED,
        }  # fmt: skip
    await update_columns(change.db, "library_tape_drives", drive_id, columns)
    await change.event("changed", "library_tape_drives", drive_id, media_server_id=row["media_server_id"])


async def update_changer(change: Change, changer_id: int, wanted: ChangerChange) -> None:
    """Change what is given; Conflict when another device of the media server is there.

    Who says where the robot is vouches for it: its serial number is learned when it is asked there.
    So a library outlives a robot that was replaced.
    """
    columns = _paths(wanted)
    row = await change.db.fetchrow(_CHANGER, changer_id)
    if any(row[key] != value for key, value in columns.items()):
        columns["serial"] = ""
    await _refuse_taken(change, row["media_server_id"], f"medium changer {changer_id}", columns)
    await update_columns(change.db, "medium_changers", changer_id, columns)
    await change.event("changed", "medium_changers", changer_id, media_server_id=row["media_server_id"])


def _paths(wanted: DriveChange | ChangerChange) -> dict[str, Any]:
    problems = Problems()
    columns: dict[str, Any] = {}
    if wanted.scsi_path is not UNSET:
        columns["scsi_path"] = scsi_path(problems, wanted.scsi_path, "data.scsi_path")
    if wanted.device is not UNSET:
        columns["device"] = device(problems, wanted.device, "data.device")
    problems.raise_any()
    return columns


async def _refuse_taken(change: Change, media_server_id: int, own: str, columns: dict[str, Any]) -> None:
    path, node = columns.get("scsi_path"), columns.get("device")
    taken = await change.db.fetchval(_TAKEN, media_server_id, own, path, node)
    if taken is not None:
        raise Conflict(f"The {taken} of this media server has this address or device.")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Take drives out of their libraries; Conflict names those that hold a cartridge."""
    loaded = await change.db.fetch(_LOADED, list(ids))
    if loaded:
        names = ", ".join(str(row["id"]) for row in loaded)
        raise Conflict(f"Tape drives that hold a cartridge cannot be deleted: {names}.")
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "library_tape_drives", row["id"], media_server_id=row["media_server_id"])


async def clean(_change: Change, drive_id: int) -> str:
    """Conflict: no cleaning cartridge can be moved yet."""
    raise Conflict(NO_ROBOTICS.format(what=f"the tape drive {drive_id} cannot be cleaned"))
