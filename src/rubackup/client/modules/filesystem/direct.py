"""Writes large files past the page cache (O_DIRECT), where the file system takes that well.

The kernel's copy into the page cache, and its writing out, are most of what a restore of large files costs. Here
chunks are copied into an aligned buffer of the thread, and whole blocks go from there to the disk. Chunks end anywhere:
what two writes have of one block waits until both are there. What is left of a block in the end, beside a hole or at
the end of the file, is written through the cache; so is all of a file from where it does not come off.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import threading
from typing import Final

from rubackup.chunkstore.backends.direct_io import BLOCK_BYTES, FILE_SYSTEMS, set_direct
from rubackup.chunkstore.backends.statfs import file_system_type
from rubackup.client.modules.filesystem.segments import Segment, write_segments

DIRECT_BYTES: Final = 4 << 20
"""Smaller files are written through the page cache, which brings several of them to the disk at once."""
STEP_BYTES: Final = 2 << 20
"""Of one write: with less a disk idles between them (measured on a virtual disk, 2026-11-27: 1 MiB takes half as long again)."""
MEAN_BYTES: Final = 256 << 10
GRACE_BYTES: Final = 16 << 20
"""A file is written so while its writes have this mean, after the first 64 of them: each waits for the disk."""
PENDING: Final = 256
"""Parts of blocks of a file that wait for others, at most."""

_libc = ctypes.CDLL(None, use_errno=True)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_STATX_BYTES: Final = 256
_STATX: Final = struct.Struct("=I148xII96x")
"""statx(2): which fields are there; alignments of memory and of offsets."""
_STATX_DIOALIGN: Final = 0x2000
_AT_EMPTY_PATH: Final = 0x1000


class Staging:
    """The aligned memory of one thread."""

    def __init__(self) -> None:
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")

    @property
    def view(self) -> memoryview:
        """STEP_BYTES of it; made when it is needed first."""
        if self._map is None:
            self._map = mmap.mmap(-1, STEP_BYTES)
            self._view = memoryview(self._map)
        return self._view

    def close(self) -> None:
        """Give the memory back, as soon as no write that failed is being told any more."""
        self._map = None
        self._view = memoryview(b"")


class Direct:
    """One file that is written past the page cache. For threads, each with parts of its own."""

    def __init__(self, fd: int, size_bytes: int) -> None:
        """The descriptor stays the caller's; the file will have this size. See `try_direct`."""
        self._fd = fd
        self._whole_bytes = size_bytes - size_bytes % BLOCK_BYTES
        self._lock = threading.Lock()
        self.is_on = True
        """Until `finish`, or until it did not come off."""
        self._waiting: dict[int, list[tuple[int, bytes]]] = {}
        """Parts of blocks, by the block's offset in the file: where in the block, and what."""
        self._waiting_count = 0
        self._credit_bytes = GRACE_BYTES
        self._is_cached = False
        """Whether more than the last bytes went through the cache."""

    def write(self, segments: list[Segment], staging: Staging) -> None:
        """Write all of it, or keep it until the rest of its block comes."""
        for offset, views in segments:
            if self.is_on:
                self._segment(offset, views, staging.view)
            else:
                write_segments(self._fd, [(offset, views)])

    def finish(self) -> None:
        """Write what waits. Then all but the last bytes of the file is on the disk, whatever it holds already of its size and name."""
        self._turn_off()
        if self._is_cached:
            os.fdatasync(self._fd)

    def _turn_off(self, *, is_early: bool = False) -> None:
        """Write what waits; from now on the descriptor is one like any other."""
        with self._lock:
            if not self.is_on:
                return
            self.is_on = False
            set_direct(self._fd, on=False)
            self._is_cached = is_early or any(at < self._whole_bytes for at in self._waiting)
            for at in sorted(self._waiting):
                for begin, data in self._waiting[at]:
                    write_segments(self._fd, [(at + begin, [memoryview(data)])])
            self._waiting.clear()

    def _segment(self, offset: int, views: list[memoryview], stage: memoryview) -> None:
        # Where a byte lies in its block is the same in the file and in memory.
        begin = end = offset % BLOCK_BYTES
        base = offset - begin
        for view in views:
            taken = 0
            while taken < len(view):
                some = min(len(view) - taken, STEP_BYTES - end)
                stage[end : end + some] = view[taken : taken + some]
                taken += some
                end += some
                if end == STEP_BYTES:
                    self._emit(stage, base, begin, end)
                    base += STEP_BYTES
                    begin = end = 0
        if begin < end:
            self._emit(stage, base, begin, end)

    def _emit(self, stage: memoryview, base: int, begin: int, end: int) -> None:
        """Write the whole blocks of `stage[begin:end]`, which belongs at `base + begin`; those that became whole too."""
        first = begin - begin % BLOCK_BYTES
        last = end - end % BLOCK_BYTES
        if first == last:
            if self._join(stage, base, begin, end):
                self._put(stage[first : first + BLOCK_BYTES], base + first)
            return
        if first < begin and not self._join(stage, base, begin, first + BLOCK_BYTES):
            first += BLOCK_BYTES
        if last < end and self._join(stage, base, last, end):
            last += BLOCK_BYTES
        if first < last:
            self._put(stage[first:last], base + first)

    def _join(self, stage: memoryview, base: int, begin: int, end: int) -> bool:
        """Whether the block of which this is a part is whole now in `stage`; if not the part waits, or is written."""
        at = begin % BLOCK_BYTES
        block = begin - at
        data = bytes(stage[begin:end])
        with self._lock:
            if self.is_on:
                parts = self._waiting.setdefault(base + block, [])
                parts.append((at, data))
                self._waiting_count += 1
                if sum(len(part) for _, part in parts) == BLOCK_BYTES:
                    for place, part in parts:
                        stage[block + place : block + place + len(part)] = part
                    self._waiting_count -= len(self._waiting.pop(base + block))
                    return True
                if self._waiting_count <= PENDING:
                    return False
            else:
                write_segments(self._fd, [(base + begin, [memoryview(data)])])
                return False
        self._turn_off(is_early=True)
        return False

    def _put(self, blocks: memoryview, offset: int) -> None:
        is_refused = False
        self._credit_bytes += len(blocks) - MEAN_BYTES
        if self._credit_bytes < 0:
            self._turn_off(is_early=True)
        while blocks:
            try:
                count = os.pwrite(self._fd, blocks, offset)
            except OSError as error:
                if error.errno != errno.EINVAL or is_refused:
                    raise
                is_refused = True
                self._turn_off(is_early=True)
            else:
                blocks = blocks[count:]
                offset += count


def try_direct(fd: int, size_bytes: int, *, is_dense: bool) -> Direct | None:
    """A way past the page cache for an empty file that will have this size; None where the cache is better, or nothing else can be.

    `is_dense`: it will have no holes, so its blocks are taken at once; OSError where the disk has not as many.
    """
    if size_bytes < DIRECT_BYTES or not _is_taken_well(fd):
        return None
    try:
        set_direct(fd, on=True)
    except OSError:
        return None
    if is_dense:
        _take_blocks(fd, size_bytes - size_bytes % BLOCK_BYTES)
    return Direct(fd, size_bytes)


def _take_blocks(fd: int, size_bytes: int) -> None:
    """Writes into blocks that the file has already do not wait for each other. The last bytes, through the cache, end the file."""
    if _libc.fallocate(fd, 0, ctypes.c_longlong(0), ctypes.c_longlong(size_bytes)):
        code = ctypes.get_errno()
        if code in _NO_ROOM:
            raise OSError(code, os.strerror(code))


def _is_taken_well(fd: int) -> bool:
    """Whether the file system is one that we know, and says nothing against this file: it may be encrypted, or journaled with its data."""
    if file_system_type(fd) not in FILE_SYSTEMS:
        return False
    statx = getattr(_libc, "statx", None)
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if statx is None or statx(fd, b"", _AT_EMPTY_PATH, _STATX_DIOALIGN, found):
        return True  # a C library or a kernel that cannot tell: the first write does
    fields, memory_bytes, offset_bytes = _STATX.unpack(found)
    return not fields & _STATX_DIOALIGN or (0 < memory_bytes <= BLOCK_BYTES and 0 < offset_bytes <= BLOCK_BYTES)
