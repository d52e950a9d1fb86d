"""A robot that speaks SCSI, in this process: what it answers is made byte by byte, as the standard (SMC) says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from rubackup.media.tape.scsi import Reply

DATA = Path(__file__).parents[1] / "data" / "tape"


def captured(name: str) -> bytes:
    """Bytes that tgtd's virtual library L700 (Debian 12) sent: 8 slots, 6 cartridges, 2 drives."""
    return bytes.fromhex((DATA / f"{name}.hex").read_text("ascii"))


def sense(key: int, code: int = 0, qualifier: int = 0) -> Reply:
    """A CHECK CONDITION in the fixed format."""
    return Reply(2, b"", bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0]))


@dataclass
class Place:
    """An element of the robot."""

    kind: int
    tag: str | None = None
    """None: empty; '' a cartridge without a label."""
    name: str = ""
    flags: int = 0x08
    source: int | None = None


@dataclass
class Robot:
    """A transport; `trouble` is answered first, one reply a command."""

    places: dict[int, Place]
    trouble: list[Reply] = field(default_factory=list)
    names_drives: bool = True
    most: int = 1000
    """Elements that it tells at once."""
    asked: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def execute(self, cdb: bytes, length: int, seconds: float) -> Reply:
        """MODE SENSE and READ ELEMENT STATUS; whatever else is refused."""
        self.asked.append(cdb)
        if self.trouble:
            return self.trouble.pop(0)
        if cdb[0] == 0x1A:
            return Reply(0, self._page()[:length])
        if cdb[0] != 0xB8 or (cdb[6] & 1 and not self.names_drives):
            return sense(5, 0x24)
        start, count = int.from_bytes(cdb[2:4], "big"), int.from_bytes(cdb[4:6], "big")
        return Reply(0, self._status(cdb[1] & 0x0F, start, min(count, self.most), named=bool(cdb[6] & 1))[:length])

    def _of(self, kind: int) -> dict[int, Place]:
        return {address: place for address, place in sorted(self.places.items()) if place.kind == kind}

    def _page(self) -> bytes:
        page = bytearray([0, 0, 0, 0, 0x1D, 18])
        for kind in (1, 2, 3, 4):
            found = self._of(kind)
            span = max(found) - min(found) + 1 if found else 0
            page += min(found, default=0).to_bytes(2, "big") + span.to_bytes(2, "big")
        return bytes(page + bytes(2))

    def _status(self, kind: int, start: int, count: int, *, named: bool) -> bytes:
        found = {address: place for address, place in self._of(kind).items() if address >= start}
        chosen = dict(list(found.items())[:count])
        parts = [descriptor(address, place, named=named) for address, place in chosen.items()]
        if not parts:
            return bytes(8)
        body = b"".join(parts)
        page = bytes([kind, 0x80]) + len(parts[0]).to_bytes(2, "big") + b"\0" + len(body).to_bytes(3, "big") + body
        head = min(chosen).to_bytes(2, "big") + len(chosen).to_bytes(2, "big") + b"\0" + len(page).to_bytes(3, "big")
        return head + page


def descriptor(address: int, place: Place, *, named: bool = False) -> bytes:
    """One element with its volume tag; with its name where drives are to tell it."""
    full = place.tag is not None
    data = bytearray(12)
    data[:2] = address.to_bytes(2, "big")
    data[2] = place.flags | full
    if place.source is not None:
        data[9], data[10:12] = 0x80, place.source.to_bytes(2, "big")
    data += (place.tag or "").encode().ljust(32) + bytes(4)
    if named:
        name = place.name.encode()
        data += bytes([2, 1, 0, len(name)]) + name.ljust(34, b"\0")
    return bytes(data)
