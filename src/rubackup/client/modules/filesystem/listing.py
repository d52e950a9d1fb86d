"""Lists the folders of a resource: names in the manifest's order, and which are entered."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rubackup.client.modules.filesystem.folders import Folders, open_following
from rubackup.client.modules.filesystem.mounts import Mounts
from rubackup.client.modules.filesystem.paths import ROOT, split


def open_tree(resource: bytes) -> Folders:
    """The folders at and below the one that holds `resource`; links above are followed. OSError when not there."""
    anchor = ROOT if resource == ROOT else split(resource)[0]
    return Folders(anchor, open_following(anchor))


def list_names(fd: int) -> list[bytes]:
    """The names in a folder, ascending."""
    joined = "\0".join(os.listdir(fd))
    return sorted(os.fsencode(joined).split(b"\0")) if joined else []


def list_folder(fd: int) -> Iterator[tuple[bytes, os.stat_result | OSError]]:
    """The entries of a folder, ascending by name, as lstat sees them, or why it cannot."""
    for name in list_names(fd):
        try:
            yield name, os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            yield name, error


def not_entered(mounts: Mounts, folder_device: int, st: os.stat_result) -> str:
    """'' when a walk goes into this sub-folder, else the type of the kernel's file system mounted there."""
    return "" if st.st_dev == folder_device else mounts.kernel_type(st.st_dev)
