"""Tape libraries: a robot, drives and slots of a media server, with a pool whose copies they keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict
from rubackup.services import scopes, tape_inventory
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row
from rubackup.services.tape_drives import add_drives
from rubackup.services.tape_fields import (
    DESCRIPTION,
    MEDIUM_CHANGER,
    MOST_DRIVES,
    TAPE_DRIVE,
    ask_robot,
    candidates,
    refuse_unusable,
    tape_pool,
)

_INSERT = """
INSERT INTO tape_libraries (pool_id, media_server_id, description) VALUES ($1, $2, $3) RETURNING id"""
_CHANGER = """
INSERT INTO medium_changers (tape_library_id, candidate_id, scsi_path, device, vendor, product, revision, serial)
SELECT $1, c.id, c.scsi_path, c.device, c.vendor, c.product, c.revision, c.serial
FROM tape_candidates c WHERE c.id = $2 ON CONFLICT (candidate_id) DO NOTHING RETURNING id"""
_ROBOT = """
SELECT l.media_server_id, s.hwid, m.device, m.scsi_path, m.serial FROM tape_libraries l
JOIN media_servers s ON s.id = l.media_server_id JOIN medium_changers m ON m.tape_library_id = l.id WHERE l.id = $1"""
_LEARN = """
UPDATE medium_changers SET vendor = $2, product = $3, revision = $4, serial = $5 WHERE tape_library_id = $1"""
_SYNCED = "UPDATE tape_libraries SET synced_at = now() WHERE id = $1"
_COUNTS = """
SELECT count(*) AS slots, count(*) FILTER (WHERE is_full) AS full FROM library_slots WHERE tape_library_id = $1"""
_IN_USE = """
SELECT l.id, p.pool_name FROM tape_libraries l JOIN pools p ON p.id = l.pool_id
WHERE l.id = ANY ($1::bigint[]) AND (EXISTS (SELECT 1 FROM repository r WHERE r.pool_id = p.id)
    OR EXISTS (SELECT 1 FROM tape_cartridges c JOIN tape_cartridge_copies k ON k.cartridge_id = c.id
        WHERE c.pool_id = p.id))
ORDER BY l.id"""
_DELETE = "DELETE FROM tape_libraries WHERE id = ANY ($1::bigint[]) RETURNING id, media_server_id"

_DRIVE_ID = Annotated[int, Meta(description="Id of a drive's candidate.", ge=1)]


class NewTapeLibrary(msgspec.Struct, kw_only=True):
    """A tape library to be made of devices that GET /tape_libraries/candidates listed."""

    pool: Annotated[Ref, Meta(description="Pool of the type Tape library on this media server: name or id.")]
    media_server: Annotated[Ref, Meta(description="The media server that the library is presented to: name or id.")]
    description: Annotated[str, DESCRIPTION] = ""
    medium_changer_candidate_id: Annotated[int, Meta(description="Id of the robot's candidate.", ge=1)]
    tape_drives_candidates_ids: Annotated[
        list[_DRIVE_ID], Meta(description="Ids of the drives' candidates.", min_length=1, max_length=MOST_DRIVES)
    ]


async def create(change: Change, new: NewTapeLibrary) -> int:
    """A new library with its robot, drives and slots; the id.

    The robot is asked for its elements: Unavailable, Busy or Conflict say why it could not be.
    Conflict for devices that another library uses.
    """
    problems = Problems()
    limit = scopes.storage(change.principal, "x.id", write=True)
    media = await problems.media_server(change.db, new.media_server, "data.media_server", limit)
    pool = await tape_pool(problems, change, new.pool, "data.pool", media and media["id"])
    named = [(MEDIUM_CHANGER, new.medium_changer_candidate_id, "data.medium_changer_candidate_id")]
    named += [
        (TAPE_DRIVE, number, f"data.tape_drives_candidates_ids.{place}")
        for place, number in enumerate(new.tape_drives_candidates_ids)
    ]
    found = await candidates(problems, change, media["id"], named) if media else {}
    problems.raise_any()
    refuse_unusable([found[number] for _, number, _ in named])
    _, elements = await ask_robot(change, media["hwid"], found[new.medium_changer_candidate_id])
    library_id: int = await change.db.fetchval(_INSERT, pool["id"], media["id"], new.description)
    if await change.db.fetchval(_CHANGER, library_id, new.medium_changer_candidate_id) is None:
        raise Conflict("The robot belongs to another tape library by now.")
    await add_drives(change.db, library_id, new.tape_drives_candidates_ids)
    await tape_inventory.store(change.db, library_id, elements)
    await change.event("created", "tape_libraries", library_id, media_server_id=media["id"])
    return library_id


async def sync(change: Change, library_id: int) -> str:
    """Ask the robot for its elements and store them; a sentence with what there is.

    Unprocessable, and nothing is stored, when a cartridge lies there that is not registered.
    """
    robot: Row = await change.db.fetchrow(_ROBOT, library_id)
    device, elements = await ask_robot(change, robot["hwid"], robot)
    await tape_inventory.refuse_unregistered(change.db, robot["media_server_id"], elements)
    await tape_inventory.store(change.db, library_id, elements)
    await change.db.execute(_LEARN, library_id, device.vendor, device.product, device.revision, device.serial)
    await change.db.execute(_SYNCED, library_id)
    await change.event("changed", "tape_libraries", library_id, media_server_id=robot["media_server_id"])
    counts = await change.db.fetchrow(_COUNTS, library_id)
    return f"Tape library {library_id} was synchronised: {counts['full']} of {counts['slots']} slots are full."


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete libraries with robot, drives and slots; Conflict while their pools hold copies. Cartridges stay registered."""
    used = await change.db.fetch(_IN_USE, list(ids))
    if used:
        names = ", ".join(f"{row['id']} ({row['pool_name']})" for row in used)
        raise Conflict(f"Tape libraries whose pools hold copies cannot be deleted: {names}.")
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "tape_libraries", row["id"], media_server_id=row["media_server_id"])
