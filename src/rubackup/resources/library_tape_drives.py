"""Drives of tape libraries."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Action, Answer, Body, Call, Created, Later, Op, Page, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, whole
from rubackup.services import scopes, tape_candidates, tape_drives, tape_scans
from rubackup.services.change import Change


class TapeDriveRow(msgspec.Struct, kw_only=True):
    """A drive of a tape library, with what was in it at the last synchronisation."""

    id: Annotated[int, Meta(description="Id of the drive.")]
    tape_library_id: Annotated[int, Meta(description="Id of its tape library.")]
    media_server: Annotated[str, Meta(description="Host name of its media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    candidate_id: Annotated[int, Meta(description="Candidate that it was made of.")]
    scsi_path: Annotated[str, Meta(description="SCSI address as `[host:channel:target:lun]`.")]
    device: Annotated[str, Meta(description="Device node on the media server.")]
    sys_transfer_element: Annotated[
        int | None, Meta(description="Address of its element, as the robot counts; null: unknown.")
    ]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    revision: Annotated[str, Meta(description="Version of its firmware when it was added.")]
    serial: Annotated[str, Meta(description="Serial number.")]
    is_full: Annotated[bool, Meta(description="Whether a cartridge was in it.")]
    volume_tag: Annotated[str, Meta(description="Label of that cartridge; empty without a readable one.")]
    source_element: Annotated[int | None, Meta(description="Element that the cartridge came from, if known.")]
    problem: Annotated[str, Meta(description="What is wrong with the drive; empty when nothing is.")]


_OWN = (
    "id", "tape_library_id", "candidate_id", "scsi_path", "device", "sys_transfer_element", "vendor", "product",
    "revision", "serial", "is_full", "volume_tag", "source_element", "problem",
)  # fmt: skip


async def _create(change: Change, new: tape_drives.NewDrives) -> Created:
    return Created(await tape_drives.create(change, new))


async def _clean(call: Call) -> str:
    assert call.id is not None
    return await tape_drives.clean(call.change, call.id)


async def _candidates(call: Call) -> Later:
    node = tape_candidates.robot_node(call.query)
    media_id, hwid = await tape_scans.media_server(call.change, call.query.media_server)
    hosts = call.change.hosts

    async def ask() -> tape_scans.Scanned:
        return await tape_scans.scan(hosts, hwid, [node] if node else [])

    async def note(change: Change, said: Any) -> Page:
        return whole(await tape_candidates.drive_candidates(change, media_id, said, node))

    return Later(ask, note)


LIBRARY_TAPE_DRIVES = Resource(
    path="library_tape_drives",
    ids_example=(2, 6, 9),
    name="Library Tape Drives",
    tag="Library Tape Drives",
    summary="Drives of tape libraries",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=TapeDriveRow,
    source=Source(
        "library_tape_drives d JOIN tape_libraries l ON l.id = d.tape_library_id "
        "JOIN media_servers m ON m.id = l.media_server_id",
        "d.id",
        {
            **{one: f"d.{one}" for one in _OWN}, "media_server": "m.hostname",
            "media_server_ref": "l.media_server_id",
        },
        frozenset({"id", "tape_library_id", "media_server_ref", "candidate_id"}),
    ),
    ops=LOG | Op.CREATE | Op.UPDATE | Op.BULK_DELETE,
    scope=limited(lambda principal: scopes.storage(principal, "l.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "l.media_server_id", write=True)),
    create=_create,
    create_body=Body(tape_drives.NewDrives, example={"data": {"ids": [4, 6, 9], "tape_library_id": 5}}),
    update=tape_drives.update,
    update_body=Body(
        tape_drives.DriveChange,
        example={"data": {"scsi_path": "[6:0:0:0]", "device": "/dev/sg1", "sys_transfer_element": 3}},
    ),
    delete=tape_drives.delete,
    actions=(
        Action(
            "GET", "candidates", "Drives that no library uses", Permission.READ_STORAGE, _candidates,
            answer=Answer.LIST, row=tape_candidates.DriveCandidate, query=tape_candidates.DriveCandidatesQuery,
            mutates=False, statuses={503: "The media server or the robot does not answer; the message says why"},
        ),
        Action(
            "PATCH", "{id}/clean", "Clean a drive", Permission.WRITE_STORAGE, _clean,
            statuses={409: "This version does not move cartridges"},
        ),
    ),
)  # fmt: skip
