"""The contents of a regular file as chunks and holes.

Files up to the chunker's minimum are one chunk; larger ones are cut by content. In pools with a block size all are cut at
multiples of it, counted from the beginning of the file, holes or not. Chunks of larger files are
views of what was read at once; nothing is copied, and what was read goes when the last view of it
does. Bytes behind the last whole chunk are read again with what follows them: they are in the page
cache. Holes are told by the file system (SEEK_HOLE); a file system that cannot tell them gives
zeros, which are stored.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, wait
from typing import NamedTuple

from rubackup.chunkstore.chunker import Chunker
from rubackup.chunkstore.identity import Buffer

USUAL = (32 << 10, 128 << 10, 512 << 10)
"""Minimum, average and maximum of chunks: design section 8."""
FLEXIBLE = (256 << 10, 1 << 20, 2 << 20)
"""The same for large files under `enable_flexible_dedup`; a group that is not full still has room for the longest."""
LARGE_BYTES = 64 << 20
"""Files from this size on are large."""
READ_BYTES = 4 << 20
"""At once; what is in flight is counted in these: `upload`."""
HOLE_BYTES = 1 << 30
"""Longest hole in one row: rows hold lengths of 32 bits."""

OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: a fifo that took the place of a file must not make us wait for a writer."""

BYTES_PER_BLOCK = 512
"""Unit of st_blocks, whatever the file system's block size (stat(2))."""


class _Step(NamedTuple):
    """What was read at once: lengths of the chunks at its front, where the next step begins, whether there is none."""

    view: memoryview
    lengths: list[int]
    following: int
    final: bool


class FileReader:
    """Cuts one file after the other; not for two threads at a time."""

    def __init__(
        self,
        check: Callable[[], None],
        *,
        seed: int = 0,
        flexible: bool = False,
        sizes: tuple[int, int, int] = USUAL,
        read_bytes: int = READ_BYTES,
        block_bytes: int = 0,
        ahead: Executor | None = None,
    ) -> None:
        """`flexible`: large files are cut in larger chunks. `seed`: the chunker's. With `block_bytes` content decides nothing.

        `ahead`, of one thread, reads and cuts while the chunks before are taken.

        `check` is called every `read_bytes` and may raise to end it. ValueError when they cannot hold a chunk.
        """
        self._usual = Chunker(*sizes, seed)
        self._large = Chunker(*FLEXIBLE, seed) if flexible else self._usual
        self._block_bytes = block_bytes
        if read_bytes < max(self._usual.maximum, self._large.maximum, block_bytes):
            raise ValueError("a chunk may be larger than what is read at once")
        self._check = check
        self._read_bytes = read_bytes
        self._ahead = ahead

    def pieces(self, fd: int, st: os.stat_result) -> Generator[Buffer | int, None, None]:
        """Chunks, and lengths of holes between them, up to the size that `st` tells or an earlier end of the file.

        To be closed before `fd` is.
        """
        if st.st_size <= self._usual.minimum:
            yield from self.small(read_at(fd, st.st_size, 0))
            return
        chunker = self._large if st.st_size >= LARGE_BYTES else self._usual
        sparse = st.st_blocks * BYTES_PER_BLOCK < st.st_size
        for start, end, is_data in _extents(fd, st.st_size) if sparse else ((0, st.st_size, True),):
            if not is_data:
                yield from _hole(end - start)
                continue
            if self._block_bytes:
                ended_at = yield from self._read_blocks(fd, start, end)
            else:
                ended_at = yield from self._cut(chunker, fd, start, end)
            if ended_at < end:
                return  # truncated meanwhile

    def small(self, data: bytes) -> Iterator[Buffer]:
        """Chunks of a file without holes, smaller than LARGE_BYTES, that was read whole: those that `pieces` gives."""
        if len(data) <= (self._block_bytes or self._usual.minimum):
            if data:
                yield data
            return
        view, at = memoryview(data), 0
        if self._block_bytes:
            yield from self._blocks(view, 0)
            return
        for length in self._usual.cut(view, final=True):
            yield view[at : at + length]
            at += length

    def _blocks(self, view: memoryview, offset: int) -> Iterator[memoryview]:
        """What begins at this offset of a file, cut at the multiples of the block size."""
        at = 0
        while at < len(view):
            length = self._block_bytes - (offset + at) % self._block_bytes
            yield view[at : at + length]
            at += length

    def _read_blocks(self, fd: int, start: int, end: int) -> Generator[memoryview, None, int]:
        """As `_cut`: whole blocks are read at once, but for the first and the last."""
        offset, step = start, self._read_bytes - self._read_bytes % self._block_bytes
        while offset < end:
            self._check()
            wanted = min(step - offset % self._block_bytes, end - offset)
            view = memoryview(read_at(fd, wanted, offset))
            yield from self._blocks(view, offset)
            offset += len(view)
            if len(view) < wanted:
                break
        return offset

    def _cut(self, chunker: Chunker, fd: int, start: int, end: int) -> Generator[memoryview, None, int]:
        step = self._step(chunker, fd, start, end)
        while True:
            self._check()
            view, lengths, offset, final = step
            coming: Future[_Step] | None = None
            if not final and self._ahead is not None:
                coming = self._ahead.submit(self._step, chunker, fd, offset, end)
            position = 0
            try:
                for length in lengths:
                    yield view[position : position + length]
                    position += length
            finally:  # nobody reads any more when this ends: the file is closed then
                if coming is not None:
                    wait((coming,))
            if final:
                return offset
            step = self._step(chunker, fd, offset, end) if coming is None else coming.result()

    def _step(self, chunker: Chunker, fd: int, offset: int, end: int) -> _Step:
        """Read what follows `offset`, and cut it."""
        wanted = min(self._read_bytes, end - offset)
        view = memoryview(read_at(fd, wanted, offset))
        final = len(view) < wanted or offset + wanted == end
        lengths = chunker.cut(view, final=final)
        return _Step(view, lengths, offset + sum(lengths), final)


def read_at(fd: int, length: int, offset: int) -> bytes:
    """So many bytes, or less at the end of the file."""
    data = os.pread(fd, length, offset)
    while data and len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def _hole(length: int) -> Iterator[int]:
    while length > 0:
        yield min(length, HOLE_BYTES)
        length -= HOLE_BYTES


def _extents(fd: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether it holds data) from 0 to `size`."""
    offset = 0
    while offset < size:
        try:
            data = min(os.lseek(fd, offset, os.SEEK_DATA), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                yield offset, size, True  # no holes on this file system
                return
            data = size
        if data > offset:
            yield offset, data, False
        if data == size:
            return
        hole = min(os.lseek(fd, data, os.SEEK_HOLE), size)
        if hole <= data:
            hole = size  # truncated meanwhile: the read finds the end
        yield data, hole, True
        offset = hole
