"""The mount table of this host as proc(5) has it: /proc/self/mountinfo."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class MountEntry:
    """One mounted file system."""

    device: str
    """Its device as `major:minor`."""
    root: bytes
    """What of the file system is mounted: `/`, or the folder of a bind mount or sub-volume."""
    point: bytes
    """Where."""
    type: str
    source: bytes

    @property
    def shown(self) -> str:
        """Where, for people: bytes that are not UTF-8 are escaped."""
        return self.point.decode("utf-8", "backslashreplace")


def mount_table(proc: Path = Path("/proc")) -> list[MountEntry]:
    """Every mount, in the order in which they were made; a later one hides an earlier one at the same point."""
    with (proc / "self/mountinfo").open("rb") as file:
        return [entry for line in file if (entry := _parse(line)) is not None]


def _parse(line: bytes) -> MountEntry | None:
    # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    left, _, right = line.partition(b" - ")
    fields, kind = left.split(), right.split()
    if len(fields) < 5 or len(kind) < 2:
        return None
    return MountEntry(fields[2].decode(), _plain(fields[3]), _plain(fields[4]), os.fsdecode(kind[0]), _plain(kind[1]))


def _plain(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)
