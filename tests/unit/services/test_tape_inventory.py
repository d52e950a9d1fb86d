"""Which drive is at which element of a robot."""

from __future__ import annotations

from typing import Any

from rubackup.services.ports import TapeElement
from rubackup.services.tape_inventory import own_drives, place_drives


def element(address: int, identifier: str = "") -> TapeElement:
    """A drive element."""
    return TapeElement(address=address, kind="drive", full=False, accessible=True, identifier=identifier)


def drive(number: int, serial: str, at: int | None = None) -> dict[str, Any]:
    """A drive of the catalogue."""
    return {"id": number, "serial": serial, "sys_transfer_element": at}


def test_a_drive_is_where_its_serial_number_is_named() -> None:
    """Whole words count: SN1 is not SN11, and one may be all that is told."""
    elements = [element(1, "IBM TD9 SN11"), element(2, "SN1"), element(3, "IBM TD9 S N")]

    assert own_drives(["SN1"], elements) == [elements[1]]
    assert own_drives(["S N", ""], elements) == [elements[2]]
    assert own_drives([""], elements) == []
    assert place_drives([drive(7, "SN11")], elements)[7] == (1, "")


def test_what_was_set_wins() -> None:
    """Even against the robot's word; a drive is never put where another was set."""
    elements = [element(1, "IBM TD9 SN1"), element(2)]
    placed = place_drives([drive(7, "SN2", at=1), drive(8, "SN1")], elements)

    assert placed[7] == (1, "")
    assert placed[8][0] is None
    assert "set sys_transfer_element" in placed[8][1]


def test_a_serial_number_named_twice_names_nothing() -> None:
    """Which of the two it is has to be set."""
    assert place_drives([drive(7, "SN1")], [element(1, "A SN1"), element(2, "B SN1")])[7][0] is None


def test_an_element_that_is_not_there_is_a_problem() -> None:
    """What was set stays as it was set."""
    assert place_drives([drive(7, "SN1", at=9)], [element(1, "A SN1")])[7] == (
        9,
        "The robot has no drive at element 9.",
    )
