"""What the server asks of media servers about tape libraries. Nothing here moves a cartridge.

Design: `docs/design/wire.md`, `docs/design/tape.md`.
"""

from __future__ import annotations

import msgspec

from rubackup.wire.messages.base import Message


class ScanTape(Message, tag="scan_tape"):
    """Which robots and tape drives are there? Answered by TapeDevices."""


class TapeDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A robot (`kind` medium_changer) or a drive (tape_drive) of the media server."""

    kind: str
    scsi_path: str
    """SCSI address as `[host:channel:target:lun]`."""
    device: str
    """Its generic node, such as /dev/sg4."""
    tape_device: str = ""
    """The node of a drive that does not rewind, such as /dev/nst0; '' where there is none."""
    vendor: str = ""
    product: str = ""
    revision: str = ""
    serial: str = ""


class TapeDevices(Message, tag="tape_devices"):
    """Everything that was found, in the order of the addresses."""

    devices: list[TapeDevice]


class AskElements(Message, tag="ask_elements"):
    """Ask a robot for its elements. Answered by TapeElements, or by a Fault that says why not."""

    device: str
    scsi_path: str = ""
    """The address that it must have, and the serial number; '' is any. So a renumbered node is found out."""
    serial: str = ""


class TapeElement(msgspec.Struct, frozen=True, kw_only=True):
    """A place for a cartridge: `kind` is picker, slot, import_export, drive."""

    address: int
    kind: str
    full: bool
    accessible: bool
    """Whether the robot can reach it."""
    volume_tag: str = ""
    """What the robot read from the label; '' without a cartridge or without a readable label."""
    source: int | None = None
    """The element that the cartridge came from, where the robot knows."""
    problem: str = ""
    identifier: str = ""
    """What a drive is called by the robot; it ends in the drive's serial number. '' where the robot does not know."""


class TapeElements(Message, tag="tape_elements"):
    """The robot that answered, and its elements in the order of their addresses."""

    robot: TapeDevice
    elements: list[TapeElement]
