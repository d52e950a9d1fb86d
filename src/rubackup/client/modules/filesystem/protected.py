"""Folders that are never copied and never restored into: they hold the secrets of this host's own installation.

Who may make tasks for a client could otherwise take its keys and passwords from a copy, or put his own there.
Folders are told by device and inode, so a link, another name or a bind mount leads to the same answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rubackup.client.modules.filesystem.folders import open_following
from rubackup.client.modules.filesystem.paths import is_within, join, reason, split
from rubackup.client.mounttable import MountEntry, mount_table
from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable

Identity = tuple[int, int]

WHY = "it holds secrets of this host's own RuBackup installation, or copies that it keeps itself"
_ABOVE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Protected:
    """The protected folders as they stand now, with what is mounted out of them elsewhere."""

    def __init__(self, folders: Iterable[Path] = (), table: Iterable[MountEntry] | None = None) -> None:
        real = [os.path.realpath(os.fsencode(folder)) for folder in folders]
        mounts = list(mount_table() if table is None else table) if real else []
        self._identities: set[Identity] = set()
        for path in real:
            self._add(path)
            for mounted in _parts_elsewhere(path, mounts):
                self._add(mounted)

    def also_on(self, device: int, other: int) -> None:
        """The file system of `device` is read as `other`, too: a snapshot has the same inodes."""
        self._identities |= {(other, inode) for at, inode in self._identities if at == device}

    def holds(self, st: os.stat_result) -> bool:
        """Whether this is one of the folders themselves."""
        return (st.st_dev, st.st_ino) in self._identities

    def check_opened(self, fd: int) -> None:
        """PermissionError when the descriptor is that of such a folder."""
        if self._identities and self.holds(os.fstat(fd)):
            raise PermissionError(1, f"nothing is restored into it, as {WHY}")

    def check_resource(self, resource: bytes) -> None:
        """Invalid when the resource is such a folder or lies in one; links on the way to it are followed."""
        if not self._identities:
            return
        folder, name = split(resource)
        try:
            found = self._lies_within(open_following(folder), name)
        except OSError as error:
            raise Invalid(f"The resource {printable(resource)} cannot be read: {reason(error)}.") from error
        if found:
            raise Invalid(f"The resource {printable(resource)} is not copied: {WHY}, or lies in a folder that does.")

    def _lies_within(self, fd: int, name: bytes) -> bool:
        """Whether `name` in the folder, the folder or one above it is protected; the descriptor is closed."""
        below: Identity | None = None
        while True:
            try:
                if name and self.holds(os.stat(name, dir_fd=fd, follow_symlinks=False)):
                    return True
                name, st = b"", os.fstat(fd)
                if self.holds(st):
                    return True
                if below == (st.st_dev, st.st_ino):
                    return False  # the root is above itself
                below = st.st_dev, st.st_ino
                above = os.open(b"..", _ABOVE, dir_fd=fd)
            finally:
                os.close(fd)
            fd = above

    def _add(self, path: bytes) -> None:
        try:
            st = Path(os.fsdecode(path)).stat()
        except OSError:
            return  # what is not there, or out of our reach, cannot be copied either
        self._identities.add((st.st_dev, st.st_ino))


def _parts_elsewhere(path: bytes, mounts: list[MountEntry]) -> list[bytes]:
    """Mount points of bind mounts that show the folder, or a part of it, somewhere else."""
    there = [entry for entry in mounts if is_within(path, entry.point)]
    if not there:
        return []
    holder = max(there, key=lambda entry: len(entry.point))
    below = path[len(holder.point.rstrip(b"/")) :].lstrip(b"/")
    inside = join(holder.root, below) if below else holder.root
    return [entry.point for entry in mounts if entry.device == holder.device and is_within(entry.root, inside)]
