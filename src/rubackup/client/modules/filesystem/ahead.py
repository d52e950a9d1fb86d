"""Reads small files ahead of the one that is being copied, several at a time, and gives them back in order.

It knows neither entries nor chunks: what is done with a file is a function of the caller, run in a
thread. An error of it is given back in the file's place, so the caller may try again by itself and
say what is wrong. Files are handed over in rows, since a hand-over costs as much as reading a file
that is in memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ROW_FILES: Final = 32
"""Files that a thread takes at once, at most."""
AHEAD_BYTES: Final = 8 << 20
"""Of files that are read and not given back yet, by the sizes in the listing."""

Listed = tuple[bytes, os.stat_result]
"""Name and what the listing told of it."""


class ReadAhead(Generic[T]):
    """Runs `load` for the files of one folder after the other. One thread at a time uses it."""

    def __init__(self, load: Callable[[int, bytes, os.stat_result], T], *, ahead_bytes: int = AHEAD_BYTES) -> None:
        """`load` is given the folder's descriptor, a name and its stat; it must be safe for threads."""
        self._load = load
        self._ahead_bytes = ahead_bytes
        self._pool: ThreadPoolExecutor | None = None
        self._threads = 0

    def results(self, folder: int, files: Sequence[Listed], streams: int) -> Generator[T | OSError, None, None]:
        """What `load` gives for each file, or the OSError that it raised, in the order of `files`.

        The descriptor must stay open until the iterator is exhausted or closed. With one stream nothing is read ahead.
        """
        if streams <= 1 or len(files) <= 1:
            for name, st in files:
                yield self._one(folder, name, st)
            return
        pool = self._threads_for(streams)
        waiting: deque[tuple[Future[list[T | OSError]], int]] = deque()
        held = 0
        rows = self._rows(files, streams)
        row = next(rows, None)
        try:
            while row is not None or waiting:
                while row is not None and (not waiting or (len(waiting) < 2 * streams and held < self._ahead_bytes)):
                    size = sum(st.st_size for _, st in row)
                    waiting.append((pool.submit(self._row, folder, row), size))
                    held += size
                    row = next(rows, None)
                done, size = waiting.popleft()
                yield from done.result()
                held -= size
        finally:
            for left, _ in waiting:
                left.cancel()
            for left, _ in waiting:  # the folder's descriptor may be closed as soon as we return
                if not left.cancelled():
                    left.exception()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _threads_for(self, streams: int) -> ThreadPoolExecutor:
        if self._pool is None or self._threads < streams:
            self.close()
            self._pool, self._threads = ThreadPoolExecutor(streams, "read-ahead"), streams
        return self._pool

    def _rows(self, files: Sequence[Listed], streams: int) -> Iterator[Sequence[Listed]]:
        """Rows of neighbours: as long as every stream has some, and their bytes are a share of what may be held."""
        most = max(1, min(ROW_FILES, -(-len(files) // streams)))
        limit = self._ahead_bytes // (2 * streams)
        start = size = 0
        for at, (_, st) in enumerate(files):
            if at > start and (at - start == most or size + st.st_size > limit):
                yield files[start:at]
                start, size = at, 0
            size += st.st_size
        yield files[start:]

    def _row(self, folder: int, row: Sequence[Listed]) -> list[T | OSError]:
        return [self._one(folder, name, st) for name, st in row]

    def _one(self, folder: int, name: bytes, st: os.stat_result) -> T | OSError:
        try:
            return self._load(folder, name, st)
        except OSError as error:
            return error
