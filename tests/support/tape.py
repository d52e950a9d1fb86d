"""Tape libraries in the catalogue for tests of the API, made by SQL; each with names of its own."""

from __future__ import annotations

import itertools
from typing import Any

from support.fixtures import Stock

_numbers = itertools.count(100)


def tape_pool(rows: Stock, *, media: int | None = None) -> int:
    """A pool of the type Tape library."""
    return rows.pool(media=media, pool_type="Tape library")


def media_of(rows: Stock, table: str, row_id: int) -> int:
    """Id of the media server of a pool or a library."""
    return int(rows.row(f"SELECT media_server_id FROM {table} WHERE id = $1", row_id)["media_server_id"])


def media_name(rows: Stock, media: int) -> str:
    """Its host name."""
    return rows.named("media_servers", media, "hostname")


def candidate(rows: Stock, media: int, kind: str = "tape_drive", **fields: Any) -> int:
    """A robot or drive that the media server was found to have."""
    number = next(_numbers)
    row = {
        "media_server_id": media, "kind": kind, "identity": f"serial {number}", "scsi_path": f"[{number}:0:0:0]",
        "device": f"/dev/sg{number}", "vendor": "IBM", "product": "ULT3580-TD9", "revision": "P370",
        "serial": f"SN{number}",
    }  # fmt: skip
    return rows.insert("tape_candidates", **(row | fields))


def _device(rows: Stock, candidate_id: int) -> dict[str, Any]:
    columns = ("scsi_path", "device", "vendor", "product", "revision", "serial")
    row = rows.row("SELECT * FROM tape_candidates WHERE id = $1", candidate_id)
    return {"candidate_id": candidate_id} | {column: row[column] for column in columns}


def library(rows: Stock, *, pool: int | None = None) -> int:
    """A library with a robot, without drives and slots."""
    pool = pool or tape_pool(rows)
    media = media_of(rows, "pools", pool)
    made = rows.insert("tape_libraries", pool_id=pool, media_server_id=media, description="d")
    changer(rows, made)
    return made


def changer(rows: Stock, of: int | None = None) -> int:
    """The robot of a library that has none yet; of a new library: its robot."""
    if of is None:
        return int(rows.row("SELECT id FROM medium_changers WHERE tape_library_id = $1", library(rows))["id"])
    found = candidate(rows, media_of(rows, "tape_libraries", of), "medium_changer")
    return rows.insert("medium_changers", tape_library_id=of, **_device(rows, found))


def drive(rows: Stock, of: int | None = None, **fields: Any) -> int:
    """A drive of a library."""
    of = of or library(rows)
    found = candidate(rows, media_of(rows, "tape_libraries", of))
    row = {"tape_library_id": of} | _device(rows, found)
    return rows.insert("library_tape_drives", **(row | fields))


def slot(rows: Stock, of: int | None = None, *, tag: str = "", **fields: Any) -> int:
    """A slot of a library, with a cartridge if a tag is given."""
    row = {
        "tape_library_id": of or library(rows), "element_address": next(_numbers), "slot_type": "slot",
        "is_full": bool(tag), "volume_tag": tag, "accessible": True,
    }  # fmt: skip
    return rows.insert("library_slots", **(row | fields))


def cartridge(rows: Stock, *, pool: int | None = None, tag: str = "") -> int:
    """A registered cartridge."""
    values = {"type": "LTO-9", "volume_tag": tag or new_tag(), "description": "d"}
    return rows.insert("tape_cartridges", pool_id=pool or tape_pool(rows), **values)


def new_tag() -> str:
    """A label that no other cartridge has."""
    return f"T{next(_numbers):05}L9"


def tape_task(rows: Stock) -> int:
    """A task of a robot."""
    of = library(rows)
    return rows.insert(
        "tl_task_queue", task_type="move_cartridge", tape_library_id=of, volume_tag="RB10001L9",
        media_server_id=media_of(rows, "tape_libraries", of), created_by="rubackup",
    )  # fmt: skip
