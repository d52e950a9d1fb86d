"""What kind of file system a folder is on, as far as overwriting is concerned."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

COPY_ON_WRITE: Final = frozenset(
    {
        0x9123683E,  # btrfs
        0x2FC12FC1,  # ZFS
        0x794C7630,  # overlay: the lower layer keeps what it had
        0xCA451A4E,  # bcachefs
        0x3434,  # NILFS
        0xF2F52010,  # F2FS
    }
)
"""Magic numbers of linux/magic.h and of the file systems' own headers: new bytes do not take the place of old ones."""
_BUFFER_BYTES: Final = 256
"""More than any struct statfs has; its first word is the type on every Linux we run on."""


def file_system_type(where: Path | int) -> int:
    """The magic number of statfs, of a path or a descriptor; 0 when it cannot be told."""
    buffer = (ctypes.c_ulong * (_BUFFER_BYTES // ctypes.sizeof(ctypes.c_ulong)))()
    libc = ctypes.CDLL(None)
    if libc.fstatfs(where, buffer) if isinstance(where, int) else libc.statfs(bytes(where), buffer):
        return 0
    return int(buffer[0]) & 0xFFFFFFFF


def copies_on_write(folder: Path) -> bool:
    """Whether overwriting a file there leaves the old bytes."""
    return file_system_type(folder) in COPY_ON_WRITE
