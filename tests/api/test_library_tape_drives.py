"""Drives and robots of tape libraries: adding, correcting, removing."""

from __future__ import annotations

from typing import Any

import pytest

from support import tape
from support.api import Api
from support.fixtures import Stock


def add(api: Api, library: int, ids: list[int]) -> Any:
    """Add drives to a library."""
    return api.post("/library_tape_drives", {"data": {"ids": ids, "tape_library_id": library}})


def test_drives_are_added_in_the_order_named(office: Api, rows: Stock) -> None:
    """Each is a row of its own, and says that the robot was not asked yet."""
    library = tape.library(rows)
    media = tape.media_of(rows, "tape_libraries", library)
    ids = [tape.candidate(rows, media) for _ in range(3)][::-1]
    assert add(office, library, ids).status_code == 201

    items = office.get("/library_tape_drives", params={"sort_by": "id"}).json()["data"]["items"]
    assert [i["candidate_id"] for i in items] == ids
    assert all("synchronise the library" in i["problem"] for i in items)


def test_wrong_candidates_are_named(office: Api, rows: Stock) -> None:
    """Unknown ones, robots, those of another media server; and an unknown library."""
    library = tape.library(rows)
    media = tape.media_of(rows, "tape_libraries", library)
    foreign, robot = tape.candidate(rows, rows.media_server()), tape.candidate(rows, media, "medium_changer")

    errors = add(office, library, [foreign, robot]).json()["errors"]
    assert errors.keys() == {"data.ids.0", "data.ids.1"}
    assert add(office, 2**40, [foreign]).json()["errors"] == {"data.tape_library_id": "unknown tape library."}
    assert "data.ids" in add(office, library, []).json()["errors"]


def test_a_drive_belongs_to_one_library(office: Api, rows: Stock) -> None:
    """409; nothing of the call is done."""
    library = tape.library(rows)
    media = tape.media_of(rows, "tape_libraries", library)
    used, free = tape.candidate(rows, media), tape.candidate(rows, media)
    assert add(office, library, [used]).status_code == 201

    assert add(office, library, [free, used]).status_code == 409
    assert office.get("/library_tape_drives").json()["data"]["total"] == 1


def test_a_library_has_at_most_64_drives(office: Api, rows: Stock) -> None:
    """More in one call is a 400, one more later a 409."""
    library = tape.library(rows)
    media = tape.media_of(rows, "tape_libraries", library)
    ids = [tape.candidate(rows, media) for _ in range(65)]

    assert add(office, library, ids).status_code == 400
    assert add(office, library, ids[:64]).status_code == 201
    assert add(office, library, ids[64:]).status_code == 409


def test_a_foreign_library_is_unknown(office: Api, rows: Stock) -> None:
    """A maintainer adds drives to own libraries only."""
    library, foreign = tape.library(rows), tape.library(rows)
    media = tape.media_of(rows, "tape_libraries", library)
    maintainer = rows.maintainer(media)

    assert add(maintainer, library, [tape.candidate(rows, media)]).status_code == 201
    assert "data.tape_library_id" in add(maintainer, foreign, [1]).json()["errors"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scsi_path", "6:0:0:0"), ("scsi_path", "[6:0:0]"), ("scsi_path", "[a:0:0:0]"), ("scsi_path", ""),
        ("device", "sg1"), ("device", "/dev/"), ("device", "/dev/../etc/passwd"), ("device", "/etc/passwd"),
        ("device", "/dev/sg 1"), ("device", "/dev/./sg1"), ("sys_transfer_element", -1),
        ("sys_transfer_element", 65536), ("sys_transfer_element", "x"), ("device", None),
    ],
)  # fmt: skip
def test_wrong_values_name_the_field(office: Api, rows: Stock, key: str, value: Any) -> None:
    """And change nothing."""
    drive = tape.drive(rows)
    before = office.get(f"/library_tape_drives/{drive}").json()
    answer = office.patch(f"/library_tape_drives/{drive}", {"data": {key: value}})

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {f"data.{key}"}
    assert office.get(f"/library_tape_drives/{drive}").json() == before


def test_two_devices_of_a_media_server_are_not_at_one_place(office: Api, rows: Stock) -> None:
    """Address and node are another's: 409, whether robot or drive; on another media server they are free."""
    library = tape.library(rows)
    drive = tape.drive(rows, library)
    robot = office.get("/medium_changers").json()["data"]["items"][0]
    elsewhere = tape.drive(rows)

    for key in ("scsi_path", "device"):
        assert office.patch(f"/library_tape_drives/{drive}", {"data": {key: robot[key]}}).status_code == 409
        assert office.patch(f"/library_tape_drives/{elsewhere}", {"data": {key: robot[key]}}).status_code == 200
    taken = office.get(f"/library_tape_drives/{drive}").json()["data"]["device"]
    answer = office.patch(f"/medium_changers/{robot['id']}", {"data": {"device": taken}})
    assert answer.status_code == 409
    assert f"tape drive {drive}" in answer.json()["message"]


def test_two_drives_of_a_library_are_not_at_one_element(office: Api, rows: Stock) -> None:
    """409 names the other; in another library the element is free."""
    library = tape.library(rows)
    one, two, elsewhere = (
        tape.drive(rows, library, sys_transfer_element=256),
        tape.drive(rows, library),
        tape.drive(rows),
    )
    answer = office.patch(f"/library_tape_drives/{two}", {"data": {"sys_transfer_element": 256}})

    assert answer.status_code == 409
    assert str(one) in answer.json()["message"]
    assert office.patch(f"/library_tape_drives/{elsewhere}", {"data": {"sys_transfer_element": 256}}).status_code == 200


def test_another_element_is_not_synchronised_yet(office: Api, rows: Stock) -> None:
    """What was known of the old element is not told of the new one."""
    drive = tape.drive(rows, sys_transfer_element=256, is_full=True, volume_tag="RB10001L9")
    office.patch(f"/library_tape_drives/{drive}", {"data": {"sys_transfer_element": 257}})
    row = office.get(f"/library_tape_drives/{drive}").json()["data"]

    assert (row["is_full"], row["volume_tag"]) == (False, "")
    assert "Not synchronised" in row["problem"]


def test_a_loaded_drive_stays(office: Api, rows: Stock) -> None:
    """409 names it, and an empty one named with it stays too."""
    loaded, empty = tape.drive(rows, is_full=True), tape.drive(rows)
    answer = office.delete("/library_tape_drives", {"ids": [loaded, empty]})

    assert answer.status_code == 409
    assert str(loaded) in answer.json()["message"]
    assert office.delete("/library_tape_drives", {"ids": [empty]}).status_code == 200
    assert office.get("/library_tape_drives").json()["data"]["total"] == 1


def test_a_deleted_drive_can_be_added_again(office: Api, rows: Stock) -> None:
    """Its candidate is free."""
    library = tape.library(rows)
    drive = tape.drive(rows, library)
    candidate = office.get(f"/library_tape_drives/{drive}").json()["data"]["candidate_id"]
    office.delete("/library_tape_drives", {"ids": [drive]})

    assert add(office, library, [candidate]).status_code == 201


def test_cleaning_is_refused_honestly(office: Api, rows: Stock) -> None:
    """409 says that nothing was done; an unknown drive is a 404, a foreign one too."""
    drive = tape.drive(rows)
    answer = office.patch(f"/library_tape_drives/{drive}/clean")

    assert answer.status_code == 409
    assert "does not move cartridges" in answer.json()["message"]
    assert office.get("/tl_task_queue").json()["data"]["total"] == 0
    assert office.patch(f"/library_tape_drives/{2**40}/clean").status_code == 404
    assert rows.maintainer(rows.media_server()).patch(f"/library_tape_drives/{drive}/clean").status_code == 404


def test_robots_are_changed_within_scope(office: Api, rows: Stock) -> None:
    """The guide's body; a foreign robot does not exist."""
    changer = tape.changer(rows)
    body = {"data": {"scsi_path": "[8:0:0:0]", "device": "/dev/sg2"}}

    assert rows.maintainer(rows.media_server()).patch(f"/medium_changers/{changer}", body).status_code == 404
    assert office.patch(f"/medium_changers/{changer}", body).status_code == 200
    row = office.get(f"/medium_changers/{changer}").json()["data"]
    assert (row["scsi_path"], row["device"]) == ("[8:0:0:0]", "/dev/sg2")
    wrong = office.patch(f"/medium_changers/{changer}", {"data": {"scsi_path": "x", "device": "y"}})
    assert wrong.json()["errors"].keys() == {"data.scsi_path", "data.device"}
