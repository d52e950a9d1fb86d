"""The one open descriptor of a device: whole reads and writes, shared syncs, and what a lost device looks like."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Busy, Corrupt, Invalid, StorageFault, StorageFull

_LOST = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO, errno.ESHUTDOWN})
_MAX_WORKERS = 64


class Device(Protocol):
    """Bytes of a fixed size that survive once they were synced."""

    label: str
    size_bytes: int

    @property
    def failed(self) -> bool:
        """Whether a sync failed: nothing is written any more until it is opened again."""

    def set_workers(self, workers: int) -> None:
        """So many threads read and write at once from now on."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; StorageFault."""

    def write(self, offset: int, *parts: Buffer) -> None:
        """Write all of these, one behind the other; StorageFault, and what is there then is unknown."""

    def sync(self) -> None:
        """Make durable what was written before; StorageFault, from then on at every write and sync."""

    def check(self, *, writable: bool = False) -> None:
        """StorageFault when the device is not there any more, or another one, or not to be written to any more."""

    def close(self) -> None:
        """Release it; twice is fine."""


class FileDevice:
    """A block device or a plain file; nobody else can mount or serve it meanwhile."""

    def __init__(self, path: Path, workers: int = 8) -> None:
        """Busy when it is in use, Invalid for what is neither device nor file, StorageFault when it is not there."""
        if not 1 <= workers <= _MAX_WORKERS:
            raise Invalid(f"parallel_workers is 1 to {_MAX_WORKERS}.")
        self.label = str(path)
        self._path = path
        self._workers = threading.BoundedSemaphore(workers)
        self._asking, self._syncing = threading.Lock(), threading.Lock()
        self._asked = self._synced = 0
        self._failed = ""
        with self._translated():
            self._handle = _open(path)
        try:
            with self._translated():
                self.size_bytes = os.lseek(self._handle, 0, os.SEEK_END)
                self._identity = _identity(os.fstat(self._handle))
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.ENOSPC:  # a file with holes, on a file system without room
                raise StorageFull(f"There is no room left for {self.label}: {reason}.", folder=self.label) from error
            what = "is lost" if error.errno in _LOST else "cannot be used"
            raise StorageFault(f"The device {self.label} {what}: {reason}.", device=self.label) from error

    def set_workers(self, workers: int) -> None:
        """So many threads read and write at once from now on."""
        if not 1 <= workers <= _MAX_WORKERS:
            raise Invalid(f"parallel_workers is 1 to {_MAX_WORKERS}.")
        self._workers = threading.BoundedSemaphore(workers)

    @property
    def failed(self) -> bool:
        """Whether a sync failed: nothing is written any more until it is opened again."""
        return bool(self._failed)

    def _check_usable(self) -> None:
        if self._failed:
            raise StorageFault(self._failed, device=self.label)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        with self._workers, self._translated():
            data = os.pread(self._handle, length, offset)
            while len(data) < length:
                more = os.pread(self._handle, length - len(data), offset + len(data))
                if not more:
                    raise StorageFault(f"The device {self.label} ends before byte {offset + length}.")
                data += more
        return data

    def write(self, offset: int, *parts: Buffer) -> None:
        """Write all of these, one behind the other."""
        views = [memoryview(part) for part in parts if len(part)]
        if offset < 0 or offset + sum(map(len, views)) > self.size_bytes:
            raise Corrupt(f"A write to {self.label} would leave it, at byte {offset}.")
        self._check_usable()
        with self._workers, self._translated():
            while views:
                written = os.pwritev(self._handle, views, offset)
                offset += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if written:
                    views[0] = views[0][written:]

    def sync(self) -> None:
        """Make durable what was written before; one call of the kernel serves all who wait.

        The kernel tells a failed write once to a descriptor, whoever's it was. So after a failure nothing that was not
        durable can be trusted, and every later write and sync fails.
        """
        with self._asking:
            self._asked += 1
            mine = self._asked
        with self._syncing:
            self._check_usable()
            if self._synced >= mine:
                return
            with self._asking:
                upto = self._asked
            try:
                with self._translated():
                    os.fdatasync(self._handle)
            except BaseException as error:
                self._failed = (
                    f"The device {self.label} failed to write ({error}) and is not written to until it is opened again."
                )
                raise
            self._synced = upto

    def check(self, *, writable: bool = False) -> None:
        """StorageFault when the device is not there any more, or another one, or not to be written to any more."""
        if writable:
            self._check_usable()
        with self._translated():
            size = os.lseek(self._handle, 0, os.SEEK_END)
            there = _identity(self._path.stat())
        if size != self.size_bytes:
            raise StorageFault(
                f"The device {self.label} is lost: it has {size} bytes now, not {self.size_bytes}.", device=self.label
            )
        if there != self._identity:
            raise StorageFault(f"The device {self.label} is lost: another one is there now.", device=self.label)

    def close(self) -> None:
        """Release it."""
        handle, self._handle = getattr(self, "_handle", -1), -1
        if handle >= 0:
            os.close(handle)


def _open(path: Path) -> int:
    """O_EXCL keeps a block device from being mounted; the lock keeps a second process, and udev, from it."""
    kind = path.stat().st_mode
    if not stat.S_ISBLK(kind) and not stat.S_ISREG(kind):
        raise Invalid(f"{path} is neither a block device nor a file.")
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if stat.S_ISBLK(kind) else 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Busy(f"The device {path} is in use: it is mounted, or part of another device.") from error
        raise
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise Busy(f"The device {path} is in use by another process, or given twice.") from error
    return handle


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_rdev,) if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino)
