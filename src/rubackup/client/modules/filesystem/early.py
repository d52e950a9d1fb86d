"""Reads the small files of a folder before it is their turn, as many at a time as their disk is best read with.

What is given is whole: the file was the same before and after it was read, and nothing about it needs to be said.
Everything else is left to the copier, which reads the file itself as if nobody had tried, and says what is wrong.
Who is read ahead is `ahead.py`, and where is `streams.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final, NamedTuple

from rubackup.client.modules.filesystem.ahead import AHEAD_BYTES, Listed, ReadAhead
from rubackup.client.modules.filesystem.folders import open_noatime
from rubackup.client.modules.filesystem.metadata import read_xattrs
from rubackup.client.modules.filesystem.reader import BYTES_PER_BLOCK, OPEN, USUAL, read_at
from rubackup.client.modules.filesystem.streams import NETWORK, Streams

SMALL_BYTES: Final = 256 << 10
XATTR_BYTES: Final = 64 << 10


class Early(NamedTuple):
    """A regular file with one name, as it was read."""

    st: os.stat_result
    data: bytes
    xattrs: list[tuple[bytes, bytes]]


Take = Callable[[bytes], Early | None]
"""Given the names of the folder in order: what was read of that file, None when the copier has to read it."""


class EarlyReader:
    """Of one backup; one thread at a time uses it."""

    def __init__(self, streams: Streams | None = None, *, most: int = NETWORK, ahead_bytes: int = AHEAD_BYTES) -> None:
        """At `most` so many files are read at a time, whatever the disk."""
        self._streams = streams or Streams()
        self._most = most
        self._ahead = ReadAhead(_load, ahead_bytes=ahead_bytes)

    def streams(self, device: int) -> int:
        """How many files of this device are read at a time; 1: none is read early."""
        return min(self._streams.of(device), self._most)

    @contextmanager
    def reading(
        self, fd: int, device: int, names: Sequence[bytes], stats: Sequence[os.stat_result | OSError],
        unchanged: Callable[[bytes, os.stat_result], bool],
    ) -> Iterator[Take]:  # fmt: skip
        """Read the small files among these entries of the folder `fd`, but for those that are `unchanged`."""
        files: list[Listed] = [
            (name, st)
            for name, st in zip(names, stats, strict=True)
            if not isinstance(st, OSError) and _is_small(st) and not unchanged(name, st)
        ]
        following = iter(files)
        with closing(self._ahead.results(fd, files, self.streams(device))) as results:
            wanted = next(following, None)

            def take(name: bytes) -> Early | None:
                nonlocal wanted
                if wanted is None or wanted[0] != name:
                    return None
                found, wanted = next(results), next(following, None)
                return found if isinstance(found, Early) else None

            yield take

    def close(self) -> None:
        """End the threads."""
        self._ahead.close()


def _is_small(st: os.stat_result) -> bool:
    """A regular file with one name, in which nobody would look for holes."""
    return (
        stat.S_ISREG(st.st_mode)
        and st.st_nlink == 1
        and st.st_size <= SMALL_BYTES
        and (st.st_size <= USUAL[0] or st.st_size <= st.st_blocks * BYTES_PER_BLOCK)
    )


def _load(folder: int, name: bytes, _st: os.stat_result) -> Early | None:
    file = open_noatime(name, OPEN, folder)
    told: list[str] = []
    try:
        st = os.fstat(file)
        if not _is_small(st):
            return None
        data = read_at(file, st.st_size, 0)
        xattrs = read_xattrs(file, told.append)
        after = os.fstat(file)
    finally:
        os.close(file)
    still = (st.st_mtime_ns, st.st_ctime_ns, len(data)) == (after.st_mtime_ns, after.st_ctime_ns, after.st_size)
    if told or not still or len(data) != st.st_size or sum(len(a) + len(b) for a, b in xattrs) > XATTR_BYTES:
        return None
    return Early(st, data, xattrs)
