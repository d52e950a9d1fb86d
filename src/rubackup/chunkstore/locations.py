"""Where a storage of a pool lies: one kind of place, one struct. `label` is what administrators, index and roster know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from rubackup.chunkstore.backends.s3.location import Bucket


class Folder(msgspec.Struct, frozen=True):
    """A folder of a local file system."""

    path: Path

    @property
    def label(self) -> str:
        """The path."""
        return str(self.path)


class Device(msgspec.Struct, frozen=True):
    """A block device, or a file that is used as one, as `format_device` makes it."""

    path: Path
    workers: int = 8
    """So many threads read and write at once, 1 to 64."""
    uuid: str = ""
    """The device's id, in hex, as `format_device` gave it: another device at this path is not opened. '' for any."""

    @property
    def label(self) -> str:
        """The path."""
        return str(self.path)


class Unopened(msgspec.Struct, frozen=True):
    """A place that belongs to the pool and cannot be opened now, for a reason that others found."""

    label: str
    reason: str


Location = Folder | Device | Bucket | Unopened


def folders(paths: Iterable[Path]) -> list[Location]:
    """Paths as locations."""
    return [Folder(path) for path in paths]
