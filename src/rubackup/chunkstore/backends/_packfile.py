"""A pack that grows in a folder: written in large steps, by a thread, and past the page cache where the file system does that well.

Whoever receives a backup never waits for the disk while one step is filled and another is written. Past the page
cache a step costs the processor next to nothing, and what others keep there stays (figures: `docs/performance.md`).
Nobody reads an open pack before it was synced, so what waits here is missed by nobody.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from rubackup.chunkstore.backends.direct_io import BLOCK_BYTES, set_direct
from rubackup.chunkstore.backends.oserrors import sync_folder, translated
from rubackup.chunkstore.identity import Buffer

STEP: Final = 1 << 21
AHEAD: Final = 2
"""Full steps that may wait for the disk."""
_SPARE: Final = 8
_spare: deque[memoryview] = deque(maxlen=_SPARE)
"""Steps that are free again; memory that was touched once is much cheaper than new memory."""


def _step() -> memoryview:
    """Memory for a step, which begins at a page."""
    try:
        return _spare.popleft()
    except IndexError:
        return memoryview(mmap.mmap(-1, STEP))


class PackAppender:
    """A growing file of its own; an error of a write is told by a later call, and by all that follow."""

    def __init__(
        self, label: str, path: Path, *, direct: bool, closed: Callable[[PackAppender], None] = lambda _one: None
    ) -> None:
        """`closed` is called once, when nothing waits here any more."""
        self._label, self._path, self._direct, self._closed = label, path, direct, closed
        self._named = False
        self.size_bytes = 0
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._is_direct = False
        self._room = _step()
        self._at = self._filled = 0
        """Where the step that is filled belongs, and how full it is."""
        self._written = 0
        """Everything up to here was written."""
        self._under_way: deque[tuple[Future[None], memoryview]] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._failure: OSError | None = None

    @property
    def unwritten_bytes(self) -> int:
        """What waits here, and has no room on the disk yet."""
        return max(0, self.size_bytes - self._written)

    def write(self, data: Buffer) -> None:
        """Add `data` at the end. It may be changed as soon as this returns."""
        view = memoryview(data).cast("B")
        size = self.size_bytes + len(view)
        with translated(self._label, self._path.name):
            self._raise()
            while view:
                count = min(len(view), STEP - self._filled)
                self._room[self._filled : self._filled + count] = view[:count]
                self._filled += count
                view = view[count:]
                if self._filled == STEP:
                    self._hand_over()
        self.size_bytes = size

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size; after an error, to what was written if that is less."""
        with translated(self._label, self._path.name):
            self._settle(0)
            if self._failure is None:
                self._write_rest()
            size = min(size_bytes, self._written)
            os.ftruncate(self._handle, size)
            self._buffered()
            self._at = size - size % BLOCK_BYTES
            self._filled = size - self._at
            self._room[: self._filled] = os.pread(self._handle, self._filled, self._at)
            self._written = self.size_bytes = size

    def sync(self) -> None:
        """Make content and, the first time, the name durable."""
        with translated(self._label, self._path.name):
            self._settle(0)
            self._raise()
            self._write_rest()
            os.fsync(self._handle)
            if not self._named:
                sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        """Release the handle, when nothing is being written any more; twice is fine."""
        if self._handle < 0:
            return
        self._settle(0)
        if self._failure is None:
            with suppress(OSError):  # nobody was promised that it is there
                self._write_rest()
        if self._thread is not None:
            self._thread.shutdown()
        os.close(self._handle)
        self._handle = -1
        _spare.append(self._room)
        self._closed(self)

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _hand_over(self) -> None:
        """Have the full step written, and begin another."""
        self._settle(AHEAD - 1)
        self._raise()
        room, at = self._room, self._at
        done: Future[None] = Future()
        try:
            self._thread = self._thread or ThreadPoolExecutor(1, "write-pack")
            done = self._thread.submit(self._put, room, at)
        except RuntimeError:  # the system gives no more threads, or the process ends
            self._put(room, at)
            done.set_result(None)
        self._under_way.append((done, room))
        self._room, self._at, self._filled = _step(), at + STEP, 0

    def _settle(self, left: int) -> None:
        """Wait until at most `left` steps are under way; what went wrong with one is kept."""
        while len(self._under_way) > left or (self._under_way and self._under_way[0][0].done()):
            done, room = self._under_way.popleft()
            error = done.exception()
            _spare.append(room)
            if isinstance(error, OSError):
                self._failure = self._failure or error
            elif error is not None:
                raise error

    def _put(self, room: memoryview, at: int) -> None:
        """Write a full step; nothing behind one that failed."""
        self._raise()
        try:
            self._past_the_cache()
            self._pwrite(room, at)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                self._failure = error
                raise
            self._direct = False  # the file system says so, or a device below it has larger sectors
            self._buffered()
            self._put(room, at)

    def _pwrite(self, view: memoryview, at: int) -> None:
        while view:
            count = os.pwrite(self._handle, view, at)
            at += count
            view = view[count:]
            self._written = max(self._written, at)

    def _write_rest(self) -> None:
        """Write what does not fill a step; what does not fill a block is kept to be written again with what follows."""
        if self._at + self._filled > self._written:
            self._buffered()
            self._pwrite(self._room[: self._filled], self._at)
        kept = self._filled % BLOCK_BYTES
        if kept < self._filled:
            self._room[:kept] = self._room[self._filled - kept : self._filled]
            self._at += self._filled - kept
            self._filled = kept

    def _past_the_cache(self) -> None:
        if self._direct and not self._is_direct:
            set_direct(self._handle, on=True)
            self._is_direct = True

    def _buffered(self) -> None:
        if self._is_direct:
            set_direct(self._handle, on=False)
            self._is_direct = False
