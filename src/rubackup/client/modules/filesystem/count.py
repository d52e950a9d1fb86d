"""Counts what a first backup will read, beside it, so that it can show percent and time left."""

from __future__ import annotations

import contextlib
import os
import stat
import threading

from rubackup.client.modules.filesystem.folders import Folders, Pending
from rubackup.client.modules.filesystem.listing import list_folder, not_entered, open_tree
from rubackup.client.modules.filesystem.mounts import Mounts
from rubackup.client.modules.filesystem.paths import split
from rubackup.client.modules.filesystem.protected import Protected


class Counter:
    """A thread that walks the resource; `totals` is (0, 0) until it is through.

    What it cannot read it skips: the backup itself meets and reports it.
    """

    def __init__(self, resource: bytes, protected: Protected | None = None, delay_seconds: float = 0.0) -> None:
        """It begins after `delay_seconds`: for a backup that is done by then nothing is counted."""
        self._delay_seconds = delay_seconds
        self._resource = resource
        self._protected = protected or Protected()
        self._stop = threading.Event()
        self.totals = (0, 0)
        self._thread = threading.Thread(target=self._run, name="count", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """Give up and wait for the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def join(self, timeout_seconds: float) -> None:
        """Wait until it is through."""
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        if self._stop.wait(self._delay_seconds):
            return
        try:
            self.totals = self._count()
        except OSError:
            return

    def _count(self) -> tuple[int, int]:
        files = size = 0
        mounts = Mounts()
        pending = Pending()
        tree = open_tree(self._resource)
        try:
            path: bytes | None = self._resource
            if not self._is_folder(tree):
                return 1, 0
            while path is not None and not self._stop.is_set():
                with contextlib.suppress(OSError):
                    counted = self._count_folder(tree.open(path), path, pending, mounts)
                    files += counted[0]
                    size += counted[1]
                path = pending.pop()
        finally:
            tree.close()
        return (0, 0) if self._stop.is_set() else (files, size)

    def _is_folder(self, tree: Folders) -> bool:
        folder, name = split(self._resource)
        return not name or stat.S_ISDIR(os.stat(name, dir_fd=tree.open(folder), follow_symlinks=False).st_mode)

    def _count_folder(self, fd: int, path: bytes, pending: Pending, mounts: Mounts) -> tuple[int, int]:
        files = size = 0
        folders = []
        device = os.fstat(fd).st_dev
        for name, st in list_folder(fd):
            if isinstance(st, OSError):
                continue
            if stat.S_ISDIR(st.st_mode):
                if not not_entered(mounts, device, st) and not self._protected.holds(st):
                    folders.append(name)
                continue
            files += 1
            if stat.S_ISREG(st.st_mode):
                size += st.st_size // st.st_nlink  # the backup counts an inode once
        pending.push(path, folders)
        return files, size
