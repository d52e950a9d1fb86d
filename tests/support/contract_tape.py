"""Contract rows: tape libraries, robots, drives, slots, cartridges, their queue.

No robot can be had on a test machine, so libraries are written into the catalogue by SQL; everything that would
need the robot is refused with the reason. With a robot behind a real SCSI device it is tried in `test_tape.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from support import tape
from support.fixtures import Stock
from support.office import MISSING, Office, example
from support.rows import Call, Row, Rows, about, changes, creates, data_of, deletes, lists, log_rows, reads

NOT_MOVED = "does not move cartridges yet"


class _Catalogue:
    """What `Stock` asks of a caller, over SQL."""

    def __init__(self, office: Office) -> None:
        self.fetch = office.sql
        self.execute = office.sql


def rows_of(office: Office) -> Stock:
    """Makes rows in the catalogue of the running system."""
    return Stock(_Catalogue(office))  # type: ignore[arg-type]


def _media_id(office: Office) -> int:
    return int(office.items("/media_servers", filter_data=f'hostname="{office.media}"')[0]["id"])


def _tape_pool(office: Office) -> int:
    name = office.pool("Tape library")
    return int(office.items("/pool_list", filter_data=f'pool_name="{name}"')[0]["id"])


def _library(office: Office) -> int:
    return tape.library(rows_of(office), pool=_tape_pool(office))


def _drive(office: Office) -> int:
    return tape.drive(rows_of(office), _library(office))


def _changer(office: Office) -> int:
    library = _library(office)
    return int(office.items("/medium_changers", filter_data=f'tape_library_id="{library}"')[0]["id"])


def _slot(office: Office) -> int:
    return tape.slot(rows_of(office), _library(office), tag=tape.new_tag())


def _tape_task(office: Office) -> int:
    return office.inserted(
        "tl_task_queue", task_type="move_cartridge", tape_library_id=_library(office), volume_tag="RB10001L9",
        media_server_id=_media_id(office), created_by="rubackup",
    )  # fmt: skip


def _lying(office: Office) -> dict[str, Any]:
    """A cartridge in a library."""
    library, tag = _library(office), tape.new_tag()
    tape.slot(rows_of(office), library, tag=tag)
    return {"library_id": library, "volume_tag": tag}


def _unmoved(office: Office, call: Call, _answer: httpx.Response) -> None:
    """Nothing was queued, and the cartridge lies where it lay."""
    assert office.items("/tl_task_queue", filter_data=f'tape_library="{call.about}"') == []


def _acting(word: str, more: Callable[[Office, dict[str, Any]], dict[str, Any]] | None = None) -> Rows:
    path = f"/library_slots/{word}"

    def prepare(office: Office) -> Call:
        found = _lying(office)
        return Call(
            path, example("PATCH", path, **(found | (more(office, found) if more else {}))), about=found["library_id"]
        )

    def absent(_office: Office) -> Call:
        return Call(path, example("PATCH", path, library_id=MISSING))

    return {("PATCH", path): Row(prepare, _unmoved, NOT_MOVED, 409, absent, absent_status=400)}


def _importing(office: Office, found: dict[str, Any]) -> dict[str, Any]:
    pool = office.row("/tape_libraries", found["library_id"])["pool"]
    return {"pool_name": pool}


def _moving(office: Office, found: dict[str, Any]) -> dict[str, Any]:
    return {"slot_id": tape.slot(rows_of(office), found["library_id"])}


def _candidates(path: str, mode: str) -> Rows:
    """What the live media server finds in its own /sys: on a machine without tape nothing, honestly."""

    def shows(_office: Office, _call: Call, answer: httpx.Response) -> None:
        found = data_of(answer)
        assert (found["items"] if "items" in found else [*found["medium_changers"], *found["tape_drives"]]) == []

    more = {"sg_device_path": "/dev/sg4"} if "drives" in path else {}

    def prepare(office: Office) -> Call:
        return Call(path, query={"media_server": office.media, "mode": mode, **more})

    absent = Call(path, query={"media_server": "no-such-host", "mode": mode, **more})
    return {("GET", path): Row(prepare, shows, absent=lambda _o: absent, absent_status=400)}


def _asking_robot(office: Office) -> Call:
    body = example("POST", "/tape_libraries/candidates/info", media_server=office.media)
    return Call("/tape_libraries/candidates/info", body)


def _nobody_asked(_office: Office) -> Call:
    return Call(
        "/tape_libraries/candidates/info", example("POST", "/tape_libraries/candidates/info", media_server="nobody")
    )


def _new_library(office: Office) -> Call:
    pool, stock = _tape_pool(office), rows_of(office)
    media = _media_id(office)
    body = example(
        "POST", "/tape_libraries", pool=office.row("/pool_list", pool)["pool_name"], media_server=office.media,
        medium_changer_candidate_id=tape.candidate(stock, media, "medium_changer"),
        tape_drives_candidates_ids=[tape.candidate(stock, media)],
    )  # fmt: skip
    return Call("/tape_libraries", body, about=pool)


def _no_library(office: Office, call: Call, _answer: httpx.Response) -> None:
    assert office.items("/tape_libraries", filter_data=f'pool_ref="{call.about}"') == []


def _new_drives(office: Office) -> Call:
    library, media = _library(office), _media_id(office)
    ids = [tape.candidate(rows_of(office), media) for _ in range(3)]
    return Call(
        "/library_tape_drives", example("POST", "/library_tape_drives", ids=ids, tape_library_id=library), about=library
    )


def _drives_added(office: Office, call: Call, _answer: httpx.Response) -> None:
    assert len(office.items("/library_tape_drives", filter_data=f'tape_library_id="{call.about}"')) == 3


def _tree(office: Office) -> Call:
    library = _library(office)
    return Call("/tape_libraries/tree", example("POST", "/tape_libraries/tree", limit=1000), about=library)


def _tree_shows(_office: Office, call: Call, answer: httpx.Response) -> None:
    """The library is there, its list of slots is empty as the guide says."""
    found = [library for pool in data_of(answer)["pools"] for library in pool["tape_libraries"]]
    (own,) = [library for library in found if library["id"] == call.about]
    assert own["slots"] == []


def _unsynced(office: Office, call: Call, _answer: httpx.Response) -> None:
    assert office.row("/tape_libraries", call.about)["slots"] == 0


def _uncleaned(office: Office, call: Call, _answer: httpx.Response) -> None:
    assert office.items("/tl_task_queue", filter_data='task_type="clean_drive"') == []
    assert office.row("/library_tape_drives", call.about)["id"] == call.about


def _cartridge_body(office: Office) -> Any:
    pool = office.row("/pool_list", _tape_pool(office))["pool_name"]
    return example("POST", "/tape_cartridges", pool=pool, volume_tag=tape.new_tag())


def _cartridge(office: Office) -> int:
    return office.made("/tape_cartridges", _cartridge_body(office))


ROWS: Rows = {
    **lists("/tape_libraries", _library),
    **reads("/tape_libraries", _library),
    **deletes("/tape_libraries", _library),
    ("POST", "/tape_libraries"): Row(
        _new_library, _no_library, "has no robot at", 503, absent=lambda _o: Call("/tape_libraries/1/nothing")
    ),
    **_candidates("/tape_libraries/candidates", "automatic"),
    ("POST", "/tape_libraries/candidates/info"): Row(
        _asking_robot, lambda _o, _c, _a: None, "robot", 404, absent=_nobody_asked, absent_status=400
    ),
    ("POST", "/tape_libraries/tree"): Row(_tree, _tree_shows, absent=lambda _o: Call("/tape_libraries/tree/1/nothing")),
    ("POST", "/tape_libraries/{id}/sync"): Row(
        lambda o: about("/tape_libraries", _library(o), rest="/sync"), _unsynced, "has no robot at", 503
    ),
    **lists("/library_slots", _slot),
    **reads("/library_slots", _slot),
    **_acting("check_ltfs"),
    **_acting("erase_cartridge"),
    **_acting("export_cartridge"),
    **_acting("import_cartridge", _importing),
    **_acting("format_cartridge"),
    **_acting("move_cartridge", _moving),
    **lists("/library_tape_drives", _drive),
    **reads("/library_tape_drives", _drive),
    **deletes("/library_tape_drives", _drive, single=False),
    ("POST", "/library_tape_drives"): Row(
        _new_drives, _drives_added, absent=lambda _o: Call("/library_tape_drives/1/nothing")
    ),
    **changes("/library_tape_drives", _drive, lambda _o, _id: example("PATCH", "/library_tape_drives/{id}")),
    **_candidates("/library_tape_drives/candidates", "manual"),
    ("PATCH", "/library_tape_drives/{id}/clean"): Row(
        lambda o: about("/library_tape_drives", _drive(o), rest="/clean"), _uncleaned, "clean", 409
    ),
    **lists("/medium_changers", _changer),
    **reads("/medium_changers", _changer),
    **changes("/medium_changers", _changer, lambda _o, _id: example("PATCH", "/medium_changers/{id}")),
    **lists("/tape_cartridges", _cartridge),
    **reads("/tape_cartridges", _cartridge),
    **creates("/tape_cartridges", _cartridge_body),
    **changes(
        "/tape_cartridges", _cartridge, lambda _o, _id: example("PATCH", "/tape_cartridges/{id}", description="d"), "volume_tag"
    ),
    **deletes("/tape_cartridges", _cartridge, single=False),
    **log_rows("/tl_task_queue", _tape_task),
}  # fmt: skip
