"""How many files are best read at a time from a file system: its disk decides, or the network between.

A spinning disk loses by every seek between two files, so it is read by one stream. Flash answers
several at once. A network file system costs a round trip for each open, read and close, whatever
the bandwidth, so many files are on their way at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rubackup.client.mounttable import MountEntry, mount_table

ONE: Final = 1
FLASH: Final = 2
"""Beside the threads that compress; on files that are in memory already more cost more than they bring."""
NETWORK: Final = 8

NETWORK_TYPES: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "virtiofs"}
)
"""Types of /proc/self/mountinfo; those of FUSE besides, for behind it may be anything, and each call is a round trip."""
MEMORY_TYPES: Final = frozenset({"ramfs", "tmpfs"})
_DEPTH: Final = 8
"""Device mapper and md over one another, at most."""


class Streams:
    """Answers for device numbers of files (st_dev); keeps what it found."""

    def __init__(
        self, block: Path = Path("/sys/dev/block"), mounts: Callable[[], list[MountEntry]] = mount_table
    ) -> None:
        self._block = block
        self._mounts = mounts
        self._known: dict[int, int] = {}

    def of(self, device: int) -> int:
        """How many files to read at a time from the file system of this device number."""
        if device not in self._known:
            self._known[device] = self._find(device)
        return self._known[device]

    def _find(self, device: int) -> int:
        name = f"{os.major(device)}:{os.minor(device)}"
        try:
            mount = next((mount for mount in self._mounts() if mount.device == name), None)
        except OSError:  # /proc is not there
            mount = None
        kind = mount.type if mount else ""
        if kind in NETWORK_TYPES or kind == "fuse" or kind.startswith("fuse."):
            return NETWORK
        if kind in MEMORY_TYPES:
            return ONE
        disk = self._block / name
        if not os.major(device) and mount is not None:
            # btrfs and others have numbers of their own; the table names the disk.
            disk = self._block / self._number(mount.source)
        spins = self._spins(disk, _DEPTH)
        return ONE if spins or spins is None else FLASH

    @staticmethod
    def _number(source: bytes) -> str:
        try:
            rdev = Path(os.fsdecode(source)).stat().st_rdev
        except (OSError, ValueError):
            return "none"
        return f"{os.major(rdev)}:{os.minor(rdev)}"

    def _spins(self, disk: Path, depth: int) -> bool | None:
        """Whether a disk below is a spinning one; None when nobody tells."""
        try:
            disk = disk.resolve(strict=True)
        except OSError:
            return None
        below = list((disk / "slaves").glob("*"))
        if below and depth:
            found = [self._spins(one, depth - 1) for one in below]
            return True if True in found else None if None in found else False
        for folder in (disk, disk.parent):  # a partition has no queue, its disk has
            try:
                return (folder / "queue/rotational").read_text().strip() != "0"
            except OSError:
                continue
        return None
