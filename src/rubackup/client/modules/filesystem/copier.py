"""Turns one entry of the live file system into an entry of the manifest, its contents into chunks.

A file that changes while it is read is read again, twice at most; then what was read is
kept and the log says so. What cannot be read is reported and left out. Nothing of this
ends the backup.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from rubackup.chunkstore.identity import HOLE, Buffer
from rubackup.chunkstore.manifest.format import MAX_PATH_BYTES, ROW
from rubackup.client.modules.filesystem.early import Early
from rubackup.client.modules.filesystem.folders import entry_path, open_noatime
from rubackup.client.modules.filesystem.metadata import GONE, read_xattrs
from rubackup.client.modules.filesystem.parent import Before, Parent
from rubackup.client.modules.filesystem.paths import join, reason
from rubackup.client.modules.filesystem.pieces import LATEST_NS, PieceBuilder, stat_record
from rubackup.client.modules.filesystem.reader import OPEN, FileReader
from rubackup.client.modules.filesystem.report import Report
from rubackup.domain.errors import Corrupt

ATTEMPTS = 3
XATTR_BYTES = 1 << 20
"""Extended attributes of one entry; a manifest takes entries of up to 2 MiB."""
ROWS_HELD = 8192
"""Rows of one file held back; a file with more (about 1 GiB) is not read again when it changes."""
HARD_LINKED_ROWS = 1 << 20
"""Rows kept of files with several names, so that each name has them; further files are read once a name."""

VANISHED = "vanished before it could be read; it is not in the copy"
NOT_WHOLE = "its contents in the earlier copy are not whole; it is read again"
PARTLY = "cannot be read to its end; the copy holds what was read before"
BEYOND = "its time is not within the years 1677 to 2262; the copy holds the nearest that is, and a restore sets that"
CHANGED = "changed while being read; the copy holds what was read"
_PACK = ROW.pack


class Contents:
    """The contents of a file as they were read."""

    __slots__ = ("early", "problem", "rows", "size")

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        """Those that were not written early, as they are stored."""
        self.early = 0
        """Number of those that were: then there is no second attempt."""
        self.size = 0
        self.problem: OSError | None = None
        """Why it could not be read to its end, after rows were written early."""


@dataclass
class _Linked:
    """The first name met of an inode that has several."""

    path: bytes
    record: bytes
    device: int
    target: bytes
    xattrs: list[tuple[bytes, bytes]]
    rows: list[bytes]
    remaining: int


class Copier:
    """Copies entries in the order of the manifest."""

    def __init__(
        self,
        *,
        add_chunk: Callable[[Buffer], bytes],
        reader: FileReader,
        report: Report,
    ) -> None:
        self._add_chunk = add_chunk
        self._pieces, self._small = reader.pieces, reader.small
        self._report = report
        self.parent: Parent | None = None
        self._linked: dict[tuple[int, int], _Linked] = {}
        self._linked_rows = 0

    def copy(
        self, fd: int, folder: bytes, name: bytes, st: os.stat_result, into: PieceBuilder, early: Early | None = None
    ) -> bool:
        """Add the manifest's entry for `name`; False when it could not be read, which is then reported.

        `early`: the file as it was read already.
        """
        if len(folder) + len(name) >= MAX_PATH_BYTES:
            self._report.failed(join(folder, name)[:200] + b"...", f"its path has more than {MAX_PATH_BYTES} bytes")
            return False
        if not -LATEST_NS <= st.st_mtime_ns <= LATEST_NS:
            self._report.warn(join(folder, name), BEYOND)
        kind = stat.S_IFMT(st.st_mode)
        try:
            if kind == stat.S_IFDIR:
                self._node(fd, folder, name, st, into)
                self._report.folders += 1
                return True
            if st.st_nlink > 1 and self._other_name(name, st, into):
                pass
            elif kind != stat.S_IFREG:
                self._node(fd, folder, name, st, into)
            elif self._unchanged(folder, name, st, into):
                pass
            elif early is not None:
                self._take_early(folder, name, early, into)
            elif not self._file(fd, folder, name, into):
                return False
        except OSError as error:
            self.lost(join(folder, name), error)
            return False
        self._report.files += 1
        return True

    def lost(self, path: bytes, error: OSError) -> None:
        """Report an entry that cannot be read."""
        if error.errno in GONE:
            self._report.warn(path, VANISHED)
        else:
            self._report.failed(path, f"cannot be read: {reason(error)}")

    def orphan(self, error: Corrupt) -> None:
        """Go on without the parent."""
        self.parent = None
        self._report.warn_once("parent", f"The earlier copy cannot be used any further: {error} Everything is read.")

    # --- several names ---

    def _other_name(self, name: bytes, st: os.stat_result, into: PieceBuilder) -> bool:
        """Add a further name of an inode that this copy has already, if it is one."""
        first = self._linked.get((st.st_dev, st.st_ino))
        if first is None:
            return False
        first.remaining -= 1
        if not first.remaining:
            del self._linked[st.st_dev, st.st_ino]
            self._linked_rows -= len(first.rows)
        into.add_with(
            name, first.record, first.device, first.rows, 0, first.target, first.xattrs, first.path
        )  # fmt: skip
        return True

    def _keep(self, st: os.stat_result, linked: _Linked) -> None:
        """Remember the first name of an inode; every name has rows of its own, so each can be restored alone."""
        if self._linked_rows + len(linked.rows) <= HARD_LINKED_ROWS:
            self._linked[st.st_dev, st.st_ino] = linked
            self._linked_rows += len(linked.rows)

    # --- entries ---

    def _node(self, fd: int, folder: bytes, name: bytes, st: os.stat_result, into: PieceBuilder) -> None:
        """A folder, symbolic link, fifo, socket or device: nothing is opened."""
        record = stat_record(st)
        before = self._before(name, record, st)
        if before is not None:
            target, xattrs = before.target, before.xattrs
        else:
            target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(st.st_mode) else b""
            xattrs = self._xattrs(entry_path(fd, name), folder, name)
        into.add_with(name, record, st.st_dev, [], 0, target, xattrs)
        if st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode):
            path = join(folder, name)
            self._keep(st, _Linked(path, record, st.st_dev, target, xattrs, [], st.st_nlink - 1))

    def _before(self, name: bytes, record: bytes, st: os.stat_result) -> Before | None:
        if self.parent is None:
            return None
        try:
            return self.parent.unchanged(name, record, st.st_dev)
        except Corrupt as error:
            self.orphan(error)
            return None

    def _take_early(self, folder: bytes, name: bytes, early: Early, into: PieceBuilder) -> None:
        found = Contents()
        for piece in self._small(early.data):
            found.rows.append(_PACK(self._add_chunk(piece), len(piece)))
        found.size = len(early.data)
        self._report.bytes_done += found.size
        self._add(folder, name, early.st, found, early.xattrs, into)

    def parent_has(self, name: bytes, st: os.stat_result) -> bool:
        """Whether `copy` will probably not read this file."""
        return self._before(name, stat_record(st), st) is not None

    def _file(self, fd: int, folder: bytes, name: bytes, into: PieceBuilder) -> bool:
        """Read a regular file; what is kept of it is added."""
        found: tuple[os.stat_result, Contents, list[tuple[bytes, bytes]]] | None = None
        for _ in range(ATTEMPTS):
            try:
                file = open_noatime(name, OPEN, fd)
            except OSError:
                if found is None:
                    raise
                break  # removed or replaced since the first attempt: what that read is kept, and said below
            try:
                before = os.fstat(file)
                if not stat.S_ISREG(before.st_mode):
                    if found is not None:
                        break
                    self._report.failed(join(folder, name), "was replaced by something that is not a file")
                    return False
                if found is not None:
                    self._report.bytes_done -= found[1].size
                contents = self._contents(file, before, into)
                found = before, contents, self._xattrs(file, folder, name)
                after = os.fstat(file)
            finally:
                os.close(file)
            if (
                after.st_mtime_ns == before.st_mtime_ns
                and after.st_ctime_ns == before.st_ctime_ns
                and contents.size == before.st_size == after.st_size
            ):
                self._add(folder, name, *found, into)
                return True
            if contents.early:
                break
        assert found is not None
        if found[1].problem:
            self._report.failed(join(folder, name), f"{PARTLY}: {reason(found[1].problem)}")
        else:
            self._report.warn(join(folder, name), CHANGED)
        self._add(folder, name, *found, into)
        return not found[1].problem

    def _add(
        self,
        folder: bytes,
        name: bytes,
        st: os.stat_result,
        contents: Contents,
        xattrs: list[tuple[bytes, bytes]],
        into: PieceBuilder,
    ) -> None:
        """Add a file with the rows of its contents."""
        record = stat_record(st) if contents.size == st.st_size else stat_record(st, contents.size)
        if xattrs:
            into.add_with(name, record, st.st_dev, contents.rows, contents.early, xattrs=xattrs)
        else:
            into.add(name, record, st.st_dev, contents.rows, contents.early)
        if st.st_nlink > 1 and not contents.early:
            path = join(folder, name)
            self._keep(st, _Linked(path, record, st.st_dev, b"", xattrs, contents.rows, st.st_nlink - 1))

    def _contents(self, file: int, st: os.stat_result, into: PieceBuilder) -> Contents:
        """Read a file and hand its chunks over; rows are written early where they are too many to hold."""
        found = Contents()
        add, report, rows = self._add_chunk, self._report, found.rows
        try:
            with closing(self._pieces(file, st)) as pieces:
                for piece in pieces:
                    if isinstance(piece, int):
                        length = piece
                        rows.append(_PACK(HOLE, length))
                    else:
                        length = len(piece)
                        rows.append(_PACK(add(piece), length))
                    found.size += length
                    report.bytes_done += length
                    if len(rows) >= ROWS_HELD:
                        self._write_early(found, into)
        except OSError as error:
            if not found.early:
                report.bytes_done -= found.size
                raise
            found.problem = error
        return found

    @staticmethod
    def _write_early(found: Contents, into: PieceBuilder) -> None:
        into.add_early(found.rows)
        found.early += len(found.rows)
        found.rows.clear()

    def _unchanged(self, folder: bytes, name: bytes, st: os.stat_result, into: PieceBuilder) -> bool:
        """Add a file with the parent's contents, if it is unchanged since."""
        if self.parent is None:
            return False
        taken = Contents()
        try:
            before = self.parent.unchanged(name, stat_record(st), st.st_dev)
            if before is None:
                return False
            # Looked through before any row is written: what is written cannot be taken back.
            if sum(length for rows in self.parent.rows(before) for _, length in rows) != st.st_size:
                self._report.warn(join(folder, name), NOT_WHOLE)
                return False
            taken.size = st.st_size
            for rows in self.parent.rows(before):
                taken.rows += [_PACK(*row) for row in rows]
                if len(taken.rows) >= ROWS_HELD:
                    self._write_early(taken, into)
        except Corrupt as error:
            if taken.early:
                raise
            self.orphan(error)
            return False
        self._add(folder, name, st, taken, before.xattrs, into)
        self._report.bytes_done += st.st_size
        return True

    def _xattrs(self, at: int | bytes, folder: bytes, name: bytes) -> list[tuple[bytes, bytes]]:
        found = read_xattrs(at, partial(self._xattr_problem, folder, name))
        while found and sum(len(key) + len(value) for key, value in found) > XATTR_BYTES:
            key, _ = found.pop(max(range(len(found)), key=lambda i: len(found[i][1])))
            why = f"extended attribute {key.decode(errors='replace')} is too large for a manifest"
            self._xattr_problem(folder, name, why)
        return found

    def _xattr_problem(self, folder: bytes, name: bytes, why: str) -> None:
        self._report.warn(join(folder, name), why)
