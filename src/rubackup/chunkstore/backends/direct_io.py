"""Writing past the page cache (O_DIRECT): where it was tried, and how a descriptor is switched."""

from __future__ import annotations

import fcntl
import os
from typing import Final

FILE_SYSTEMS: Final = frozenset({0xEF53, 0x58465342})
"""Types of statfs (linux/magic.h) whose direct writes were tried: ext4 and its elders, XFS. Others keep checksums (btrfs, ZFS), or have the
page cache only (tmpfs)."""
BLOCK_BYTES: Final = 4096
"""Direct writes begin at multiples of this, in the file and in memory, and are as long: what every disk of 512 or 4096 bytes a sector takes."""


def set_direct(fd: int, *, on: bool) -> None:
    """Switch a descriptor; OSError where the file system refuses."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
