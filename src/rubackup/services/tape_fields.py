"""What the tape families share: how their fields look, and the rows that their bodies name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Meta

from rubackup.domain.errors import Conflict, NotFound, Unavailable
from rubackup.domain.lookups import StorageType
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row
from rubackup.services.ports import TapeDevice, TapeElement

MEDIUM_CHANGER, TAPE_DRIVE = "medium_changer", "tape_drive"
MOST_DRIVES = 64
"""Drives of a library."""
CLEANING_TAG = "CLN"
"""How labels of cleaning cartridges begin; they are in no pool."""
_SG_PATH = re.compile(r"/dev/sg[0-9]{1,6}")
_DEVICE = re.compile(r"/dev(/[A-Za-z0-9_.:+-]+)+")
_SCSI_PATH = re.compile(r"\[[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,20}\]")
_VOLUME_TAG = re.compile(r"[A-Z0-9$%+./_-]{1,32}")

MEDIA_SERVER = Meta(description="The media server that the library is presented to: host name or id.")
SCSI_PATH = Meta(description="SCSI address as `[host:channel:target:lun]`, such as [6:0:0:0].", max_length=64)
DEVICE = Meta(description="Device node on the media server, such as /dev/sg1.", max_length=255)
DESCRIPTION = Meta(description="Free text.", max_length=4096)
LIBRARY_ID = Meta(description="Id of the tape library.", ge=1)
VOLUME_TAG = Meta(description="Volume tag: what stands on the cartridge's label.", max_length=32)

LIBRARY = """
SELECT x.id, x.media_server_id, x.hwid FROM (
    SELECT l.id, l.id::text AS name, l.media_server_id, m.hwid
    FROM tape_libraries l JOIN media_servers m ON m.id = l.media_server_id
) x WHERE"""
_CANDIDATES = """
SELECT c.id, c.kind, c.scsi_path, c.device, c.vendor, c.product, c.revision, c.serial, c.present, (
    SELECT min(u.tape_library_id) FROM tape_devices_in_use u
    WHERE u.media_server_id = c.media_server_id AND u.kind = c.kind
        AND (u.candidate_id = c.id OR (c.serial <> '' AND u.serial = c.serial))) AS tape_library_id
FROM tape_candidates c
WHERE c.id = ANY ($1::bigint[]) AND c.media_server_id = $2"""
_WORDS = {MEDIUM_CHANGER: "robot", TAPE_DRIVE: "tape drive"}


def is_sg_path(text: str) -> bool:
    """Whether it is a generic SCSI node, the only ones that a media server opens."""
    return _SG_PATH.fullmatch(text) is not None


def device(problems: Problems, text: str, field: str) -> str:
    """A device node; '' after a note."""
    if _DEVICE.fullmatch(text) and not {".", ".."} & set(text.split("/")):
        return text
    problems.add(field, "must be a device node such as /dev/sg1.")
    return ""


def scsi_path(problems: Problems, text: str, field: str) -> str:
    """A SCSI address; '' after a note."""
    if _SCSI_PATH.fullmatch(text):
        return text
    problems.add(field, "must be a SCSI address such as [6:0:0:0].")
    return ""


def volume_tag(problems: Problems, text: str, field: str) -> str:
    """A volume tag as labels can bear it; '' after a note."""
    if _VOLUME_TAG.fullmatch(text):
        return text
    problems.add(field, "must be 1 to 32 characters of A to Z, 0 to 9 and $ % + . / _ -, as on the label.")
    return ""


async def library(problems: Problems, change: Change, library_id: int, field: str) -> Row:
    """A tape library that the caller may change: id, media_server_id, hwid; None after a note."""
    limit = scopes.storage(change.principal, write=True)
    return await problems.find(change.db, LIBRARY, "tape library", library_id, field, limit)


async def tape_pool(problems: Problems, change: Change, value: Ref, field: str, media_server_id: int | None) -> Row:
    """A pool of the type Tape library that the caller may change, of this media server if one is given."""
    limit = scopes.storage(change.principal, write=True)
    pool = await problems.pool(change.db, value, field, limit)
    if pool and pool["pool_type"] != StorageType.TAPE_LIBRARY.label:
        problems.add(field, f"must be a pool of the type {StorageType.TAPE_LIBRARY.label}.")
    if pool and media_server_id is not None and pool["media_server_id"] != media_server_id:
        problems.add(field, "must be a pool of the same media server.")
    return pool


async def candidates(
    problems: Problems, change: Change, media_server_id: int, wanted: Sequence[tuple[str, int, str]]
) -> dict[int, Row]:
    """The candidates of a media server: `wanted` has kind, id and the field that names it."""
    rows = await change.db.fetch(_CANDIDATES, [number for _, number, _ in wanted], media_server_id)
    found = {row["id"]: row for row in rows}
    seen: set[int] = set()
    for kind, number, field in wanted:
        row = found.get(number)
        if row is None:
            problems.add(field, "unknown candidate; GET /tape_libraries/candidates lists them.")
        elif row["kind"] != kind:
            problems.add(field, f"must be a {_WORDS[kind]}, this is a {_WORDS[row['kind']]}.")
        if number in seen:
            problems.add(field, "is named twice.")
        seen.add(number)
    return found


def refuse_unusable(rows: Sequence[Row]) -> None:
    """Conflict for candidates that a library uses already, or that the last scan did not find."""
    for row in rows:
        what = f"The {_WORDS[row['kind']]} {row['device']} (candidate {row['id']})"
        if row["tape_library_id"] is not None:
            raise Conflict(f"{what} belongs to the tape library {row['tape_library_id']} already.")
        if not row["present"]:
            raise Conflict(f"{what} was not found at the last scan of the media server.")


async def ask_robot(change: Change, hwid: str, robot: Any) -> tuple[TapeDevice, list[TapeElement]]:
    """What the robot (device, scsi_path, serial) says of itself and its elements; the refusal tells why it does not."""
    try:
        return await change.hosts.tape_elements(hwid, robot["device"], robot["scsi_path"], robot["serial"])
    except NotFound as error:  # of the host's device, not of what the call is about
        raise Unavailable(error.message) from error
