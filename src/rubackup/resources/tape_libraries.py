"""Tape libraries, what they can be made of, and their robots."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Action, Answer, Body, Call, Later, Op, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.services import scopes, tape_candidates, tape_drives, tape_libraries, tape_robots, tape_scans, tape_tree
from rubackup.services.change import Change


class TapeLibraryRow(msgspec.Struct, kw_only=True):
    """A tape library."""

    id: Annotated[int, Meta(description="Id of the library.")]
    pool: Annotated[str, Meta(description="Name of the pool whose copies it keeps.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    media_server: Annotated[str, Meta(description="Host name of the media server that it is presented to.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    description: Annotated[str, Meta(description="Free text.")]
    medium_changer: Annotated[int, Meta(description="Id of its robot in medium_changers.")]
    medium_changer_candidate_id: Annotated[int, Meta(description="Candidate that its robot was made of.")]
    tape_drives_candidates_ids: Annotated[list[int], Meta(description="Candidates that its drives were made of.")]
    tape_drives: Annotated[int, Meta(description="How many drives it has.")]
    slots: Annotated[int, Meta(description="How many slots it has, those for import and export included.")]
    full_slots: Annotated[int, Meta(description="In how many slots a cartridge lay at the last synchronisation.")]
    synced_at: Annotated[datetime, Meta(description="When its robot was asked last.")]
    created_at: Annotated[datetime, Meta(description="When the library was made.")]


_COLUMNS = {
    "id": "l.id", "pool": "p.pool_name", "pool_ref": "l.pool_id", "media_server": "m.hostname",
    "media_server_ref": "l.media_server_id", "description": "l.description", "medium_changer": "c.id",
    "medium_changer_candidate_id": "c.candidate_id",
    "tape_drives_candidates_ids":
        "ARRAY(SELECT d.candidate_id FROM library_tape_drives d WHERE d.tape_library_id = l.id ORDER BY d.id)",
    "tape_drives": "(SELECT count(*) FROM library_tape_drives d WHERE d.tape_library_id = l.id)",
    "slots": "(SELECT count(*) FROM library_slots s WHERE s.tape_library_id = l.id)",
    "full_slots": "(SELECT count(*) FROM library_slots s WHERE s.tape_library_id = l.id AND s.is_full)",
    "synced_at": "l.synced_at", "created_at": "l.created_at",
}  # fmt: skip


async def _candidates(call: Call) -> Later:
    media_id, hwid = await tape_scans.media_server(call.change, call.query.media_server)
    automatic, hosts = call.query.mode == "automatic", call.change.hosts

    async def ask() -> tape_scans.Scanned:
        return await tape_scans.scan(hosts, hwid, None if automatic else [])

    async def note(change: Change, said: Any) -> tape_candidates.LibraryCandidates:
        return await tape_candidates.library_candidates(change, media_id, said, automatic=automatic)

    return Later(ask, note)


async def _info(call: Call) -> Later:
    hosts, node = call.change.hosts, call.body.medium_changer_sg_path
    hwid = await tape_robots.robot_media_server(call.change, call.body)

    async def ask() -> tape_robots.RobotInfo:
        return await tape_robots.robot_info(hosts, hwid, node)

    return Later(ask)


async def _tree(call: Call) -> tape_tree.TapeTree:
    return await tape_tree.tree(call.change, call.body)


async def _sync(call: Call) -> str:
    assert call.id is not None
    return await tape_libraries.sync(call.change, call.id)


_EXAMPLE = {
    "data": {
        "pool": "tape_pool", "media_server": "rubackup-media", "description": "", "medium_changer_candidate_id": 1,
        "tape_drives_candidates_ids": [1],
    }
}  # fmt: skip
_UNAVAILABLE = "The media server or the robot does not answer; the message says why"

TAPE_LIBRARIES = Resource(
    path="tape_libraries",
    name="Tape Libraries",
    tag="Tape Libraries",
    summary="Robots with drives and slots, and the pools whose copies they keep",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=TapeLibraryRow,
    source=Source(
        "tape_libraries l JOIN pools p ON p.id = l.pool_id JOIN media_servers m ON m.id = l.media_server_id "
        "JOIN medium_changers c ON c.tape_library_id = l.id",
        "l.id", _COLUMNS, frozenset({"id", "pool_ref", "media_server_ref"}),
    ),
    ops=LOG | Op.CREATE | Op.DELETE | Op.BULK_DELETE,
    scope=limited(lambda principal: scopes.storage(principal, "l.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "l.media_server_id", write=True)),
    create=making(tape_libraries.create),
    create_body=Body(tape_libraries.NewTapeLibrary, example=_EXAMPLE),
    delete=tape_libraries.delete,
    actions=(
        Action(
            "GET", "candidates", "Robots and drives that no library uses", Permission.READ_STORAGE, _candidates,
            answer=Answer.OBJECT, row=tape_candidates.LibraryCandidates, query=tape_candidates.LibraryCandidatesQuery,
            mutates=False, statuses={503: _UNAVAILABLE},
        ),
        Action(
            "POST", "candidates/info", "A robot with its slots, as it tells now", Permission.WRITE_STORAGE, _info,
            answer=Answer.OBJECT, row=tape_robots.RobotInfo,
            body=Body(
                tape_robots.RobotQuestion,
                example={"data": {"media_server": "rubackup-media-server", "medium_changer_sg_path": "/dev/sg4"}},
            ),
            mutates=False, statuses={404: "There is no robot at this device", 503: _UNAVAILABLE},
        ),
        Action(
            "POST", "tree", "Tape pools with their libraries, robots and drives", Permission.READ_STORAGE, _tree,
            answer=Answer.OBJECT, row=tape_tree.TapeTree,
            body=Body(tape_tree.TapeTreeQuery, example={"data": {"pools": {"limit": 50, "page": 1}}}), mutates=False,
        ),
        Action(
            "POST", "{id}/sync", "Ask the robot where which cartridge lies", Permission.WRITE_STORAGE, _sync,
            statuses={422: "The library holds a cartridge that is not registered", 503: _UNAVAILABLE},
        ),
    ),
)  # fmt: skip


class MediumChangerRow(msgspec.Struct, kw_only=True):
    """The robot of a tape library."""

    id: Annotated[int, Meta(description="Id of the robot.")]
    tape_library_id: Annotated[int, Meta(description="Id of its tape library.")]
    media_server: Annotated[str, Meta(description="Host name of its media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    scsi_path: Annotated[str, Meta(description="SCSI address as `[host:channel:target:lun]`.")]
    device: Annotated[str, Meta(description="Device node on the media server, by which it is asked.")]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    revision: Annotated[str, Meta(description="Version of its firmware.")]
    serial: Annotated[
        str, Meta(description="Serial number; another robot is refused. Empty until it was asked at a new place.")
    ]


_DEVICE = ("id", "tape_library_id", "scsi_path", "device", "vendor", "product", "revision", "serial")

MEDIUM_CHANGERS = Resource(
    path="medium_changers",
    name="Medium Changers",
    tag="Medium Changers",
    summary="Robots of tape libraries",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=MediumChangerRow,
    source=Source(
        "medium_changers c JOIN tape_libraries l ON l.id = c.tape_library_id "
        "JOIN media_servers m ON m.id = l.media_server_id",
        "c.id",
        {
            **{one: f"c.{one}" for one in _DEVICE}, "media_server": "m.hostname",
            "media_server_ref": "l.media_server_id",
        },
        frozenset({"id", "tape_library_id", "media_server_ref"}),
    ),
    ops=LOG | Op.UPDATE,
    scope=limited(lambda principal: scopes.storage(principal, "l.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "l.media_server_id", write=True)),
    update=tape_drives.update_changer,
    update_body=Body(
        tape_drives.ChangerChange, example={"data": {"scsi_path": "[8:0:0:0]", "device": "/dev/sg2"}}
    ),
)  # fmt: skip
