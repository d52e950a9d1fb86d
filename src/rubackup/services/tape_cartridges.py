"""Tape cartridges: which there are, of which type, for which pool. Where they lie is what robots saw last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import TapeType
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.tape_fields import CLEANING_TAG, DESCRIPTION, VOLUME_TAG, tape_pool, volume_tag

_GENERATION = re.compile(r"L([5-9])$")
"""How a label tells the cartridge's generation: RB10001L9 is an LTO-9."""
_INSERT = """
INSERT INTO tape_cartridges (type, pool_id, volume_tag, description) VALUES ($1, $2, $3, $4)
ON CONFLICT (volume_tag) DO NOTHING RETURNING id"""
_ROW = """
SELECT c.type, c.volume_tag, p.media_server_id,
    EXISTS (SELECT 1 FROM tape_cartridge_copies k WHERE k.cartridge_id = c.id) AS copies
FROM tape_cartridges c JOIN pools p ON p.id = c.pool_id WHERE c.id = $1"""
_TAKEN = "SELECT 1 FROM tape_cartridges WHERE volume_tag = $1 AND id <> $2"
_IN_USE = """
SELECT c.volume_tag, EXISTS (SELECT 1 FROM tape_cartridge_copies k WHERE k.cartridge_id = c.id) AS copies,
    EXISTS (SELECT 1 FROM library_tape_drives d JOIN tape_libraries l ON l.id = d.tape_library_id
        WHERE d.volume_tag = c.volume_tag AND l.media_server_id = p.media_server_id) AS loaded
FROM tape_cartridges c JOIN pools p ON p.id = c.pool_id WHERE c.id = ANY ($1::bigint[]) ORDER BY c.id"""
_DELETE = """
DELETE FROM tape_cartridges c USING pools p
WHERE p.id = c.pool_id AND c.id = ANY ($1::bigint[]) RETURNING c.id, p.media_server_id"""


class NewCartridge(msgspec.Struct, kw_only=True):
    """A cartridge to be registered."""

    type: Annotated[str, Meta(description="A name of tape_types; must fit the label's end, such as L9.")]
    pool: Annotated[Ref, Meta(description="Pool of the type Tape library: name or id.")]
    volume_tag: Annotated[str, VOLUME_TAG]
    description: Annotated[str, DESCRIPTION] = ""


class CartridgeChange(msgspec.Struct, kw_only=True):
    """What to change of a cartridge."""

    volume_tag: (
        Annotated[str, Meta(description="What stands on the cartridge's label now; empty: as it was.", max_length=32)]
        | UnsetType
    ) = UNSET
    description: Annotated[str, DESCRIPTION] | UnsetType = UNSET


async def create(change: Change, new: NewCartridge) -> int:
    """A new cartridge; the id. Conflict when the tag is registered already."""
    problems = Problems()
    kind = problems.label(TapeType, new.type, "data.type")
    pool = await tape_pool(problems, change, new.pool, "data.pool", None)
    tag = _tag(problems, new.volume_tag, kind)
    problems.raise_any()
    cartridge_id: int | None = await change.db.fetchval(_INSERT, kind, pool["id"], tag, new.description)
    if cartridge_id is None:
        raise Conflict(f"A cartridge with the volume tag {tag} is registered already.")
    await change.event("created", "tape_cartridges", cartridge_id, media_server_id=pool["media_server_id"])
    return cartridge_id


def _tag(problems: Problems, text: str, kind: str) -> str:
    """The tag, if labels can bear it and it does not tell of another type; '' after a note."""
    tag = volume_tag(problems, text, "data.volume_tag")
    generation = _GENERATION.search(tag)
    if kind and generation and kind != f"LTO-{generation[1]}":
        problems.add("data.volume_tag", f"ends as the label of an LTO-{generation[1]} does, the type is {kind}.")
    if tag.startswith(CLEANING_TAG):
        problems.add("data.volume_tag", f"begins with {CLEANING_TAG}: cleaning cartridges hold no copies.")
    return tag


async def update(change: Change, cartridge_id: int, wanted: CartridgeChange) -> None:
    """Change what is given. Conflict for another tag when it is taken, or when the cartridge holds copies."""
    problems = Problems()
    row = await change.db.fetchrow(_ROW, cartridge_id)
    columns = given(description=wanted.description)
    if wanted.volume_tag not in {UNSET, "", row["volume_tag"]}:
        assert isinstance(wanted.volume_tag, str)
        columns["volume_tag"] = _tag(problems, wanted.volume_tag, row["type"])
        problems.raise_any()
        if row["copies"]:
            raise Conflict(f"The cartridge {row['volume_tag']} holds copies, which are looked for under this tag.")
        if await change.db.fetchval(_TAKEN, columns["volume_tag"], cartridge_id):
            raise Conflict(f"A cartridge with the volume tag {columns['volume_tag']} is registered already.")
    await update_columns(change.db, "tape_cartridges", cartridge_id, columns)
    await change.event("changed", "tape_cartridges", cartridge_id, media_server_id=row["media_server_id"])


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Forget cartridges; Conflict names those that hold copies or lie in a drive."""
    for row in await change.db.fetch(_IN_USE, list(ids)):
        if row["copies"]:
            raise Conflict(f"The cartridge {row['volume_tag']} holds copies.")
        if row["loaded"]:
            raise Conflict(f"The cartridge {row['volume_tag']} lies in a tape drive.")
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "tape_cartridges", row["id"], media_server_id=row["media_server_id"])
