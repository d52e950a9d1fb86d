"""What is asked of cartridges in slots. Everything is checked; then it is refused, as no robot is moved yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref
from rubackup.services.tape_drives import NO_ROBOTICS
from rubackup.services.tape_fields import LIBRARY_ID, library, tape_pool

AT_ONCE = 1000
"""Cartridges in one call."""
_LIBRARIES = "SELECT x.id FROM tape_libraries x WHERE x.id = ANY ($1::bigint[]) AND ({limit})"
_ABSENT = """
SELECT w.place - 1 AS place FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS w (library, tag, place)
WHERE NOT EXISTS (SELECT 1 FROM library_slots s WHERE s.tape_library_id = w.library AND s.volume_tag = w.tag)
    AND NOT EXISTS (SELECT 1 FROM library_tape_drives d WHERE d.tape_library_id = w.library AND d.volume_tag = w.tag)"""
_SLOT = "SELECT element_address, is_full FROM library_slots WHERE id = $1 AND tape_library_id = $2"


_TAG = Meta(description="Volume tag of a cartridge in the library.", min_length=1, max_length=32)


class LibraryCartridge(msgspec.Struct, kw_only=True):
    """A cartridge in a library."""

    library_id: Annotated[int, LIBRARY_ID]
    volume_tag: Annotated[str, _TAG]


class CartridgeToErase(LibraryCartridge, kw_only=True):
    """A cartridge in a library that is to be erased."""

    is_long_erase: Annotated[bool, Meta(description="Overwrite the whole tape, not only its beginning.")] = False


class CartridgeToMove(LibraryCartridge, kw_only=True):
    """A cartridge in a library that is to lie elsewhere."""

    slot_id: Annotated[int, Meta(description="Id of an empty slot of the same library.", ge=1)]


class CartridgeToImport(msgspec.Struct, kw_only=True):
    """A cartridge that lies in an import/export slot."""

    library_id: Annotated[int, LIBRARY_ID]
    pool_name: Annotated[Ref, Meta(description="Pool that the cartridge is for, of the type Tape library: name or id.")]


async def refuse_many(change: Change, wanted: Sequence[LibraryCartridge], what: str) -> str:
    """Check each cartridge, naming every wrong field; then Conflict."""
    problems = Problems()
    if len(wanted) > AT_ONCE:
        problems.add("data", f"may have at most {AT_ONCE} items.")
        problems.raise_any()
    await _check(problems, change, wanted, [f"data.{place}" for place in range(len(wanted))])
    problems.raise_any()
    raise Conflict(NO_ROBOTICS.format(what=what))


async def refuse_export(change: Change, wanted: LibraryCartridge) -> str:
    """Check the cartridge; then Conflict."""
    problems = Problems()
    await _check(problems, change, [wanted], ["data"])
    problems.raise_any()
    raise Conflict(NO_ROBOTICS.format(what=f"{wanted.volume_tag} cannot be exported"))


async def refuse_import(change: Change, wanted: CartridgeToImport) -> str:
    """Check library and pool; then Conflict."""
    problems = Problems()
    found = await library(problems, change, wanted.library_id, "data.library_id")
    media = found["media_server_id"] if found else None
    await tape_pool(problems, change, wanted.pool_name, "data.pool_name", media)
    problems.raise_any()
    raise Conflict(NO_ROBOTICS.format(what="no cartridge can be imported"))


async def refuse_move(change: Change, wanted: CartridgeToMove) -> str:
    """Check cartridge and slot; then Conflict, also for a slot that is full."""
    problems = Problems()
    known = await _check(problems, change, [wanted], ["data"])
    slot = await change.db.fetchrow(_SLOT, wanted.slot_id, wanted.library_id)
    if known and slot is None:
        problems.add("data.slot_id", "unknown slot of this library.")
    problems.raise_any()
    assert slot is not None
    if slot["is_full"]:
        raise Conflict(f"The slot {wanted.slot_id} (element {slot['element_address']}) is not empty.")
    raise Conflict(NO_ROBOTICS.format(what=f"{wanted.volume_tag} cannot be moved"))


async def _check(
    problems: Problems, change: Change, wanted: Sequence[LibraryCartridge], fields: Sequence[str]
) -> frozenset[int]:
    """The libraries that the caller may change; notes libraries that are unknown and cartridges that are not there."""
    limit = scopes.storage(change.principal, write=True)
    rows = await change.db.fetch(
        _LIBRARIES.format(limit=limit.numbered(2)), [one.library_id for one in wanted], *limit.values
    )
    known = frozenset(row["id"] for row in rows)
    absent = await change.db.fetch(_ABSENT, [one.library_id for one in wanted], [one.volume_tag for one in wanted])
    missing = {row["place"] for row in absent}
    seen: set[tuple[int, str]] = set()
    for place, (one, field) in enumerate(zip(wanted, fields, strict=True)):
        if one.library_id not in known:
            problems.add(f"{field}.library_id", "unknown tape library.")
        elif place in missing:
            problems.add(f"{field}.volume_tag", "lies in no slot and no drive of this library.")
        if (one.library_id, one.volume_tag) in seen:
            problems.add(f"{field}.volume_tag", "is named twice.")
        seen.add((one.library_id, one.volume_tag))
    return known
