"""The tree of tape pools with their libraries, robots and drives, for consoles; two queries."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.domain.lookups import StorageType
from rubackup.services import scopes
from rubackup.services.change import Change

_POOLS = """
SELECT p.id, p.pool_name, p.description, p.media_server_id, m.hostname, count(*) OVER () AS total
FROM pools p JOIN media_servers m ON m.id = p.media_server_id
WHERE p.pool_type = $1 AND ({limit}) ORDER BY p.pool_name, p.id LIMIT $2 OFFSET $3"""
_LIBRARIES = """
SELECT l.id, l.pool_id, l.description, m.id AS changer_id, m.scsi_path, m.device, m.vendor, m.product, m.serial,
    coalesce(d.drives, '[]') AS drives
FROM tape_libraries l JOIN medium_changers m ON m.tape_library_id = l.id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'id', d.id, 'scsi_path', d.scsi_path, 'device', d.device, 'vendor', d.vendor, 'product', d.product,
        'serial', d.serial, 'sys_transfer_element', d.sys_transfer_element, 'is_full', d.is_full,
        'volume_tag', d.volume_tag, 'problem', d.problem) ORDER BY d.id) AS drives
    FROM library_tape_drives d WHERE d.tape_library_id = l.id
) d ON true
WHERE l.pool_id = ANY ($1::bigint[]) ORDER BY l.id"""


class PoolsPage(msgspec.Struct, kw_only=True):
    """Which pools are wanted."""

    limit: Annotated[int, Meta(description="Pools a page.", ge=1, le=1000)] = 50
    page: Annotated[int, Meta(description="Page, from 1.", ge=1, le=1_000_000)] = 1


class TapeTreeQuery(msgspec.Struct, kw_only=True):
    """Which part of the tree is wanted."""

    pools: Annotated[PoolsPage, Meta(description="Page of pools.")] = msgspec.field(default_factory=PoolsPage)


class ChangerLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A robot in the tree."""

    id: Annotated[int, Meta(description="Id in medium_changers.")]
    scsi_path: Annotated[str, Meta(description="SCSI address.")]
    device: Annotated[str, Meta(description="Device node.")]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    serial: Annotated[str, Meta(description="Serial number.")]


class DriveLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A drive in the tree."""

    id: Annotated[int, Meta(description="Id in library_tape_drives.")]
    scsi_path: Annotated[str, Meta(description="SCSI address.")]
    device: Annotated[str, Meta(description="Device node.")]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    serial: Annotated[str, Meta(description="Serial number.")]
    sys_transfer_element: Annotated[int | None, Meta(description="Element address as the robot counts.")]
    is_full: Annotated[bool, Meta(description="Whether a cartridge was in it.")]
    volume_tag: Annotated[str, Meta(description="Label of that cartridge.")]
    problem: Annotated[str, Meta(description="What is wrong with it; empty when nothing is.")]


class SlotLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A slot in the tree; the guide asks for none of them."""

    id: Annotated[int, Meta(description="Id in library_slots.")]


class LibraryNode(msgspec.Struct, frozen=True, kw_only=True):
    """A tape library in the tree."""

    id: Annotated[int, Meta(description="Id of the library.")]
    description: Annotated[str, Meta(description="Free text.")]
    medium_changer: Annotated[ChangerLeaf, Meta(description="Its robot.")]
    tape_drives: Annotated[list[DriveLeaf], Meta(description="Its drives, by id.")]
    slots: Annotated[list[SlotLeaf], Meta(description="Always empty; GET /library_slots lists them.")]


class TapePoolNode(msgspec.Struct, frozen=True, kw_only=True):
    """A pool of the type Tape library in the tree."""

    id: Annotated[int, Meta(description="Id of the pool.")]
    pool_name: Annotated[str, Meta(description="Name of the pool.")]
    description: Annotated[str, Meta(description="Free text.")]
    media_server: Annotated[str, Meta(description="Host name of its media server.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]
    tape_libraries: Annotated[list[LibraryNode], Meta(description="Its libraries; none is possible.")]


class TapeTree(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tape pools with their libraries."""

    pools: Annotated[list[TapePoolNode], Meta(description="A page of pools, by name.")]
    pools_total: Annotated[int, Meta(description="How many there are; 0 on a page behind the last.")]
    pools_page: Annotated[int, Meta(description="Which page this is.")]
    pools_limit: Annotated[int, Meta(description="Pools a page.")]


async def tree(change: Change, wanted: TapeTreeQuery) -> TapeTree:
    """A page of the tape pools that the caller may see, also without library."""
    page = wanted.pools
    limit = scopes.storage(change.principal, "p.media_server_id")
    pools = await change.db.fetch(
        _POOLS.format(limit=limit.numbered(4)), StorageType.TAPE_LIBRARY.label, page.limit,
        (page.page - 1) * page.limit, *limit.values,
    )  # fmt: skip
    libraries: dict[int, list[LibraryNode]] = {}
    for row in await change.db.fetch(_LIBRARIES, [pool["id"] for pool in pools]):
        libraries.setdefault(row["pool_id"], []).append(_library(row))
    return TapeTree(
        pools=[_pool(row, libraries.get(row["id"], [])) for row in pools],
        pools_total=pools[0]["total"] if pools else 0,
        pools_page=page.page,
        pools_limit=page.limit,
    )


def _pool(row: Any, libraries: list[LibraryNode]) -> TapePoolNode:
    return TapePoolNode(
        id=row["id"],
        pool_name=row["pool_name"],
        description=row["description"],
        media_server=row["hostname"],
        media_server_ref=row["media_server_id"],
        tape_libraries=libraries,
    )


def _library(row: Any) -> LibraryNode:
    changer = ChangerLeaf(
        id=row["changer_id"], scsi_path=row["scsi_path"], device=row["device"], vendor=row["vendor"],
        product=row["product"], serial=row["serial"],
    )  # fmt: skip
    return LibraryNode(
        id=row["id"],
        description=row["description"],
        medium_changer=changer,
        tape_drives=msgspec.convert(row["drives"], list[DriveLeaf]),
        slots=[],
    )
