"""Samples of the inherited suite: tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from rubackup.domain.permissions import Role
from support import tape
from support.api import Api
from support.fixtures import Stock, stock
from support.hosts import tags_of
from support.samples import Samples

MAINTAINER = frozenset({Role.MAINTAINER})
"""Administrators see all storage."""


def three(make: Callable[[Stock], int]) -> Callable[[Api], list[int]]:
    """Three rows of a kind."""
    return lambda api: [make(stock(api)) for _ in range(3)]


def new_library(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /tape_libraries with names of rows that are there."""
    rows = stock(api)
    pool = tape.tape_pool(rows)
    media = tape.media_of(rows, "pools", pool)
    body = {
        "pool": rows.named("pools", pool, "pool_name"), "media_server": tape.media_name(rows, media), "description": "",
        "medium_changer_candidate_id": tape.candidate(rows, media, "medium_changer"),
        "tape_drives_candidates_ids": [tape.candidate(rows, media)],
    }  # fmt: skip
    return {"data": body | fields}


def synced(api: Api) -> httpx.Response:
    """Synchronise a library whose cartridges are registered."""
    rows = stock(api)
    pool = tape.tape_pool(rows)
    media = tape.media_of(rows, "pools", pool)
    for tag in tags_of(rows.named("media_servers", media, "hwid")):
        tape.cartridge(rows, pool=pool, tag=tag)
    return api.post(f"/tape_libraries/{tape.library(rows, pool=pool)}/sync")


def some_media(api: Api) -> str:
    """Host name of a media server."""
    return tape.media_name(stock(api), stock(api).media_server())


def new_drives(api: Api) -> dict[str, Any]:
    """The guide's body of POST /library_tape_drives with rows that are there."""
    rows = stock(api)
    library = tape.library(rows)
    media = tape.media_of(rows, "tape_libraries", library)
    return {"data": {"ids": [tape.candidate(rows, media) for _ in range(3)], "tape_library_id": library}}


def new_cartridge(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /tape_cartridges with a pool that is there."""
    pool = stock(api).named("pools", tape.tape_pool(stock(api)), "pool_name")
    return {"data": {"type": "LTO-9", "pool": pool, "volume_tag": tape.new_tag(), "description": ""} | fields}


def lying(api: Api) -> dict[str, Any]:
    """A cartridge in a library, as the actions of slots name it."""
    rows, tag = stock(api), tape.new_tag()
    library = tape.library(rows)
    tape.slot(rows, library, tag=tag)
    return {"library_id": library, "volume_tag": tag}


def act(word: str, body: Callable[[Api], Any]) -> Callable[[Api], httpx.Response]:
    """A good call of an action of slots."""
    return lambda api: api.patch(f"/library_slots/{word}", {"data": body(api)})


def importing(api: Api) -> dict[str, Any]:
    """A library and a pool of its media server."""
    rows = stock(api)
    library = tape.library(rows)
    pool = tape.tape_pool(rows, media=tape.media_of(rows, "tape_libraries", library))
    return {"library_id": library, "pool_name": rows.named("pools", pool, "pool_name")}


def moving(api: Api) -> dict[str, Any]:
    """A cartridge, and an empty slot of its library."""
    found = lying(api)
    return found | {"slot_id": tape.slot(stock(api), found["library_id"])}


SLOT_ACTIONS: dict[str, Callable[[Api], httpx.Response]] = {
    "patch_library_slots_check_ltfs": act("check_ltfs", lambda api: [lying(api), lying(api)]),
    "patch_library_slots_erase_cartridge": act("erase_cartridge", lambda api: [lying(api) | {"is_long_erase": False}]),
    "patch_library_slots_export_cartridge": act("export_cartridge", lying),
    "patch_library_slots_import_cartridge": act("import_cartridge", importing),
    "patch_library_slots_format_cartridge": act("format_cartridge", lambda api: [lying(api)]),
    "patch_library_slots_move_cartridge": act("move_cartridge", moving),
}

SAMPLES: dict[str, Samples] = {
    "tape_libraries": Samples(
        rows=three(tape.library),
        create=lambda api: [new_library(api), new_library(api, description="rack 3")],
        actions={
            "get_tape_libraries_candidates": lambda api: api.get(
                "/tape_libraries/candidates", params={"media_server": some_media(api), "mode": "automatic"}
            ),
            "post_tape_libraries_candidates_info": lambda api: api.post(
                "/tape_libraries/candidates/info",
                {"data": {"media_server": some_media(api), "medium_changer_sg_path": "/dev/sg4"}},
            ),
            "post_tape_libraries_tree": lambda api: api.post(
                "/tape_libraries/tree", {"data": {"pools": {"limit": 50, "page": 1}}}
            ),
            "post_tape_libraries_id_sync": synced,
        },
        foreign=MAINTAINER,
    ),
    "medium_changers": Samples(
        rows=three(tape.changer),
        update=lambda _api: [{"data": {"scsi_path": "[8:0:0:0]", "device": "/dev/sg2"}}],
        foreign=MAINTAINER,
    ),
    "library_tape_drives": Samples(
        rows=three(tape.drive),
        create=lambda api: [new_drives(api)],
        update=lambda _api: [
            {"data": {"scsi_path": "[6:0:0:0]", "device": "/dev/sg1", "sys_transfer_element": 3}},
            {"data": {"sys_transfer_element": None}},
        ],
        actions={
            "get_library_tape_drives_candidates": lambda api: api.get(
                "/library_tape_drives/candidates",
                params={"media_server": some_media(api), "mode": "automatic", "sg_device_path": "/dev/sg4"},
            ),
            "patch_library_tape_drives_id_clean": lambda api: api.patch(
                f"/library_tape_drives/{tape.drive(stock(api))}/clean"
            ),
        },
        refused=frozenset({"patch_library_tape_drives_id_clean"}),
        foreign=MAINTAINER,
    ),
    "library_slots": Samples(
        rows=three(lambda rows: tape.slot(rows, tag=tape.new_tag())),
        actions=SLOT_ACTIONS,
        refused=frozenset(SLOT_ACTIONS),
        foreign=MAINTAINER,
    ),
    "tape_cartridges": Samples(
        rows=three(tape.cartridge),
        create=lambda api: [new_cartridge(api), new_cartridge(api, type="lto-5", volume_tag="SCRATCH-1")],
        update=lambda _api: [{"data": {"volume_tag": tape.new_tag(), "description": "z"}}],
        foreign=MAINTAINER,
    ),
    "tl_task_queue": Samples(rows=three(tape.tape_task), foreign=MAINTAINER),
}
