"""Makes what a restore wrote durable: few files by fsync, each with its folders; many by one syncfs a file system.

syncfs also waits for what others have left unwritten there, which may take longer than a small restore;
fsync of each of many files takes far longer than syncfs. While many are written, a thread has the kernel put out what is
there so far, again and again: else it would begin when it holds gigabytes, or at the end, and the disk would idle until then.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from rubackup.client.modules.filesystem.folders import FOLDER

FEW_FILES: Final = 64
FEW_FOLDERS: Final = 64
FEW_BYTES: Final = 64 << 20

EARLY_BYTES: Final = 128 << 20
"""After so much is written the disk gets it."""
FILE_BYTES: Final = 4096
"""What a file counts beside its contents."""


class Syncer:
    """Keeps descriptors of what was written: one of each file system, and of all of it while it is little. For threads."""

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}
        self._files: list[int] = []
        self._folders: dict[tuple[int, int], int] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._early: threading.Thread | None = None
        self._early_failures: list[int] = []
        self.is_few = True
        """Whether all that was written, and every folder of it, is known here."""

    def saw(self, fd: int) -> None:
        """A folder that is written into, or whose metadata is set."""
        st = os.fstat(fd)
        if st.st_dev in self._fds and not self.is_few:
            return
        with self._lock:
            if st.st_dev not in self._fds:
                self._fds[st.st_dev] = os.dup(fd)
            if self.is_few and (st.st_dev, st.st_ino) not in self._folders:
                if len(self._folders) >= FEW_FOLDERS:
                    self._forget()
                else:
                    self._folders[st.st_dev, st.st_ino] = os.dup(fd)

    def wrote(self, fd: int, size_bytes: int) -> None:
        """A file that has its contents and metadata, in a folder that was seen."""
        if not self.is_few:
            return
        with self._lock:
            self._bytes += size_bytes
            if len(self._files) >= FEW_FILES or self._bytes > FEW_BYTES:
                self._forget()
            elif self.is_few:
                try:
                    self._files.append(os.dup(fd))
                except OSError:  # too many are open: the file itself is as it should be
                    self._forget()

    def wrote_other(self) -> None:
        """Something that fsync cannot reach, such as a link, or that an earlier attempt may have written."""
        if self.is_few:
            with self._lock:
                self._forget()

    def went_on(self, files: int, size_bytes: int) -> None:
        """So many more files are written, with so many bytes in all; by one thread only."""
        if self.is_few:
            return
        self._waiting_bytes += size_bytes + files * FILE_BYTES
        if self._waiting_bytes >= EARLY_BYTES and not (self._early and self._early.is_alive()):
            self._waiting_bytes = 0
            fds = self._copies()
            self._early = threading.Thread(target=self._sync_early, args=(fds,), name="sync", daemon=True)
            self._early.start()

    def _copies(self) -> list[int]:
        """Descriptors of what is seen so far; where too many are open, the end of the restore syncs the others."""
        copies: list[int] = []
        with self._lock, contextlib.suppress(OSError):
            for fd in self._fds.values():
                copies += [os.dup(fd)]
        return copies

    def _sync_early(self, fds: list[int]) -> None:
        """What fails here would not be told again at the end, as the kernel tells it once for an open folder and its copies."""
        self._early_failures += [code for fd in fds if (code := _syncfs(fd))]
        _close(fds)

    def sync(self) -> list[str]:
        """Wait until all is on disk; sentences on what failed (a disk that lost what it had accepted)."""
        if self.is_few:
            try:
                above = self._above()
            except OSError:  # folders that others may enter and not read
                self.wrote_other()
            else:
                try:
                    return _failures([*self._files, *reversed(self._folders.values()), *above], _fsync)
                finally:
                    _close(above)
        if self._early:
            self._early.join()
        return _failures(list(self._fds.values()), _syncfs, self._early_failures)

    def _above(self) -> list[int]:
        """The folders above the first that was seen, in its file system: this attempt or an earlier one may have made them."""
        found: list[int] = []
        try:
            fd = next(iter(self._folders.values()))
            here = os.fstat(fd)
            while True:
                above = os.open(b"..", FOLDER, dir_fd=fd)
                found.append(above)
                st = os.fstat(above)
                if st.st_dev != here.st_dev or st.st_ino == here.st_ino:  # the root is above itself
                    os.close(found.pop())
                    return found
                fd, here = above, st
        except BaseException:
            _close(found)
            raise

    def _forget(self) -> None:
        self.is_few = False
        _close(self._files)
        while self._folders:
            os.close(self._folders.popitem()[1])

    def close(self) -> None:
        """Close the descriptors."""
        self._forget()
        while self._fds:
            os.close(self._fds.popitem()[1])


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


def _fsync(fd: int) -> int:
    try:
        os.fsync(fd)
    except OSError as error:
        return error.errno or -1
    return 0


def _syncfs(fd: int) -> int:
    return ctypes.get_errno() or -1 if _libc.syncfs(fd) else 0


_libc = ctypes.CDLL(None, use_errno=True)


def _failures(fds: list[int], sync: Callable[[int], int], earlier: Sequence[int] = ()) -> list[str]:
    """A sentence for each reason for which one could not be synced, now or earlier."""
    reasons = dict.fromkeys([*earlier, *(code for fd in fds if (code := sync(fd)))])
    return [f"what was restored is not safely on disk: {os.strerror(code).lower()}" for code in reasons]
