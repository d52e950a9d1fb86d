"""What a robot says of its elements: MODE SENSE (page 1Dh) and READ ELEMENT STATUS of the SCSI standard (SMC).

Every length in the answers is the robot's word and is checked against what arrived. Robots
differ: elements are asked for type by type, more may come than was asked for, and the end of
the last descriptor may be missing as long as nothing that we need is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rubackup.domain.errors import Unavailable
from rubackup.media.tape.scsi import ILLEGAL_REQUEST, Device
from rubackup.media.tape.sysfs import printable
from rubackup.wire.messages import TapeElement

PICKER, SLOT, IMPORT_EXPORT, DRIVE = 1, 2, 3, 4
KINDS = {PICKER: "picker", SLOT: "slot", IMPORT_EXPORT: "import_export", DRIVE: "drive"}
MOST_ELEMENTS = 10_000
"""Elements of a robot; the largest libraries of today have fewer cartridges within one logical library."""
AT_ONCE = 256
"""Elements asked for at once: their descriptors fit ANSWER_BYTES, which every host adapter can carry."""
ANSWER_BYTES = 0xFF00
_HEADER, _DESCRIPTOR, _TAG = 8, 12, 36
_PAGE = 0x1D
_PRIMARY_TAG, _ALTERNATE_TAG = 0x80, 0x40
_FULL, _EXCEPT, _ACCESS = 0x01, 0x04, 0x08
_SOURCE_VALID = 0x80
_VENDOR_IDENTIFIER = 1
"""An identifier of 8 bytes for the vendor, 16 for the product and the serial number, each padded."""


@dataclass(frozen=True)
class Range:
    """The addresses that a robot gives to the elements of a type."""

    kind: int
    first: int
    count: int

    @property
    def end(self) -> int:
        """The address after the last one."""
        return self.first + self.count


@dataclass
class _Asked:
    """What was found so far; an address is listed once, whatever the robot repeats."""

    found: dict[int, TapeElement] = field(default_factory=dict)

    def add(self, elements: list[TapeElement], wanted: Range) -> int:
        """Take over those of the range; the address after the highest that came."""
        for element in elements:
            if wanted.first <= element.address < wanted.end:
                self.found.setdefault(element.address, element)
        return max((element.address for element in elements), default=-1) + 1


def read_elements(device: Device) -> list[TapeElement]:
    """Every element of the robot, in the order of addresses; Unavailable when its answers make no sense."""
    asked = _Asked()
    for wanted in ranges_of(device.read("MODE SENSE", bytes([0x1A, 8, _PAGE, 0, 255, 0]), 255)):
        _read_range(device, wanted, asked)
    return [asked.found[address] for address in sorted(asked.found)]


def _read_range(device: Device, wanted: Range, asked: _Asked) -> None:
    start = wanted.first
    while start < wanted.end:
        after = asked.add(_ask(device, wanted.kind, start, min(AT_ONCE, wanted.end - start)), wanted)
        if after <= start:
            return  # nothing new came: the robot has no more
        start = after


def _ask(device: Device, kind: int, start: int, count: int) -> list[TapeElement]:
    """Some elements. Drives are to say who they are (DVCID); robots that cannot tell are asked without."""
    try:
        data = device.read("READ ELEMENT STATUS", _command(kind, start, count, who=kind == DRIVE), ANSWER_BYTES)
    except Unavailable as error:
        if kind != DRIVE or error.facts.get("key") != ILLEGAL_REQUEST:
            raise
        data = device.read("READ ELEMENT STATUS", _command(kind, start, count, who=False), ANSWER_BYTES)
    return parse_elements(data)


def _command(kind: int, start: int, count: int, *, who: bool) -> bytes:
    """READ ELEMENT STATUS with volume tags."""
    return b"".join((
        bytes([0xB8, 0x10 | kind]), start.to_bytes(2, "big"), count.to_bytes(2, "big"), bytes([who]),
        ANSWER_BYTES.to_bytes(3, "big"), bytes(2),
    ))  # fmt: skip


def ranges_of(data: bytes) -> list[Range]:
    """The ranges of element addresses out of a mode page 1Dh; Unavailable when it is none, or too much."""
    page = data[4 + data[3] :] if len(data) >= 4 else b""
    if len(page) < 18 or page[0] & 0x3F != _PAGE:
        raise Unavailable("The robot does not tell the addresses of its elements (mode page 1Dh).")
    pairs = [int.from_bytes(page[at : at + 2], "big") for at in range(2, 18, 2)]
    found = [Range(kind, pairs[2 * n], pairs[2 * n + 1]) for n, kind in enumerate((PICKER, SLOT, IMPORT_EXPORT, DRIVE))]
    if sum(one.count for one in found) > MOST_ELEMENTS:
        raise Unavailable(f"The robot tells of more than {MOST_ELEMENTS} elements.")
    return [one for one in found if one.count]


def parse_elements(data: bytes) -> list[TapeElement]:
    """The elements of one answer to READ ELEMENT STATUS; what is cut off at its end is left out."""
    if len(data) < _HEADER:
        raise Unavailable("The robot answered READ ELEMENT STATUS with less than a header.")
    at, found = _HEADER, []
    while at + _HEADER <= len(data):
        kind, flags = data[at], data[at + 1]
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        length = int.from_bytes(data[at + 5 : at + 8], "big")
        at += _HEADER
        if kind not in KINDS or size < _needed(flags) or not length:
            raise Unavailable("The robot answered READ ELEMENT STATUS with a page that makes no sense.")
        page = data[at : at + length]
        found += [_element(kind, flags, part) for part in _descriptors(page, size, _needed(flags))]
        at += length
    return found


def _needed(flags: int) -> int:
    """Bytes of a descriptor that must be there: up to the text of the volume tag, without what is reserved behind it."""
    return _DESCRIPTOR + (32 if flags & _PRIMARY_TAG else 0)


def _descriptors(page: bytes, size: int, needed: int) -> Iterator[bytes]:
    for start in range(0, len(page), size):
        part = page[start : start + size]
        if len(part) >= needed:
            yield part


def _element(kind: int, flags: int, data: bytes) -> TapeElement:
    tagged = bool(flags & _PRIMARY_TAG)
    full = bool(data[2] & _FULL)
    problem = f"additional sense code {data[4]:02x}/{data[5]:02x}" if data[2] & _EXCEPT else ""
    return TapeElement(
        address=int.from_bytes(data[:2], "big"),
        kind=KINDS[kind],
        full=full,
        accessible=kind == PICKER or bool(data[2] & _ACCESS),
        volume_tag=printable(data[_DESCRIPTOR : _DESCRIPTOR + 32]) if tagged and full else "",
        source=int.from_bytes(data[10:12], "big") if data[9] & _SOURCE_VALID else None,
        problem=problem,
        identifier=_identifier(data, flags) if kind == DRIVE else "",
    )


def _identifier(data: bytes, flags: int) -> str:
    """What a drive is called (vendor, product, serial, or the serial alone); '' when it is missing or cut off."""
    at = _DESCRIPTOR + (_TAG if flags & _PRIMARY_TAG else 0) + (_TAG if flags & _ALTERNATE_TAG else 0)
    if len(data) < at + 4:
        return ""
    end = at + 4 + data[at + 3]
    text = data[at + 4 : end] if len(data) >= end else b""
    if data[at + 1] & 0x0F != _VENDOR_IDENTIFIER:
        return printable(text)
    return " ".join(part for part in map(printable, (text[:8], text[8:24], text[24:])) if part)
