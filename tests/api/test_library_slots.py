"""What is asked of cartridges in slots: everything is checked, nothing is claimed to be done."""

from __future__ import annotations

from typing import Any

import pytest
from samples_tape import SLOT_ACTIONS, importing, lying, moving

from support import tape
from support.api import Api
from support.fixtures import Stock

LISTS = ("check_ltfs", "erase_cartridge", "format_cartridge")
OBJECTS = ("export_cartridge", "import_cartridge", "move_cartridge")


def call(api: Api, word: str, data: Any) -> Any:
    """An action."""
    return api.patch(f"/library_slots/{word}", {"data": data})


@pytest.mark.parametrize("name", SLOT_ACTIONS)
def test_what_is_right_is_refused_with_the_reason(office: Api, name: str) -> None:
    """409 says that this version moves nothing; no task is made."""
    answer = SLOT_ACTIONS[name](office)

    assert answer.status_code == 409
    assert "does not move cartridges yet" in answer.json()["message"]
    assert "Nothing was done" in answer.json()["message"]
    assert office.get("/tl_task_queue").json()["data"]["total"] == 0


@pytest.mark.parametrize("word", LISTS)
def test_lists_are_lists_and_every_item_is_checked(office: Api, word: str) -> None:
    """An object is a 400; each wrong item is named by its place."""
    good = lying(office)
    assert call(office, word, good).json()["errors"].keys() == {"data"}
    errors = call(office, word, [good, good, good | {"volume_tag": "NOWHERE"}, good | {"library_id": 2**40}]).json()[
        "errors"
    ]

    assert errors == {
        "data.1.volume_tag": "is named twice.",
        "data.2.volume_tag": "lies in no slot and no drive of this library.",
        "data.3.library_id": "unknown tape library.",
    }


@pytest.mark.parametrize("word", OBJECTS)
def test_objects_are_objects(office: Api, word: str) -> None:
    """A list is a 400, what is missing is named."""
    assert call(office, word, [{}]).status_code == 400
    assert "data.library_id" in call(office, word, {}).json()["errors"]


def test_one_call_takes_a_thousand_cartridges(office: Api) -> None:
    """More are a 400."""
    answer = call(office, "check_ltfs", [lying(office)] * 1001)

    assert answer.json()["errors"] == {"data": "may have at most 1000 items."}


def test_erasing_takes_yes_or_no(office: Api) -> None:
    """is_long_erase is a boolean."""
    answer = call(office, "erase_cartridge", [lying(office) | {"is_long_erase": "perhaps"}])

    assert answer.json()["errors"].keys() == {"data.0.is_long_erase"}


def test_a_loaded_cartridge_is_in_the_library_too(office: Api, rows: Stock) -> None:
    """It lies in a drive, so exporting it is understood."""
    library = tape.library(rows)
    tape.drive(rows, library, is_full=True, volume_tag="RB10001L9")

    assert call(office, "export_cartridge", {"library_id": library, "volume_tag": "RB10001L9"}).status_code == 409


def test_importing_wants_a_tape_pool_of_the_media_server(office: Api, rows: Stock) -> None:
    """Another type, another media server's, an unknown one: told under data.pool_name."""
    body = importing(office)
    media = tape.media_of(rows, "tape_libraries", body["library_id"])
    for pool in (rows.pool(media=media), tape.tape_pool(rows), "nowhere"):
        assert call(office, "import_cartridge", body | {"pool_name": pool}).json()["errors"].keys() == {
            "data.pool_name"
        }


def test_moving_wants_an_empty_slot_of_the_library(office: Api, rows: Stock) -> None:
    """A foreign slot is unknown; a full one is a 409 that names it."""
    body = moving(office)
    foreign, full = tape.slot(rows), tape.slot(rows, body["library_id"], tag="OTHER")

    assert call(office, "move_cartridge", body | {"slot_id": foreign}).json()["errors"].keys() == {"data.slot_id"}
    answer = call(office, "move_cartridge", body | {"slot_id": full})
    assert answer.status_code == 409
    assert "is not empty" in answer.json()["message"]


def test_foreign_libraries_are_unknown(office: Api, rows: Stock) -> None:
    """A maintainer of another media server learns nothing."""
    maintainer = rows.maintainer(rows.media_server())

    assert call(maintainer, "check_ltfs", [lying(office)]).json()["errors"].keys() == {"data.0.library_id"}
    assert call(maintainer, "move_cartridge", moving(office)).json()["errors"].keys() == {"data.library_id"}
    assert call(maintainer, "import_cartridge", importing(office)).json()["errors"].keys() == {
        "data.library_id", "data.pool_name",
    }  # fmt: skip
