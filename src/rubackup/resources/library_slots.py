"""Slots of tape libraries, and what is asked of the cartridges in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Action, Body, Call, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, with_body
from rubackup.services import library_slots, scopes


class SlotRow(msgspec.Struct, kw_only=True):
    """A slot of a tape library, as it was at the last synchronisation."""

    id: Annotated[int, Meta(description="Id of the slot.")]
    library_id: Annotated[int, Meta(description="Id of its tape library.")]
    media_server: Annotated[str, Meta(description="Host name of its media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    element_address: Annotated[int, Meta(description="Address of its element, as the robot counts.")]
    slot_type: Annotated[str, Meta(description="slot, or import_export where cartridges come and go.")]
    is_full: Annotated[bool, Meta(description="Whether a cartridge lies in it.")]
    volume_tag: Annotated[str, Meta(description="Label of that cartridge; empty without a readable one.")]
    tape_cartridge: Annotated[int | None, Meta(description="Id of that cartridge; null when it is not registered.")]
    accessible: Annotated[bool, Meta(description="Whether the robot can reach it.")]
    problem: Annotated[str, Meta(description="What is wrong with it, as a SCSI sense code; empty when nothing is.")]
    updated_at: Annotated[datetime, Meta(description="When the robot told this.")]


_OWN = ("id", "element_address", "slot_type", "is_full", "volume_tag", "accessible", "problem", "updated_at")
_CARTRIDGE = """(SELECT t.id FROM tape_cartridges t JOIN pools p ON p.id = t.pool_id
    WHERE t.volume_tag = s.volume_tag AND p.media_server_id = l.media_server_id)"""


def _many(what: str) -> Callable[[Call], Awaitable[Any]]:
    async def run(call: Call) -> Any:
        return await library_slots.refuse_many(call.change, call.body, what)

    return run


def _action(
    word: str, summary: str, run: Callable[[Call], Awaitable[Any]], struct: type[msgspec.Struct], example: Any
) -> Action:
    """An action that this version checks and refuses."""
    return Action(
        "PATCH", word, summary, Permission.WRITE_STORAGE, run,
        body=Body(struct, many=isinstance(example, list), example={"data": example}),
        statuses={409: "This version does not move cartridges"},
    )  # fmt: skip


_ONE = {"library_id": 5, "volume_tag": "ACS512L9"}

LIBRARY_SLOTS = Resource(
    path="library_slots",
    name="Library Slots",
    tag="Library Slots",
    summary="Where cartridges lie",
    read=Permission.READ_STORAGE,
    row=SlotRow,
    source=Source(
        "library_slots s JOIN tape_libraries l ON l.id = s.tape_library_id "
        "JOIN media_servers m ON m.id = l.media_server_id",
        "s.id",
        {
            **{one: f"s.{one}" for one in _OWN}, "library_id": "s.tape_library_id", "media_server": "m.hostname",
            "media_server_ref": "l.media_server_id", "tape_cartridge": _CARTRIDGE,
        },
        frozenset({"id", "library_id", "media_server_ref", "volume_tag"}),
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.storage(principal, "l.media_server_id")),
    actions=(
        _action(
            "check_ltfs", "Check cartridges for LTFS", _many("no cartridge can be checked"),
            library_slots.LibraryCartridge, [_ONE],
        ),
        _action(
            "erase_cartridge", "Erase cartridges", _many("no cartridge can be erased"),
            library_slots.CartridgeToErase, [{"library_id": 5, "is_long_erase": False, "volume_tag": "ACS512L9"}],
        ),
        _action(
            "export_cartridge", "Put a cartridge into an import/export slot", with_body(library_slots.refuse_export),
            library_slots.LibraryCartridge, _ONE,
        ),
        _action(
            "import_cartridge", "Take a cartridge out of an import/export slot",
            with_body(library_slots.refuse_import), library_slots.CartridgeToImport,
            {"library_id": 5, "pool_name": "Tape libraries"},
        ),
        _action(
            "format_cartridge", "Format cartridges", _many("no cartridge can be formatted"),
            library_slots.LibraryCartridge, [_ONE],
        ),
        _action(
            "move_cartridge", "Move a cartridge to another slot", with_body(library_slots.refuse_move),
            library_slots.CartridgeToMove, _ONE | {"slot_id": 6},
        ),
    ),
)  # fmt: skip
