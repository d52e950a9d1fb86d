"""What robots say of their elements, well and badly."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rubackup.domain.errors import Busy, RubackupError, Unavailable
from rubackup.media.tape.elements import MOST_ELEMENTS, parse_elements, ranges_of, read_elements
from rubackup.media.tape.scsi import Device, Reply, sense_of
from support.robots import Place, Robot, captured, descriptor, sense

PICKER, SLOT, DOOR, DRIVE = 1, 2, 3, 4


def library() -> dict[int, Place]:
    """A small library."""
    return {
        1: Place(PICKER), 16: Place(DOOR, "RB10099L9"), 256: Place(DRIVE, "RB10001L9", "IBM     TD9             SN1", source=1024),
        257: Place(DRIVE, None, "IBM     TD9             SN2"), 1024: Place(SLOT), 1025: Place(SLOT, "RB10002L9"), 1026: Place(SLOT, ""),
    }  # fmt: skip


def ask(robot: Robot, seconds: float = 60) -> list:
    """Its elements."""
    return read_elements(Device("/dev/sg4", robot, seconds))


def test_every_element_is_told_with_its_cartridge():
    """Kind, tag, where the cartridge came from, and which drive it is."""
    found = {e.address: e for e in ask(Robot(library()))}

    assert [(a, e.kind, e.full, e.volume_tag) for a, e in found.items()] == [
        (1, "picker", False, ""), (16, "import_export", True, "RB10099L9"), (256, "drive", True, "RB10001L9"),
        (257, "drive", False, ""), (1024, "slot", False, ""), (1025, "slot", True, "RB10002L9"),
        (1026, "slot", True, ""),
    ]  # fmt: skip
    assert (found[256].source, found[256].identifier) == (1024, "IBM TD9 SN1")
    assert (found[257].source, found[257].identifier) == (None, "IBM TD9 SN2")


def test_a_library_larger_than_one_answer_is_told_whole():
    """The robot is asked again from behind the last element, however many it tells at once."""
    places = {1000 + n: Place(SLOT, f"T{n:05}L9") for n in range(700)} | {1: Place(DRIVE)}
    for most in (1000, 100, 7):
        robot = Robot(places, most=most)
        found = ask(robot)
        assert len(found) == 701
        assert len(robot.asked) < 701 / min(most, 256) + 5


def test_gaps_between_addresses_do_no_harm():
    """Elements that are not there are not told."""
    found = ask(Robot({10: Place(SLOT), 900: Place(SLOT, "A")}))

    assert [e.address for e in found] == [10, 900]


def test_a_robot_that_cannot_name_its_drives_is_asked_without():
    """An old robot refuses the question who its drives are, and still tells where they are."""
    found = ask(Robot(library(), names_drives=False))

    assert [e.identifier for e in found if e.kind == "drive"] == ["", ""]


def test_a_product_that_fills_its_field_does_not_swallow_the_serial_number():
    """Vendor, product and serial number are told apart by their places, not by spaces."""
    name = "IBM     ULT3580-TD9-HH-X10WT000001"

    (drive,) = [e for e in ask(Robot({256: Place(DRIVE, None, name)})) if e.kind == "drive"]

    assert drive.identifier == "IBM ULT3580-TD9-HH-X 10WT000001"


def test_a_broken_element_says_so():
    """EXCEPT brings the sense code; ACCESS tells whether the robot can reach the element."""
    data = bytearray(descriptor(1024, Place(SLOT, flags=0x04)))
    data[4:6] = b"\x83\x02"
    page = bytes([SLOT, 0x80, 0, len(data), 0, 0, 0, len(data)]) + data

    (element,) = parse_elements(bytes(8) + page)

    assert (element.problem, element.accessible) == ("additional sense code 83/02", False)


def test_the_captured_library_is_read_although_its_lengths_are_wrong():
    """Tgtd cuts the last 8 bytes of every answer: the last slot is there, the name of the last drive is not."""
    slots = parse_elements(captured("slots"))
    drives = parse_elements(captured("drives"))

    assert [s.volume_tag for s in slots] == ["", *(f"RB1000{n}L9" for n in range(2, 7)), "", ""]
    assert [(d.address, d.volume_tag, d.source) for d in drives] == [(256, "RB10001L9", 1024), (257, "", None)]
    assert [d.identifier for d in drives] == ["IBM ULT3580-TD9 10WT000001", ""]
    assert [(r.kind, r.first, r.count) for r in ranges_of(captured("mode_sense_1d"))] == [
        (PICKER, 1, 1), (SLOT, 1024, 8), (DOOR, 16, 1), (DRIVE, 256, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"", bytes(7), bytes(8) + bytes([9, 0x80, 0, 52, 0, 0, 0, 52]),
        bytes(8) + bytes([SLOT, 0x80, 0, 0, 0, 0, 0, 52]) + bytes(52),
        bytes(8) + bytes([SLOT, 0x80, 0, 12, 0, 0, 0, 52]) + bytes(52),
        bytes(8) + bytes([SLOT, 0x80, 0, 52, 0, 0, 0, 0]) + bytes(52),
    ],
    ids=["nothing", "half a header", "no such kind", "size 0", "no room for the tag", "length 0"],
)  # fmt: skip
def test_pages_that_make_no_sense_are_refused(data):
    """A length of the robot's that cannot be true is its fault, and told as one."""
    with pytest.raises(Unavailable):
        parse_elements(data)


@pytest.mark.parametrize("cut", range(8, 120, 7))
def test_what_is_cut_off_is_left_out(cut):
    """Whole elements are told, the torn one is not."""
    whole = captured("slots")

    assert len(parse_elements(whole[:cut])) == max(0, (cut - 16 + 8) // 52)


def test_a_length_beyond_the_answer_reads_nothing_else():
    """A page that claims 16 MiB ends where the answer ends."""
    data = bytes(8) + bytes([SLOT, 0x80, 0, 52, 0, 0xFF, 0xFF, 0xFF]) + descriptor(7, Place(SLOT, "A"))

    assert [e.volume_tag for e in parse_elements(data)] == ["A"]


@settings(max_examples=300, deadline=None)
@given(some.binary(max_size=300))
def test_no_bytes_break_the_reader(data):
    """Whatever a robot sends gives elements or an error of ours."""
    for read in (parse_elements, ranges_of):
        with contextlib.suppress(RubackupError):
            read(data)


@settings(max_examples=200, deadline=None)
@given(some.lists(some.binary(max_size=120), min_size=1, max_size=8), some.binary(min_size=8, max_size=8))
def test_no_robot_keeps_us_for_ever(answers, places):
    """Asking ends whatever is answered: only new elements lead to another question."""
    ranges = b"".join(bytes([0, first, 0, count % 60]) for first, count in zip(places[::2], places[1::2], strict=True))

    class Hostile:
        asked = 0

        def execute(self, cdb: bytes, length: int, seconds: float) -> Reply:
            self.asked += 1
            page = bytes([0, 0, 0, 0, 0x1D, 18]) + ranges
            return Reply(0, answers[self.asked % len(answers)] if cdb[0] == 0xB8 else page)

    hostile = Hostile()
    with contextlib.suppress(RubackupError):
        read_elements(Device("/dev/sg4", hostile, 60))
    assert hostile.asked <= 4 * 60 + 5


def test_too_many_elements_are_refused():
    """A robot cannot make us keep more than a library can have."""
    page = bytes([0, 0, 0, 0, 0x1D, 18]) + (b"\0\1" + MOST_ELEMENTS.to_bytes(2, "big")) * 4

    with pytest.raises(Unavailable, match=str(MOST_ELEMENTS)):
        ranges_of(page + bytes(2))


def test_a_unit_attention_is_asked_again():
    """A robot that was reset says so first, and then does what it is asked."""
    assert len(ask(Robot(library(), trouble=[sense(6, 0x29), sense(6, 0x28)]))) == 7


def test_endless_unit_attention_is_told():
    """After four tries it is an error."""
    with pytest.raises(Unavailable, match="unit attention"):
        ask(Robot(library(), trouble=[sense(6, 0x29)] * 4))


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (sense(2, 0x04, 0x01), Busy, "not ready"),
        (Reply(0x08), Busy, "busy"),
        (Reply(0x18), Busy, "reserved"),
        (sense(5, 0x20), Unavailable, r"illegal request \(5/20/00\)"),
        (sense(4, 0x15, 0x01), Unavailable, "hardware error"),
        (Reply(0x22), Unavailable, "0x22"),
        (Reply(2, b"", b""), Unavailable, "no sense"),
    ],
)
def test_a_refusal_says_why(reply, kind, words):
    """What waiting mends is Busy, the rest Unavailable; both name device and reason."""
    with pytest.raises(kind, match=f"/dev/sg4.*{words}"):
        ask(Robot(library(), trouble=[reply]))


def test_a_slow_robot_runs_out_of_time():
    """No command is sent when there is no time left."""
    robot = Robot(library())
    with pytest.raises(Unavailable, match="too slow"):
        ask(robot, seconds=0)
    assert robot.asked == []


def test_both_forms_of_sense_are_read():
    """Fixed and descriptor format tell the same."""
    assert sense_of(sense(5, 0x24, 0x01).sense) == (5, 0x24, 0x01)
    assert sense_of(bytes([0x72, 0x05, 0x24, 0x01])) == (5, 0x24, 0x01)
    assert sense_of(b"") == (0, 0, 0)
