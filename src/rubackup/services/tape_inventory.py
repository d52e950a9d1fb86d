"""What robots say of their elements, stored: slots, drives, and where cartridges lie."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Unavailable, Unprocessable
from rubackup.services.fields import Row
from rubackup.services.ports import TapeElement
from rubackup.services.tape_fields import CLEANING_TAG

SLOTS = ("slot", "import_export")
NAMED = 20
"""Cartridges that a refusal names; it counts the rest."""

_SLOTS = """
INSERT INTO library_slots AS s
    (tape_library_id, element_address, slot_type, is_full, volume_tag, accessible, problem, updated_at)
SELECT $1, e.* , now()
FROM unnest($2::int[], $3::text[], $4::boolean[], $5::text[], $6::boolean[], $7::text[]) AS e
    (element_address, slot_type, is_full, volume_tag, accessible, problem)
ON CONFLICT (tape_library_id, element_address) DO UPDATE SET slot_type = excluded.slot_type,
    is_full = excluded.is_full, volume_tag = excluded.volume_tag, accessible = excluded.accessible,
    problem = excluded.problem, updated_at = excluded.updated_at"""
_GONE = "DELETE FROM library_slots WHERE tape_library_id = $1 AND element_address <> ALL ($2::int[])"
_DRIVES = """
SELECT id, serial, sys_transfer_element FROM library_tape_drives WHERE tape_library_id = $1 ORDER BY id FOR UPDATE"""
_DRIVE = """
UPDATE library_tape_drives AS d SET sys_transfer_element = e.element, is_full = e.is_full, volume_tag = e.volume_tag,
    source_element = e.source, problem = e.problem, updated_at = now()
FROM unnest($1::bigint[], $2::int[], $3::boolean[], $4::text[], $5::int[], $6::text[]) AS e
    (id, element, is_full, volume_tag, source, problem)
WHERE d.id = e.id"""
_REGISTERED = """
SELECT c.volume_tag FROM tape_cartridges c JOIN pools p ON p.id = c.pool_id
WHERE p.media_server_id = $1 AND c.volume_tag = ANY ($2::text[])"""


async def refuse_unregistered(db: Connection, media_server_id: int, elements: Sequence[TapeElement]) -> None:
    """Unprocessable, naming them, when there are cartridges that are not registered for this media server.

    A cartridge without a readable label cannot be registered, so it is refused too; a cleaning
    cartridge needs no registration.
    """
    full = [e for e in elements if e.full and not e.volume_tag.startswith(CLEANING_TAG)]
    rows = await db.fetch(_REGISTERED, media_server_id, [e.volume_tag for e in full])
    known = {row["volume_tag"] for row in rows}
    unknown = [e for e in full if e.volume_tag not in known]
    if not unknown:
        return
    named = [f"{e.volume_tag or 'a cartridge without a readable label'} in element {e.address}" for e in unknown]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    listed = ", ".join(named[:NAMED]) + more
    raise Unprocessable(f"The tape library holds cartridges that are not registered in tape_cartridges: {listed}.")


async def store(db: Connection, library_id: int, elements: Sequence[TapeElement]) -> None:
    """Make slots and drives of the library what the robot says; slots that it no longer has go."""
    by_address = {e.address: e for e in elements}
    if len(by_address) < len(elements) or not all(0 <= address <= 0xFFFF for address in by_address):
        raise Unavailable("The media server told of elements that a robot cannot have.")
    slots = [e for e in elements if e.kind in SLOTS]
    await db.execute(
        _SLOTS, library_id, [e.address for e in slots], [e.kind for e in slots], [e.full for e in slots],
        [e.volume_tag if e.full else "" for e in slots], [e.accessible for e in slots], [e.problem for e in slots],
    )  # fmt: skip
    await db.execute(_GONE, library_id, [e.address for e in slots])
    drives = await db.fetch(_DRIVES, library_id)
    placed = place_drives(drives, elements)
    await db.execute(
        _DRIVE, [d["id"] for d in drives], [placed[d["id"]][0] for d in drives], *_seen(drives, placed, by_address)
    )


def _seen(
    drives: Sequence[Row], placed: dict[int, tuple[int | None, str]], elements: dict[int, TapeElement]
) -> tuple[list[bool], list[str], list[int | None], list[str]]:
    """Columns of _DRIVE: full, tag, source and problem of each drive."""
    empty = TapeElement(address=0, kind="drive", full=False, accessible=False)
    found = []
    for drive in drives:
        address, problem = placed[drive["id"]]
        element = elements[address] if address is not None and not problem else empty
        found.append((element, problem or element.problem))
    return (
        [e.full for e, _ in found],
        [e.volume_tag if e.full else "" for e, _ in found],
        [e.source for e, _ in found],
        [problem for _, problem in found],
    )


def place_drives(drives: Sequence[Row], elements: Sequence[TapeElement]) -> dict[int, tuple[int | None, str]]:
    """At which element each drive is (id to address and problem): as set, else where the robot names its serial number."""
    known = {e.address: e for e in elements if e.kind == "drive"}
    taken = {drive["sys_transfer_element"] for drive in drives}
    placed: dict[int, tuple[int | None, str]] = {}
    for drive in drives:
        address = drive["sys_transfer_element"]
        if address is None:
            named = own_drives([drive["serial"]], elements)
            address = named[0].address if len(named) == 1 and named[0].address not in taken else None
            taken.add(address)
        if address is None:
            placed[drive["id"]] = (
                None,
                "The robot does not say at which element this drive is: set sys_transfer_element.",
            )
        elif address not in known:
            placed[drive["id"]] = address, f"The robot has no drive at element {address}."
        else:
            placed[drive["id"]] = address, ""
    return placed


def own_drives(serials: Sequence[str], elements: Sequence[TapeElement]) -> list[TapeElement]:
    """The drive elements that the robot says are the drives with these serial numbers."""
    ends = tuple(f" {serial}" for serial in serials if serial)
    return [e for e in elements if e.kind == "drive" and f" {e.identifier}".endswith(ends)]
