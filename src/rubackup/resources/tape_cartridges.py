"""Tape cartridges, and the queue of what robots and drives are to do with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Body, Op, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.services import scopes, tape_cartridges


class CartridgeRow(msgspec.Struct, kw_only=True):
    """A cartridge, with where a robot saw it last."""

    id: Annotated[int, Meta(description="Id of the cartridge.")]
    type: Annotated[str, Meta(description="A name of tape_types.")]
    pool: Annotated[str, Meta(description="Name of the pool whose copies it may hold.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    media_server: Annotated[str, Meta(description="Host name of the pool's media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    volume_tag: Annotated[str, Meta(description="What stands on its label.")]
    description: Annotated[str, Meta(description="Free text.")]
    tape_library: Annotated[int | None, Meta(description="Id of the library that it is in; null: in none.")]
    slot: Annotated[int | None, Meta(description="Id of the slot that it lies in; null: in none.")]
    element_address: Annotated[int | None, Meta(description="Element of that slot or drive, as the robot counts.")]
    tape_drive: Annotated[int | None, Meta(description="Id of the drive that it is in; null: in none.")]
    copies: Annotated[int, Meta(description="How many copies it holds.")]
    created_at: Annotated[datetime, Meta(description="When it was registered.")]


_OWN = ("id", "type", "volume_tag", "description", "created_at")
# Labels should be unique; where they are not, the place that was seen last is shown.
_PLACE = """
LEFT JOIN LATERAL (
    SELECT x.* FROM (
        SELECT s.tape_library_id, s.id AS slot, NULL::bigint AS drive, s.element_address AS element, s.updated_at
        FROM library_slots s WHERE s.volume_tag = c.volume_tag
        UNION ALL
        SELECT d.tape_library_id, NULL, d.id, d.sys_transfer_element, d.updated_at
        FROM library_tape_drives d WHERE d.volume_tag = c.volume_tag
    ) x JOIN tape_libraries l ON l.id = x.tape_library_id AND l.media_server_id = p.media_server_id
    ORDER BY x.updated_at DESC, x.drive NULLS LAST, x.slot LIMIT 1
) w ON true"""

TAPE_CARTRIDGES = Resource(
    path="tape_cartridges",
    name="Tape Cartridges",
    tag="Tape Cartridges",
    summary="Cartridges of tape pools",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=CartridgeRow,
    source=Source(
        "tape_cartridges c JOIN pools p ON p.id = c.pool_id JOIN media_servers m ON m.id = p.media_server_id" + _PLACE,
        "c.id",
        {
            **{one: f"c.{one}" for one in _OWN}, "pool": "p.pool_name", "pool_ref": "c.pool_id",
            "media_server": "m.hostname", "media_server_ref": "p.media_server_id", "tape_library": "w.tape_library_id",
            "slot": "w.slot", "element_address": "w.element", "tape_drive": "w.drive",
            "copies": "(SELECT count(*) FROM tape_cartridge_copies k WHERE k.cartridge_id = c.id)",
        },
        frozenset({"id", "volume_tag", "pool_ref"}),
    ),
    ops=LOG | Op.CREATE | Op.UPDATE | Op.BULK_DELETE,
    scope=limited(lambda principal: scopes.storage(principal, "p.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "p.media_server_id", write=True)),
    create=making(tape_cartridges.create),
    create_body=Body(
        tape_cartridges.NewCartridge,
        example={"data": {"type": "LTO-9", "pool": "tape_pool", "volume_tag": "RB10001L9", "description": ""}},
    ),
    update=tape_cartridges.update,
    update_body=Body(tape_cartridges.CartridgeChange, example={"data": {"volume_tag": "", "description": ""}}),
    delete=tape_cartridges.delete,
)  # fmt: skip


class TapeTaskRow(msgspec.Struct, kw_only=True):
    """A task of a robot or a drive."""

    id: Annotated[int, Meta(description="Number of the task.")]
    task_type: Annotated[
        str, Meta(description="check_ltfs, erase_cartridge, export_cartridge, format_cartridge and the like.")
    ]
    status: Annotated[str, Meta(description="A name of task_status.")]
    media_server: Annotated[str, Meta(description="Host name of the media server that does it.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    tape_library: Annotated[int | None, Meta(description="Id of the tape library; null when it was deleted.")]
    tape_drive: Annotated[int | None, Meta(description="Id of the drive, where one is meant.")]
    slot: Annotated[int | None, Meta(description="Id of the slot, where one is meant.")]
    volume_tag: Annotated[str, Meta(description="Label of the cartridge; empty where none is meant.")]
    message: Annotated[str, Meta(description="What there is to say about the status.")]
    created_by: Annotated[str, Meta(description="Name of the user who made the task.")]
    created_at: Annotated[datetime, Meta(description="When the task was made.")]
    started_at: Annotated[datetime | None, Meta(description="When the media server took it.")]
    finished_at: Annotated[datetime | None, Meta(description="When it ended.")]


_TASK = (
    "id", "task_type", "status", "volume_tag", "message", "created_by", "created_at", "started_at", "finished_at",
)  # fmt: skip

TL_TASK_QUEUE = Resource(
    path="tl_task_queue",
    name="TL Task Queue",
    tag="TL Task Queue",
    summary="What robots and drives do; empty as long as this version does not move cartridges",
    read=Permission.READ_STORAGE,
    row=TapeTaskRow,
    source=Source(
        "tl_task_queue t JOIN media_servers m ON m.id = t.media_server_id",
        "t.id",
        {
            **{one: f"t.{one}" for one in _TASK}, "media_server": "m.hostname",
            "media_server_ref": "t.media_server_id", "tape_library": "t.tape_library_id",
            "tape_drive": "t.tape_drive_id", "slot": "t.slot_id",
        },
        frozenset({"id", "status", "media_server_ref", "tape_library"}),
        descending=True,
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.storage(principal, "t.media_server_id")),
)  # fmt: skip
