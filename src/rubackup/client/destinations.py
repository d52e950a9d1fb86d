"""Whether files could be restored below a folder of this host: asked before a disaster, answered without a change."""

from __future__ import annotations

import os

from rubackup.client.modules.filesystem.anchor import open_nearest
from rubackup.client.modules.filesystem.mounts import KERNEL_TYPES, Mounts
from rubackup.client.modules.filesystem.paths import absolute
from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable
from rubackup.wire.messages import Destination, DestinationsChecked


def check_destinations(paths: list[str]) -> DestinationsChecked:
    """What is known of each folder; a missing one is judged by the nearest folder above that is there."""
    mounts = Mounts()
    return DestinationsChecked(destinations=[_check(path, mounts) for path in paths])


def _check(path: str, mounts: Mounts) -> Destination:
    try:
        fd, folder = open_nearest(absolute(path, "path"))
    except Invalid as error:
        return Destination(path=path, problem=error.message)
    try:
        device, space = os.fstat(fd).st_dev, os.fstatvfs(fd)
        kind = mounts.type(device)
        return Destination(
            path=path,
            folder=printable(folder),
            filesystem=kind,
            device=f"{os.major(device)}:{os.minor(device)}",
            pseudo=kind in KERNEL_TYPES,
            read_only=bool(space.f_flag & os.ST_RDONLY),
            writable=os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True),
            free_bytes=space.f_bavail * space.f_frsize,
            size_bytes=space.f_blocks * space.f_frsize,
        )
    finally:
        os.close(fd)
