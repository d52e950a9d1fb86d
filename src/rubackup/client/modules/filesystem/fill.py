"""Writes slices of a restore: what one thread does, with descriptors of its own.

Each chunk is hashed again before it is written. In a folder that the restore has made a file
is made under its name at once (`O_EXCL`: nothing is ever replaced so); in any other one under a
temporary name. Plain files are made in one tight loop; one that does not come off there leaves
nothing and goes the long way, which says why. What cannot be done here, because a chunk did not come or something stands
in the place after all, is handed back in the slice.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from itertools import accumulate, islice
from typing import Final

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.chunkstore.manifest.runs import STAT, columns
from rubackup.client.modules.filesystem.apply import Applier
from rubackup.client.modules.filesystem.batch import Chunks, Home, Item, Kind, Owner, Part, PlainFiles, Slice
from rubackup.client.modules.filesystem.direct import Staging, try_direct
from rubackup.client.modules.filesystem.paths import join, reason
from rubackup.client.modules.filesystem.plain import PLAIN_BITS
from rubackup.client.modules.filesystem.rows import Row
from rubackup.client.modules.filesystem.segments import BUFFERS, Segment, write_rest, write_segments
from rubackup.client.modules.filesystem.target import UNFIT, WHY_UNFIT, WRITE, Identity, Target, remove_own
from rubackup.domain.errors import Corrupt

Alike = dict[Kind, tuple[Owner, bool]]
"""Owner of new files in folders of a kind, and whether they keep the mode that they are made with."""
_NONE: Final[list[Segment]] = []


class MissingChunk(Exception):
    """A chunk did not come: its group may be damaged, or one before it in the same answer."""


_FAILURES: Final = (OSError, MissingChunk, Corrupt, *UNFIT)
"""What may hinder one file and no other."""


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


def _whole(rows: Sequence[Row], chunks: Chunks, size_bytes: int) -> list[Segment]:
    """What to write of a file of this size; MissingChunk or Corrupt where it cannot be had."""
    segments, size = gather(rows, chunks)
    check_size(size_bytes, size)
    return segments


class SliceWriter:
    """Writes slices one after another; a thread has its own."""

    def __init__(
        self, target: Target, applier: Applier, umask: int, is_ending: Callable[[], bool], alike: Alike
    ) -> None:
        """Modes with bits in `umask` cannot be given to a file as it is made; `alike` is shared by all threads."""
        self._alike = alike
        self._target = target
        self._syncer = target.syncer
        self._applier = applier
        self._later = ~PLAIN_BITS | umask
        self._is_ending = is_ending
        self._now_ns = 0

    def write(self, work: Slice, chunks: Chunks) -> None:
        """Write the slice and note in it what came of each entry."""
        self._now_ns = time.time_ns()
        for files in work.plain:
            if self._is_ending():
                return
            self._plain(work, files, chunks)
        for home, items in work.runs:
            if self._is_ending():
                return
            self._run(work, home, items, chunks)
        for part in work.parts:
            if not self._is_ending():
                self._part(part, chunks)

    def _run(self, work: Slice, home: Home, items: list[Item], chunks: Chunks) -> None:
        try:
            own = self._folder(home)
        except OSError as error:
            work.failed += [(home, entry, reason(error)) for entry, _ in items]
            return
        for entry, rows in items:
            self._item(work, home, own, entry, rows, chunks)

    def _folder(self, home: Home) -> int:
        """The descriptor of a folder that the restore has made, -1 for any other."""
        if home.fd >= 0:
            return home.fd
        fd = self._target.open(home.path)
        return fd if home.identity is not None and _identity(os.fstat(fd)) == home.identity else -1

    # --- plain files ---

    def _plain(self, work: Slice, files: PlainFiles, chunks: Chunks) -> None:
        home = files.home
        try:
            own = self._folder(home)
        except OSError as error:
            work.failed += [(home, entry, reason(error)) for entry, _ in files.items()]
            return
        left: Sequence[int] = range(len(files.names))
        if home.owner is None and home.kind in self._alike:
            home.owner, home.mode_kept = self._alike[home.kind]
        if own >= 0 and home.owner is None:  # the first one tells what new files get here
            self._item(work, home, own, *files.items()[0], chunks)
            left = left[1:]
        is_given = files.owner != home.owner
        if own >= 0 and home.mode_kept and (not is_given or self._applier.is_root):
            left = self._fast(work, own, files, left[0] if left else len(files.names), chunks, is_given=is_given)
        if left:
            items = files.items()
            for number in left:
                self._item(work, home, own, *items[number], chunks)

    def _fast(
        self, work: Slice, folder: int, files: PlainFiles, begin: int, chunks: Chunks, *, is_given: bool
    ) -> list[int]:
        """Make the files from number `begin` on; numbers of those that were not made, and have left nothing.

        `is_given`: new files are not `files.owner`'s here.
        """
        rows, get, identify = files.rows, chunks.get, chunks.identify
        modes, _, _, _, sizes, mtimes = columns(files.run.stats[files.begin * STAT.size : files.end * STAT.size])
        counts = files.counts
        firsts = accumulate(counts, initial=0)
        owner = files.owner if is_given else None
        make = self._make_plain
        left: list[int] = []
        done_bytes = 0
        each = zip(files.names, modes, sizes, mtimes, counts, firsts, strict=False)  # one first is behind the last
        for number, (name, mode, size, mtime, count, at) in islice(enumerate(each), begin, None):
            try:
                chunk, segments = None, _NONE
                if count == 1:
                    wanted, length = rows[at]
                    chunk = get(wanted)
                    if chunk is None or length != size or len(chunk) != size or identify(chunk) != wanted:
                        left.append(number)
                        continue
                elif count or size:
                    segments = _whole(rows[at : at + count], chunks, size)
                make(folder, name, mode & PLAIN_BITS, mtime, size, chunk, segments, owner)
            except _FAILURES:
                left.append(number)
            else:
                done_bytes += size
        work.files += len(files.names) - begin - len(left)
        work.bytes_done += done_bytes
        return left

    def _make_plain(
        self, folder: int, name: bytes, mode: int, mtime_ns: int, size_bytes: int,
        chunk: memoryview | None, segments: list[Segment], owner: Owner | None,
    ) -> None:  # fmt: skip
        """Make a file of one chunk or of segments, for `owner` if it is not his anyway; nothing is left where that fails."""
        fd = os.open(name, WRITE, mode if owner is None else 0o600, dir_fd=folder)
        try:
            if chunk is not None:
                if (written := os.write(fd, chunk)) != size_bytes:
                    write_rest(fd, 0, [chunk], written)
            elif size_bytes:
                write_segments(fd, segments)
                os.ftruncate(fd, size_bytes)  # a hole at the end was not written
            if owner is not None:
                os.fchown(fd, *owner)
                os.fchmod(fd, mode)
            os.utime(fd, ns=(self._now_ns, mtime_ns))
            if self._syncer.is_few:
                self._syncer.wrote(fd, size_bytes)
        except BaseException:
            remove_own(folder, name, fd)
            raise
        finally:
            os.close(fd)

    # --- entry by entry ---

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
        size = entry.size
        segments = _whole(rows, chunks, size)
        owner = home.owner
        is_plain = (
            home.mode_kept and not entry.mode & self._later and not entry.xattrs and owner == self._applier.owner(entry)
        )
        fd = os.open(entry.name, WRITE, entry.mode if is_plain else 0o600, dir_fd=folder)
        try:
            write_new(fd, segments, size, self._target.staging)
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
                    if home.kind is not None:
                        self._alike[home.kind] = owner, home.mode_kept
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
            write_part(part, chunks, self._target.staging)
        except MissingChunk:
            part.is_missing = True


def write_new(fd: int, segments: list[Segment], size_bytes: int, staging: Staging) -> None:
    """Write the contents of an empty file of this size."""
    is_dense = len(segments) == 1 and sum(map(len, segments[0][1])) == size_bytes
    direct = try_direct(fd, size_bytes, is_dense=is_dense)
    if direct is None:
        write_segments(fd, segments)
    else:
        direct.write(segments, staging)
        direct.finish()


def write_part(part: Part, chunks: Chunks, staging: Staging) -> None:
    """Write a part of a large file; what hinders it becomes the file's `problem`, but for MissingChunk."""
    making = part.making
    if making.problem or making.file is None:
        return
    try:
        segments, _ = gather(part.rows, chunks, part.offset)
        if making.file.direct is None:
            write_segments(making.file.fd, segments)
        else:
            making.file.direct.write(segments, staging)
    except Corrupt as error:
        making.problem = error.message
    except OSError as error:
        making.problem = reason(error)


def replace_file(
    target: Target, home: Home, entry: Entry, rows: Sequence[Row], chunks: Chunks
) -> tuple[Identity, list[str]]:
    """A file in the place of what may stand there."""
    segments = _whole(rows, chunks, entry.size)
    file = target.create(join(home.path, entry.name))
    try:
        write_new(file.fd, segments, entry.size, target.staging)
        if rows and rows[-1][0] == HOLE:
            os.ftruncate(file.fd, entry.size)
        return target.publish(file, entry)
    except BaseException:
        target.discard(file)
        raise


def check_size(wanted_bytes: int, size_bytes: int) -> None:
    """Corrupt when the rows of a file do not give its size."""
    if size_bytes != wanted_bytes:
        raise Corrupt(f"its contents in the copy have {size_bytes} bytes in place of {wanted_bytes}")


def _identity(st: os.stat_result) -> Identity:
    return st.st_dev, st.st_ino
