"""Writes slices of a restore: what one thread does, with descriptors of its own.

Each chunk is hashed again before it is written. In a folder that the restore has made a file
is made under its name at once (`O_EXCL`: nothing is ever replaced so); in any other one under a
temporary name. What cannot be done here, because a chunk did not come or something stands
in the place after all, is handed back in the slice.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import Final

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.client.modules.filesystem.apply import Applier
from rubackup.client.modules.filesystem.batch import Chunks, Home, Item, Part, Slice
from rubackup.client.modules.filesystem.paths import join, reason
from rubackup.client.modules.filesystem.rows import Row
from rubackup.client.modules.filesystem.target import UNFIT, WHY_UNFIT, WRITE, Identity, Target, remove_own
from rubackup.domain.errors import Corrupt

BUFFERS: Final = 512
"""Chunks of one write; the kernel takes at most 1,024 (writev(2), IOV_MAX)."""
PLAIN_BITS: Final = 0o777

Segment = tuple[int, list[memoryview]]
"""An offset, and what is written there."""


class MissingChunk(Exception):
    """A chunk did not come: its group may be damaged, or one before it in the same answer."""


def gather(rows: Sequence[Row], chunks: Chunks, offset: int = 0) -> tuple[list[Segment], int]:
    """What to write where, neighbours together, and the offset behind it; MissingChunk, or Corrupt for a false one."""
    segments: list[Segment] = []
    goes_on = False
    for name, length in rows:
        if name == HOLE:
            goes_on = False
        else:
            chunk = chunks.get(name)
            if chunk is None:
                raise MissingChunk(f"chunk {name.hex()} is missing")
            if len(chunk) != length or chunks.identify(chunk) != name:
                raise Corrupt(
                    f"its contents in the copy are damaged: "
                    f"Chunk {name.hex()} does not have the content that its id names."
                )
            if goes_on and len(segments[-1][1]) < BUFFERS:
                segments[-1][1].append(chunk)
            else:
                segments.append((offset, [chunk]))
            goes_on = True
        offset += length
    return segments, offset


def write_segments(fd: int, segments: list[Segment]) -> None:
    """Write all of it."""
    for offset, views in segments:
        written = os.pwritev(fd, views, offset)
        if written != sum(map(len, views)):
            _write_rest(fd, offset, views, written)


def _write_rest(fd: int, offset: int, views: list[memoryview], written: int) -> None:
    """The kernel took less than it was given: a disk that is nearly full, or a signal."""
    at = offset + written
    for view in views:
        skipped = min(written, len(view))
        written -= skipped
        rest = view[skipped:]
        while rest:
            count = os.pwrite(fd, rest, at)
            at += count
            rest = rest[count:]


class SliceWriter:
    """Writes slices one after another; a thread has its own."""

    def __init__(self, target: Target, applier: Applier, umask: int, is_ending: Callable[[], bool]) -> None:
        """Modes with bits in `umask` cannot be given to a file as it is made."""
        self._target = target
        self._syncer = target.syncer
        self._applier = applier
        self._later = ~PLAIN_BITS | umask
        self._is_ending = is_ending
        self._now_ns = 0

    def write(self, work: Slice, chunks: Chunks) -> None:
        """Write the slice and note in it what came of each entry."""
        self._now_ns = time.time_ns()
        for home, items in work.runs:
            if self._is_ending():
                return
            self._run(work, home, items, chunks)
        for part in work.parts:
            if not self._is_ending():
                self._part(part, chunks)

    def _run(self, work: Slice, home: Home, items: list[Item], chunks: Chunks) -> None:
        try:
            fd, is_own = home.fd, True
            if fd < 0:
                fd = self._target.open(home.path)
                is_own = home.identity is not None and _identity(os.fstat(fd)) == home.identity
        except OSError as error:
            work.failed += [(home, entry, reason(error)) for entry, _ in items]
            return
        for entry, rows in items:
            self._item(work, home, fd if is_own else -1, entry, rows, chunks)

    def _item(self, work: Slice, home: Home, own: int, entry: Entry, rows: Sequence[Row], chunks: Chunks) -> None:
        """One entry; `own` is the descriptor of a folder that the restore has made, -1 for any other."""
        identity: Identity | None
        try:
            if entry.type != EntryType.FILE:
                identity, problems = self._target.make_node(join(home.path, entry.name), entry, is_free=own >= 0)
            elif own >= 0:
                identity, problems = self._new_file(own, home, entry, rows, chunks)
            else:
                identity, problems = replace_file(self._target, home, entry, rows, chunks)
        except (MissingChunk, FileExistsError):
            work.again.append((home, entry))
        except Corrupt as error:
            work.failed.append((home, entry, error.message))
        except OSError as error:
            work.failed.append((home, entry, reason(error)))
        except UNFIT:
            work.failed.append((home, entry, WHY_UNFIT))
        else:
            work.bytes_done += entry.size
            if problems:
                work.incomplete.append((home, entry, problems))
            else:
                work.files += 1
            if identity is not None and (entry.links > 1 or entry.hardlink):
                work.made.append((join(home.path, entry.name), identity))

    def _new_file(
        self, folder: int, home: Home, entry: Entry, rows: Sequence[Row], chunks: Chunks
    ) -> tuple[Identity | None, list[str]]:
        """A file where none is. FileExistsError when there is one."""
        segments, size = gather(rows, chunks)
        check_size(entry, size)
        owner = home.owner
        is_plain = (
            home.mode_kept and not entry.mode & self._later and not entry.xattrs and owner == self._applier.owner(entry)
        )
        fd = os.open(entry.name, WRITE, entry.mode if is_plain else 0o600, dir_fd=folder)
        try:
            write_segments(fd, segments)
            if rows and rows[-1][0] == HOLE:
                os.ftruncate(fd, size)
            identity: Identity | None = None
            problems: list[str] = []
            if owner is None or entry.links > 1 or entry.hardlink:
                st = os.fstat(fd)
                identity = _identity(st)
                if owner is None:
                    owner = st.st_uid, st.st_gid
                    home.mode_kept = not home.inherits and stat.S_IMODE(st.st_mode) == 0o600
                    home.owner = owner
            if is_plain:
                os.utime(fd, ns=(self._now_ns, entry.mtime_ns))
            else:
                problems = self._applier.apply_new(fd, entry, owner, inherits=home.inherits)
            if self._syncer.is_few:
                self._syncer.wrote(fd, size)
        except BaseException:
            remove_own(folder, entry.name, fd)
            raise
        finally:
            os.close(fd)
        return identity, problems

    def _part(self, part: Part, chunks: Chunks) -> None:
        try:
            write_part(part, chunks)
        except MissingChunk:
            part.is_missing = True


def write_part(part: Part, chunks: Chunks) -> None:
    """Write a part of a large file; what hinders it becomes the file's `problem`, but for MissingChunk."""
    making = part.making
    if making.problem or making.file is None:
        return
    try:
        write_segments(making.file.fd, gather(part.rows, chunks, part.offset)[0])
    except Corrupt as error:
        making.problem = error.message
    except OSError as error:
        making.problem = reason(error)


def replace_file(
    target: Target, home: Home, entry: Entry, rows: Sequence[Row], chunks: Chunks
) -> tuple[Identity, list[str]]:
    """A file in the place of what may stand there."""
    segments, size = gather(rows, chunks)
    check_size(entry, size)
    file = target.create(join(home.path, entry.name))
    try:
        write_segments(file.fd, segments)
        if rows and rows[-1][0] == HOLE:
            os.ftruncate(file.fd, size)
        return target.publish(file, entry)
    except BaseException:
        target.discard(file)
        raise


def check_size(entry: Entry, size_bytes: int) -> None:
    """Corrupt when the rows of a file do not give its size."""
    if size_bytes != entry.size:
        raise Corrupt(f"its contents in the copy have {size_bytes} bytes in place of {entry.size}")


def _identity(st: os.stat_result) -> Identity:
    return st.st_dev, st.st_ino
