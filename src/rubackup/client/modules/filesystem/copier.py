"""Turns one entry of the live file system into an entry of the manifest, its contents into chunks.

A file that changes while it is read is read again, twice at most; then what was read is
kept and the log says so. What cannot be read is reported and left out. Nothing of this
ends the backup.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.chunkstore.manifest.format import MAX_PATH_BYTES
from rubackup.client.modules.filesystem.folders import entry_path, open_noatime
from rubackup.client.modules.filesystem.metadata import GONE, entry_type, make_entry, read_xattrs
from rubackup.client.modules.filesystem.parent import Parent
from rubackup.client.modules.filesystem.paths import join, reason
from rubackup.client.modules.filesystem.reader import OPEN, FileReader
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.rows import Row
from rubackup.domain.errors import Corrupt

ATTEMPTS = 3
XATTR_BYTES = 1 << 20
"""Extended attributes of one entry; a manifest takes entries of up to 2 MiB."""
ROWS_HELD = 8192
"""Rows of one file held back; a file with more (about 1 GiB) is not read again when it changes."""

VANISHED = "vanished before it could be read; it is not in the copy"
HARD_LINKED_ROWS = 1 << 20
"""Rows kept of files with several names, so that each name has them; further files are read once a name."""

NOT_WHOLE = "its contents in the earlier copy are not whole; it is read again"
PARTLY = "cannot be read to its end; the copy holds what was read before"
CHANGED = "changed while being read; the copy holds what was read"


@dataclass
class Contents:
    """The contents of a file as they were read."""

    rows: list[Row] = field(default_factory=list)
    """Those that were not written early."""
    first_row: int = -1
    """Of those that were."""
    written: int = 0
    size: int = 0
    problem: OSError | None = None
    """Why it could not be read to its end, after rows were written early."""

    @property
    def final(self) -> bool:
        """Whether rows were written early, so that there is no second attempt."""
        return self.first_row >= 0


@dataclass
class _Linked:
    """The first name met of an inode that has several."""

    path: bytes
    entry: Entry
    rows: list[Row]
    remaining: int


class Copier:
    """Copies entries in the order of the manifest."""

    def __init__(
        self,
        *,
        add_chunk: Callable[[bytes], bytes],
        add_rows: Callable[[Sequence[Row]], int],
        reader: FileReader,
        parent: Parent | None,
        report: Report,
    ) -> None:
        self._add_chunk = add_chunk
        self._add_rows = add_rows
        self._reader = reader
        self._parent = parent
        self._report = report
        self._linked: dict[tuple[int, int], _Linked] = {}
        self._linked_rows = 0
        self._rows: list[Row] = []
        """Of the entry that was made last, unless they are too many to keep."""

    def enter(self, folder: bytes) -> None:
        """The entries that follow are of this folder."""
        if self._parent:
            try:
                self._parent.enter(folder)
            except Corrupt as error:
                self._orphan(error)

    def copy(self, fd: int, folder: bytes, name: bytes, st: os.stat_result) -> Entry | None:
        """The manifest's entry for `name`; None when it could not be read, which is then reported."""
        path = join(folder, name)
        if len(path) > MAX_PATH_BYTES:
            self._report.failed(path[:200] + b"...", f"its path has more than {MAX_PATH_BYTES} bytes")
            return None
        kind = entry_type(st.st_mode)
        if kind is EntryType.FOLDER:
            self._report.folders += 1
            return make_entry(name, st, xattrs=self._xattrs(entry_path(fd, name), path))
        entry = self._other_name(name, st)
        if entry is None:
            self._rows = []
            try:
                entry = self._file(fd, path, name, st) if kind is EntryType.FILE else self._node(fd, path, name, st)
            except OSError as error:
                self._lost(path, error)
                return None
            if entry is None:
                return None
            if entry.links > 1:
                self._keep(path, entry, st)
        self._report.files += 1
        return entry

    def lost(self, path: bytes, error: OSError) -> None:
        """Report an entry that cannot be read."""
        self._lost(path, error)

    def _lost(self, path: bytes, error: OSError) -> None:
        if error.errno in GONE:
            self._report.warn(path, VANISHED)
        else:
            self._report.failed(path, f"cannot be read: {reason(error)}")

    def _other_name(self, name: bytes, st: os.stat_result) -> Entry | None:
        """The entry of a further name of an inode that this copy has already."""
        first = self._linked.get((st.st_dev, st.st_ino)) if st.st_nlink > 1 else None
        if first is None:
            return None
        first.remaining -= 1
        if not first.remaining:
            del self._linked[st.st_dev, st.st_ino]
            self._linked_rows -= len(first.rows)
        at = self._add_rows(first.rows)
        return msgspec.structs.replace(first.entry, name=name, hardlink=first.path, first_row=at)

    def _keep(self, path: bytes, entry: Entry, st: os.stat_result) -> None:
        """Remember the first name of an inode; every name has rows of its own, so each can be restored alone."""
        if len(self._rows) == entry.rows and self._linked_rows + entry.rows <= HARD_LINKED_ROWS:
            self._linked[st.st_dev, st.st_ino] = _Linked(path, entry, self._rows, entry.links - 1)
            self._linked_rows += entry.rows

    def _node(self, fd: int, path: bytes, name: bytes, st: os.stat_result) -> Entry:
        """A symbolic link, fifo, socket or device: nothing is opened."""
        target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(st.st_mode) else b""
        return make_entry(name, st, target=target, xattrs=self._xattrs(entry_path(fd, name), path))

    def _file(self, fd: int, path: bytes, name: bytes, st: os.stat_result) -> Entry | None:
        taken = self._take_over(make_entry(name, st, xattrs=[]), path)
        if taken is not None:
            self._report.bytes_done += taken.size
            return taken
        entry: Entry | None = None
        contents = Contents()
        for _ in range(ATTEMPTS):
            try:
                file = open_noatime(name, OPEN, fd)
            except OSError:
                if entry is None:
                    raise
                break  # removed or replaced since the first attempt: what that read is kept, and said below
            try:
                before = os.fstat(file)
                if not stat.S_ISREG(before.st_mode):
                    if entry is not None:
                        break
                    self._report.failed(path, "was replaced by something that is not a file")
                    return None
                self._report.bytes_done -= contents.size
                contents = self._contents(file, before)
                entry = make_entry(name, before, size=contents.size, xattrs=self._xattrs(file, path))
                unchanged = _stamp(before) == _stamp(os.fstat(file)) and contents.size == before.st_size
            finally:
                os.close(file)
            if unchanged:
                return self._with_rows(entry, contents)
            if contents.final:
                break
        assert entry is not None
        if contents.problem:
            self._report.failed(path, f"{PARTLY}: {reason(contents.problem)}")
        else:
            self._report.warn(path, CHANGED)
        return self._with_rows(entry, contents)

    def _contents(self, file: int, st: os.stat_result) -> Contents:
        """Read a file and hand its chunks over; rows are written early where they are too many to hold."""
        found = Contents()
        try:
            for piece in self._reader.pieces(file, st):
                length = piece if isinstance(piece, int) else len(piece)
                found.rows.append((HOLE if isinstance(piece, int) else self._add_chunk(piece), length))
                found.size += length
                self._report.bytes_done += length
                if len(found.rows) >= ROWS_HELD:
                    self._write_early(found)
        except OSError as error:
            if not found.final:
                self._report.bytes_done -= found.size
                raise
            found.problem = error
        return found

    def _write_early(self, found: Contents) -> None:
        first = self._add_rows(found.rows)
        if not found.final:
            found.first_row = first
        found.written += len(found.rows)
        found.rows = []

    def _with_rows(self, entry: Entry, found: Contents) -> Entry:
        """The entry with the rows of its contents, which are written with it."""
        count = found.written + len(found.rows)
        first = self._add_rows(found.rows)
        self._rows = found.rows
        return msgspec.structs.replace(entry, first_row=found.first_row if found.final else first, rows=count)

    def _take_over(self, now: Entry, path: bytes) -> Entry | None:
        """The entry with the parent's contents if the file is unchanged since."""
        if self._parent is None:
            return None
        taken = Contents()
        try:
            before = self._parent.unchanged(now)
            if before is None:
                return None
            # Looked through before any row is written: what is written cannot be taken back.
            size = sum(length for rows in self._parent.rows(before) for _, length in rows)
            if size != now.size:
                self._report.warn(path, NOT_WHOLE)
                return None
            taken.size = size
            for rows in self._parent.rows(before):
                taken.rows += rows
                if len(taken.rows) >= ROWS_HELD:
                    self._write_early(taken)
        except Corrupt as error:
            if taken.final:
                raise
            self._orphan(error)
            return None
        return self._with_rows(msgspec.structs.replace(now, xattrs=before.xattrs), taken)

    def _orphan(self, error: Corrupt) -> None:
        self._parent = None
        self._report.warn_once("parent", f"The earlier copy cannot be used any further: {error} Everything is read.")

    def _xattrs(self, at: int | bytes, path: bytes) -> list[tuple[bytes, bytes]]:
        found = read_xattrs(at, lambda why: self._report.warn(path, why))
        while sum(len(name) + len(value) for name, value in found) > XATTR_BYTES:
            name, _ = found.pop(max(range(len(found)), key=lambda i: len(found[i][1])))
            self._report.warn(path, f"extended attribute {name.decode(errors='replace')} is too large for a manifest")
        return found


def _stamp(st: os.stat_result) -> tuple[int, int, int]:
    return st.st_size, st.st_mtime_ns, st.st_ctime_ns
