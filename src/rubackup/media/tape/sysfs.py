"""Which robots and tape drives the kernel knows, read from sysfs below a root folder.

Nothing is opened but small files of sysfs, so looking disturbs no device.
"""

from __future__ import annotations

import re
from pathlib import Path

from rubackup.domain.errors import Unavailable
from rubackup.wire.messages import TapeDevice

CLASS = Path("sys/class/scsi_generic")
KINDS = {"8": "medium_changer", "1": "tape_drive"}
"""By the device type of the SCSI standard, as sysfs writes it."""
MOST_DEVICES = 1024
"""SCSI devices that are looked at; a host with more robots and drives is not a media server."""
_SG = re.compile(r"sg(\d{1,6})")
_ADDRESS = re.compile(r"\d{1,10}:\d{1,10}:\d{1,10}:\d{1,20}")
_TAPE_NODE = re.compile(r"nst\d{1,6}")
_LONGEST_TEXT = 64
_SERIAL_PAGE = 0x80


def scan(root: Path) -> list[TapeDevice]:
    """Every robot and tape drive, in the order of their SCSI addresses; none where the kernel knows none."""
    try:
        names = [node.name for node in (root / CLASS).iterdir() if _SG.fullmatch(node.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unavailable(f"The SCSI devices cannot be listed: {error.strerror}.") from error
    found = [device for name in names[:MOST_DEVICES] if (device := _device(root, name)) is not None]
    return sorted(found, key=lambda device: [int(part) for part in device.scsi_path.strip("[]").split(":")])


def _device(root: Path, name: str) -> TapeDevice | None:
    """The device behind one sg node, or None when it is neither robot nor drive, or went meanwhile."""
    folder = root / CLASS / name / "device"
    kind = KINDS.get(_text(folder / "type"))
    address = folder.resolve().name
    if kind is None or not _ADDRESS.fullmatch(address):
        return None
    return TapeDevice(
        kind=kind,
        scsi_path=f"[{address}]",
        device=f"/dev/{name}",
        tape_device=_tape_node(folder),
        vendor=_text(folder / "vendor"),
        product=_text(folder / "model"),
        revision=_text(folder / "rev"),
        serial=_serial(folder / "vpd_pg80"),
    )


def _tape_node(folder: Path) -> str:
    """The node that does not rewind when it is closed; '' where the tape driver has not taken the device."""
    try:
        nodes = sorted(node.name for node in (folder / "scsi_tape").iterdir() if _TAPE_NODE.fullmatch(node.name))
    except OSError:
        return ""
    return f"/dev/{nodes[0]}" if nodes else ""


def _serial(page: Path) -> str:
    """The unit serial number of the vital product data; '' when there is none or the page is not what it should be."""
    data = _bytes(page)
    if len(data) < 4 or data[1] != _SERIAL_PAGE:
        return ""
    return printable(data[4 : 4 + int.from_bytes(data[2:4], "big")])


def _text(file: Path) -> str:
    return printable(_bytes(file))


def _bytes(file: Path) -> bytes:
    """The beginning of a small file of sysfs; empty when it cannot be read: devices come and go."""
    try:
        with file.open("rb", buffering=0) as opened:
            return opened.read(4096) or b""
    except OSError:
        return b""


def printable(data: bytes) -> str:
    """Text of a device: ASCII, without padding and without what cannot be shown."""
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else " " for byte in data)
    return " ".join(text.split())[:_LONGEST_TEXT]
