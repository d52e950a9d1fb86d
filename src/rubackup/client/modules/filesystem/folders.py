"""Open folders, by path, without ever handing the kernel a long path or following a link.

Paths may be longer than 4,096 bytes and trees deeper than the limit of open files: a
folder is reached by stepping from the nearest one that is open, one name at a time, and
only the most recently used stay open.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType

from rubackup.client.modules.filesystem.paths import ROOT, components, join, split

LIMIT = 64
"""How many folders stay open."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NOATIME_REFUSED = PermissionError


def open_noatime(name: bytes, flags: int, folder: int) -> int:
    """Open `name` without touching its access time where that is allowed (own files, or root)."""
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
    except NOATIME_REFUSED:
        return os.open(name, flags, dir_fd=folder)


def open_following(path: bytes) -> int:
    """A descriptor of a folder named by an administrator; links on the way are followed."""
    current = os.open(ROOT, FOLDER)
    for name in components(path):
        try:
            following = open_noatime(name, FOLDER, current)
        finally:
            os.close(current)
        current = following
    return current


class Folders:
    """Descriptors of the folders at and below `anchor`, whose descriptor `fd` it takes over."""

    def __init__(
        self,
        anchor: bytes,
        fd: int,
        limit: int = LIMIT,
        opened: Callable[[int], None] | None = None,
        grafts: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        """`opened` is called with each descriptor that was opened anew and may refuse it by an OSError.

        `grafts` are folders that stand elsewhere.
        """
        self.anchor = anchor
        self._grafts = grafts
        self._fd = fd
        self._limit = limit
        self._opened = opened
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def open(self, path: bytes) -> int:
        """The descriptor of `path`; it stays valid until `limit` other folders were opened. OSError when not there."""
        steps: list[bytes] = []
        probe = path
        while probe != self.anchor and probe not in self._open:
            if probe == ROOT:
                raise ValueError("The folder lies outside the tree.")
            probe, name = split(probe)
            steps.append(name)
        if probe == self.anchor:
            fd = self._fd
        else:
            fd = self._open[probe]
            self._open.move_to_end(probe)
        while steps:
            name = steps.pop()
            probe = join(probe, name)
            graft = self._grafts.get(probe)
            fd = open_following(graft) if graft else open_noatime(name, FOLDER | os.O_NOFOLLOW, fd)
            self._keep(probe, fd)
        return fd

    def forget(self, path: bytes) -> None:
        """Close the descriptor of `path` if it is open."""
        fd = self._open.pop(path, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def _keep(self, path: bytes, fd: int) -> None:
        if self._opened:
            try:
                self._opened(fd)
            except BaseException:
                os.close(fd)
                raise
        self._open[path] = fd
        if len(self._open) > self._limit:
            os.close(self._open.popitem(last=False)[1])


class Pending:
    """The folders that a walk in pre-order has still to visit; holds names, not paths."""

    def __init__(self) -> None:
        self._frames: list[tuple[bytes, list[bytes]]] = []

    def push(self, folder: bytes, names: list[bytes]) -> None:
        """Visit these sub-folders of `folder`, in ascending order, before everything pushed earlier."""
        if names:
            self._frames.append((folder, sorted(names, reverse=True)))

    def pop(self) -> bytes | None:
        """The next folder, or None."""
        if not self._frames:
            return None
        folder, names = self._frames[-1]
        name = names.pop()
        if not names:
            self._frames.pop()
        return join(folder, name)


def entry_path(folder: int, name: bytes) -> bytes:
    """A short path of an entry, for calls that take no descriptor of a folder: never follow its last part."""
    return b"/proc/self/fd/%d/%s" % (folder, name)
