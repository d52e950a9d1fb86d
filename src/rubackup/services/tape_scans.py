"""Which robots and drives could become tape libraries: media servers are asked, what they say gets stable numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from rubackup.domain.errors import RubackupError, Unavailable
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row
from rubackup.services.ports import Hosts, TapeDevice, TapeElement
from rubackup.services.tape_fields import MEDIUM_CHANGER, TAPE_DRIVE

MOST_DEVICES = 1024
MOST_ROBOTS = 8
"""Robots that are asked for their drives in one call; a media server asks as many at a time."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('tape_candidates'), $1::int)"
_STORE = """
INSERT INTO tape_candidates AS c (media_server_id, kind, identity, scsi_path, device, tape_device, vendor, product,
    revision, serial)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[])
ON CONFLICT (media_server_id, kind, identity) DO UPDATE SET scsi_path = excluded.scsi_path, device = excluded.device,
    tape_device = excluded.tape_device, revision = excluded.revision, present = true, seen_at = now()
RETURNING c.id"""
_ABSENT = (
    "UPDATE tape_candidates SET present = false WHERE media_server_id = $1 AND present AND id <> ALL ($2::bigint[])"
)
_FREE = """
SELECT c.id, c.kind, c.scsi_path, c.device, c.tape_device, c.vendor, c.product, c.revision, c.serial
FROM tape_candidates c WHERE c.media_server_id = $1 AND c.present AND NOT EXISTS (
    SELECT 1 FROM tape_devices_in_use u WHERE u.media_server_id = $1 AND u.kind = c.kind
    AND (u.candidate_id = c.id OR (c.serial <> '' AND u.serial = c.serial)
        OR (c.serial = '' AND u.scsi_path = c.scsi_path)))
ORDER BY c.id"""


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server said: its devices, and of each robot that was asked its elements, or why not."""

    devices: list[TapeDevice]
    elements: Mapping[str, list[TapeElement] | str]


async def media_server(change: Change, value: str, field: str = "media_server") -> tuple[int, str]:
    """Id and hwid of a media server that the caller may see."""
    problems = Problems()
    named: Ref = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value
    limit = scopes.storage(change.principal, "x.id")
    row = await problems.media_server(change.db, named, field, limit)
    problems.raise_any()
    return row["id"], row["hwid"]


async def scan(hosts: Hosts, hwid: str, robots: Sequence[str] | None) -> Scanned:
    """Ask a media server for its devices, then robots for their elements: those of these nodes, all with None."""
    devices = await hosts.scan_tape(hwid)
    if len(devices) > MOST_DEVICES:
        raise Unavailable(f"The media server tells of more than {MOST_DEVICES} tape devices.")
    asked = [d.device for d in devices if d.kind == MEDIUM_CHANGER] if robots is None else list(robots)
    said = await asyncio.gather(*(_elements(hosts, hwid, node) for node in asked[:MOST_ROBOTS]))
    elements = dict(zip(asked, said, strict=False))
    return Scanned(devices=devices, elements=elements)


async def _elements(hosts: Hosts, hwid: str, node: str) -> list[TapeElement] | str:
    """The robot's elements; a sentence when it does not tell: other robots are listed all the same."""
    try:
        return (await hosts.tape_elements(hwid, node))[1]
    except RubackupError as error:
        return error.message


async def store(change: Change, media_server_id: int, devices: Sequence[TapeDevice]) -> list[Row]:
    """Note what the scan found, once each however many paths lead to it; the devices that no library uses."""
    found: dict[tuple[str, str], TapeDevice] = {}
    for device in devices:
        if device.kind in {MEDIUM_CHANGER, TAPE_DRIVE}:
            found.setdefault((device.kind, identity(device)), device)
    columns = [list(one) for one in zip(*found, strict=True)] or [[], []]
    values = list(found.values())
    async with change.db.transaction():
        await change.db.execute(_LOCK, media_server_id % 2**31)
        stored = await change.db.fetch(
            _STORE, media_server_id, *columns, [d.scsi_path for d in values], [d.device for d in values],
            [d.tape_device for d in values], [d.vendor for d in values], [d.product for d in values],
            [d.revision for d in values], [d.serial for d in values],
        )  # fmt: skip
        await change.db.execute(_ABSENT, media_server_id, [row["id"] for row in stored])
        free: list[Row] = await change.db.fetch(_FREE, media_server_id)
    return free


def identity(device: TapeDevice) -> str:
    """What a device is known by: its serial number, else where it is."""
    if device.serial:
        return f"serial {device.vendor} {device.product} {device.serial}"
    return f"path {device.scsi_path}"
