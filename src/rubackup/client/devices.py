"""The block devices of this host, from /sys/class/block and the mount table; nothing is opened or read from them."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from rubackup.client.mounttable import MountEntry, mount_table
from rubackup.domain.errors import Invalid
from rubackup.wire.messages import BlockDevice, BlockDevices

SYS, PROC, DEV = Path("/sys/class/block"), Path("/proc"), Path("/dev")
SECTOR_BYTES = 512
"""Unit of /sys/class/block/*/size, whatever the device's sector size."""
ROM = "5"
"""SCSI type of optical drives."""
_KINDS = {"LVM-": "lvm", "CRYPT-": "crypt"}
_VOLUME = re.compile(r"(?P<group>(?:[^-]|--)+)-(?P<name>(?:[^-]|--)+)")
"""Device mapper's name of a logical volume: hyphens of the names are doubled."""


def list_block_devices(path: str, *, sys: Path = SYS, proc: Path = PROC, dev: Path = DEV) -> BlockDevices:
    """The devices whose node is `path` or lies below it; Invalid when there is no such path.

    Devices without a size (free loop devices, drives without a medium) are left out.
    """
    folder = "/" + path.strip("/")
    if folder != "/dev" and not (dev / folder.removeprefix("/dev/")).exists():
        raise Invalid(f"There is no {path}.")
    mounts = mount_table(proc)
    swaps = _swaps(proc)
    found = []
    for entry in sorted(sys.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            node = next((node for node in _nodes(entry, dev) if f"{node}/".startswith(f"{folder}/")), None)
            size = int(_read(entry / "size")) * SECTOR_BYTES
            if node is not None and size:
                found.append(_device(entry, node, size, mounts, swaps))
    return BlockDevices(devices=sorted(found, key=lambda device: device.path))


def _device(entry: Path, node: str, size: int, mounts: list[MountEntry], swaps: set[str]) -> BlockDevice:
    number = _read(entry / "dev")
    there = [mount for mount in mounts if mount.device == number]
    swapped = f"/dev/{entry.name}" in swaps
    return BlockDevice(
        name=entry.name,
        path=node,
        type=_type(entry),
        size_bytes=size,
        filesystem=there[0].type if there else "swap" if swapped else "",
        mount_points=list(dict.fromkeys(mount.shown for mount in there)),
        read_only=_read(entry / "ro") == "1",
    )


def _nodes(entry: Path, dev: Path) -> list[str]:
    """The device's nodes, the one that people use first."""
    plain = f"/dev/{_uevent_name(entry)}"
    mapped = _read(entry / "dm/name", "")
    if not mapped:
        return [plain]
    names = [f"/dev/mapper/{mapped}", plain]
    if match := _VOLUME.fullmatch(mapped):
        volume = f"{match['group']}/{match['name']}".replace("--", "-")
        if (dev / volume).exists():
            names.insert(0, f"/dev/{volume}")
    return names


def _uevent_name(entry: Path) -> str:
    for line in _read(entry / "uevent", "").splitlines():
        key, _, value = line.partition("=")
        if key == "DEVNAME":
            return value
    return entry.name.replace("!", "/")


def _type(entry: Path) -> str:
    if (entry / "partition").exists():
        return "part"
    if identity := _read(entry / "dm/uuid", ""):
        return next((kind for prefix, kind in _KINDS.items() if identity.startswith(prefix)), "dm")
    if (entry / "md").is_dir():
        return "raid"
    for prefix, kind in (("loop", "loop"), ("ram", "ram"), ("zram", "ram")):
        if re.fullmatch(rf"{prefix}\d+", entry.name):
            return kind
    return "rom" if _read(entry / "device/type", "") == ROM else "disk"


def _swaps(proc: Path) -> set[str]:
    lines = _read(proc / "swaps", "").splitlines()[1:]
    return {line.split()[0] for line in lines if line.strip()}


def _read(path: Path, default: str | None = None) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except FileNotFoundError:
        if default is None:
            raise
        return default
