"""Tape cartridges: labels, types, pools, and what keeps a cartridge registered."""

from __future__ import annotations

import pytest
from samples_tape import new_cartridge

from support import tape
from support.api import Api
from support.fixtures import Stock


def test_the_guides_bodies_are_taken(office: Api, rows: Stock) -> None:
    """Registering and changing as the guide writes it; an empty volume_tag leaves the label as it was."""
    rows.pool(pool_name="tape_pool", pool_type="Tape library")
    body = {"data": {"type": "LTO-9", "pool": "tape_pool", "volume_tag": "RB10001L9", "description": ""}}
    made = office.post("/tape_cartridges", body)
    where = made.headers["location"].removeprefix("/api/v1")

    assert made.status_code == 201
    assert office.patch(where, {"data": {"volume_tag": "", "description": "shelf 2"}}).status_code == 200
    row = office.get(where).json()["data"]
    assert (row["type"], row["pool"], row["volume_tag"], row["description"]) == (
        "LTO-9", "tape_pool", "RB10001L9", "shelf 2",
    )  # fmt: skip
    assert (row["tape_library"], row["slot"], row["tape_drive"], row["copies"]) == (None, None, None, 0)


def test_every_wrong_field_is_told(office: Api, rows: Stock) -> None:
    """Type, pool and label at once, with what is allowed."""
    answer = office.post("/tape_cartridges", new_cartridge(office, type="DLT", pool=rows.pool(), volume_tag="rb 1"))

    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert errors.keys() == {"data.type", "data.pool", "data.volume_tag"}
    assert "LTO-9" in errors["data.type"]


@pytest.mark.parametrize("tag", ["", "lower1L9", "A B", "X" * 33, "ЛЕНТА1L9", "A\tB", "CLN001L9"])
def test_labels_that_no_robot_reads_are_refused(office: Api, tag: str) -> None:
    """Cleaning cartridges are no place for copies."""
    answer = office.post("/tape_cartridges", new_cartridge(office, volume_tag=tag))

    assert answer.json()["errors"].keys() == {"data.volume_tag"}


@pytest.mark.parametrize(
    ("kind", "tag", "status"),
    [
        ("LTO-9", "A00001L9", 201), ("lto-8", "A00002L8", 201), ("LTO-5", "A00003L5", 201), ("LTO-8", "A00004L9", 400),
        ("LTO-9", "A00005L5", 400), ("LTO-6", "SCRATCH", 201), ("LTO-9", "A00006L4", 201), ("LTO-7", "A00007", 201),
    ],
)  # fmt: skip
def test_type_and_label_must_not_contradict(office: Api, kind: str, tag: str, status: int) -> None:
    """A label that ends in L5 to L9 tells the generation; others tell nothing."""
    answer = office.post("/tape_cartridges", new_cartridge(office, type=kind, volume_tag=tag))

    assert answer.status_code == status, answer.text
    assert status == 201 or answer.json()["errors"].keys() == {"data.volume_tag"}


def test_a_label_is_registered_once(office: Api, rows: Stock) -> None:
    """For new cartridges and for changed ones: 409."""
    one, two = tape.cartridge(rows, tag="ONE"), tape.cartridge(rows, tag="TWO")

    assert office.post("/tape_cartridges", new_cartridge(office, volume_tag="ONE")).status_code == 409
    assert office.patch(f"/tape_cartridges/{two}", {"data": {"volume_tag": "ONE"}}).status_code == 409
    assert office.patch(f"/tape_cartridges/{one}", {"data": {"volume_tag": "ONE"}}).status_code == 200


def test_a_new_label_must_fit_the_type(office: Api, rows: Stock) -> None:
    """The type stays, as the guide's body cannot change it."""
    cartridge = tape.cartridge(rows)
    answer = office.patch(f"/tape_cartridges/{cartridge}", {"data": {"volume_tag": "A00001L8"}})

    assert answer.json()["errors"].keys() == {"data.volume_tag"}
    assert office.patch(f"/tape_cartridges/{cartridge}", {"data": {"type": "LTO-8"}}).status_code == 400


def test_a_cartridge_with_copies_keeps_label_and_row(office: Api, rows: Stock) -> None:
    """Copies are looked for under the label: another one, and deleting, are 409."""
    pool = tape.tape_pool(rows)
    cartridge = tape.cartridge(rows, pool=pool, tag="FULL01L9")
    record = rows.record(pool=pool)
    office.execute("INSERT INTO tape_cartridge_copies VALUES ($1, $2)", cartridge, record)

    assert office.get(f"/tape_cartridges/{cartridge}").json()["data"]["copies"] == 1
    assert office.patch(f"/tape_cartridges/{cartridge}", {"data": {"volume_tag": "FULL02L9"}}).status_code == 409
    assert office.patch(f"/tape_cartridges/{cartridge}", {"data": {"description": "x"}}).status_code == 200
    answer = office.delete("/tape_cartridges", {"ids": [cartridge]})
    assert answer.status_code == 409
    assert "FULL01L9" in answer.json()["message"]


def test_a_loaded_cartridge_is_not_deleted(office: Api, rows: Stock) -> None:
    """One in a slot can be; a drive of another media server with the same label is another cartridge."""
    library = tape.library(rows)
    pool = rows.row("SELECT pool_id FROM tape_libraries WHERE id = $1", library)["pool_id"]
    loaded, lying, free = (tape.cartridge(rows, pool=pool, tag=tag) for tag in ("LOADED", "LYING", "FREE"))
    tape.drive(rows, library, is_full=True, volume_tag="LOADED")
    tape.slot(rows, library, tag="LYING")
    tape.drive(rows, is_full=True, volume_tag="FREE")

    answer = office.delete("/tape_cartridges", {"ids": [lying, loaded]})
    assert answer.status_code == 409
    assert "LOADED lies in a tape drive" in answer.json()["message"]
    assert office.get(f"/tape_cartridges/{free}").json()["data"]["tape_drive"] is None
    assert office.delete("/tape_cartridges", {"ids": [lying, free]}).status_code == 200


def test_the_place_that_was_seen_last_is_shown(office: Api, rows: Stock) -> None:
    """A cartridge that was carried to another library of the media server lies where it was seen last."""
    pool = tape.tape_pool(rows)
    cartridge = tape.cartridge(rows, pool=pool, tag="MOVED")
    old, new = tape.library(rows, pool=pool), tape.library(rows, pool=pool)
    tape.slot(rows, old, tag="MOVED")
    office.execute("UPDATE library_slots SET updated_at = now() - interval '1 day'")
    there = tape.slot(rows, new, tag="MOVED")

    row = office.get(f"/tape_cartridges/{cartridge}").json()["data"]
    assert (row["tape_library"], row["slot"]) == (new, there)


def test_a_foreign_pool_is_unknown(office: Api, rows: Stock) -> None:
    """A maintainer registers cartridges for own pools, sees and deletes own ones."""
    own = tape.tape_pool(rows)
    maintainer = rows.maintainer(tape.media_of(rows, "pools", own))
    foreign = tape.cartridge(rows)

    assert maintainer.post("/tape_cartridges", new_cartridge(office, pool=own)).status_code == 201
    answer = maintainer.post("/tape_cartridges", new_cartridge(office))
    assert answer.json()["errors"] == {"data.pool": "unknown pool."}
    assert maintainer.delete("/tape_cartridges", {"ids": [foreign]}).status_code == 404
    assert maintainer.patch(f"/tape_cartridges/{foreign}", {"data": {"description": "x"}}).status_code == 404


def test_a_pool_with_cartridges_or_a_library_stays(office: Api, rows: Stock) -> None:
    """Deleting it would leave them without one."""
    for pool in (tape.tape_pool(rows), tape.tape_pool(rows)):
        tape.library(rows, pool=pool) if pool % 2 else tape.cartridge(rows, pool=pool)
        assert office.delete(f"/pool_list/{pool}").status_code == 409
