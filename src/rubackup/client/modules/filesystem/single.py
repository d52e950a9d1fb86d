"""What the thread of the task makes itself: the begin and the end of large files, further names, entries by themselves.

An entry is restored by itself when a chunk did not come with its batch, since the damage may be that of
another file, and when something stands in its place after all.
"""

from __future__ import annotations

import os
from typing import Final

from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.client.modules.filesystem.batch import Home, Making, Part
from rubackup.client.modules.filesystem.direct import try_direct
from rubackup.client.modules.filesystem.fetch import Fetcher
from rubackup.client.modules.filesystem.fill import MissingChunk, check_size, write_part
from rubackup.client.modules.filesystem.paths import join, reason
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.rows import Rows
from rubackup.client.modules.filesystem.target import UNFIT, WHY_UNFIT, Identity, NewFile, Target
from rubackup.domain.errors import Corrupt

ROWS_AT_ONCE: Final = 32


class Single:
    """Makes entries one after another."""

    def __init__(self, target: Target, fetcher: Fetcher, rows: Rows, report: Report) -> None:
        self._target = target
        self._fetcher = fetcher
        self._rows = rows
        self._report = report
        self._large: list[Making] = []
        self.restored: dict[bytes, Identity] = {}
        """What was made of files with further names."""

    def close(self) -> None:
        """Remove files that were not finished."""
        for making in self._large:
            if making.file is not None:
                self._target.discard(making.file)
        self._large.clear()

    def begin(self, home: Home, entry: Entry, *, is_dense: bool) -> Making | None:
        """A file whose parts are written one by one; None, and told, when it cannot be made.

        `is_dense`: it has no holes.
        """
        making = Making(home, entry)
        path = join(home.path, entry.name)
        try:
            making.file = self._target.create(path)
            making.file.direct = try_direct(making.file.fd, entry.size, is_dense=is_dense)
        except OSError as error:
            if making.file is not None:
                self._target.discard(making.file)
            self._report.failed(path, f"cannot be restored: {reason(error)}")
            return None
        self._large.append(making)
        return making

    def publish(self, making: Making) -> None:
        """The last step of a large file."""
        self._large.remove(making)
        path = join(making.home.path, making.entry.name)
        file = making.file
        assert file is not None
        try:
            if not making.problem:
                self._end(file, making.home, making.entry)
                return
        except OSError as error:
            making.problem = reason(error)
        except UNFIT:
            making.problem = WHY_UNFIT
        self._target.discard(file)
        self._report.bytes_done -= making.counted_bytes
        self._report.failed(path, f"cannot be restored: {making.problem}")

    def _end(self, file: NewFile, home: Home, entry: Entry) -> None:
        if file.direct is not None:
            file.direct.finish()
        os.ftruncate(file.fd, entry.size)  # a hole at the end was not written
        identity, problems = self._target.publish(file, entry)
        self.remember(file.path, entry, identity)
        self.count(home, entry, problems)

    def part(self, part: Part) -> None:
        """Write a part whose chunks did not come with its batch: the damage may be that of another file."""
        chunks, problem = self._fetcher.fetch([(part.first, part.rows)])
        try:
            write_part(part, chunks, self._target.staging)
        except MissingChunk as error:
            part.making.problem = f"its contents in the copy are damaged: {problem or error}"

    def entry(self, home: Home, entry: Entry) -> None:
        """Restore an entry by itself, now, whatever stands in its place."""
        path = join(home.path, entry.name)
        if entry.type != EntryType.FILE:
            try:
                identity, problems = self._target.make_node(path, entry, is_free=False)
            except OSError as error:
                self._report.failed(path, f"cannot be restored: {reason(error)}")
            except UNFIT:
                self._report.failed(path, f"cannot be restored: {WHY_UNFIT}")
            else:
                self.remember(path, entry, identity)
                self.count(home, entry, problems)
            return
        making = self.begin(home, entry, is_dense=False)
        if making is None:
            return
        first, offset = entry.first_row, 0
        try:
            for rows in self._rows.read(entry.first_row, entry.rows):
                for begin in range(0, len(rows), ROWS_AT_ONCE):
                    some = rows[begin : begin + ROWS_AT_ONCE]
                    size = sum(length for _, length in some)
                    if not making.problem:
                        self.part(Part(making, first + begin, offset, some, size))
                        self._report.bytes_done += size
                        making.counted_bytes += size
                    self._report.tick()
                    offset += size
                first += len(rows)
            check_size(entry.size, offset)
        except Corrupt as error:
            making.problem = making.problem or error.message
        self.publish(making)

    def link(self, first: bytes, home: Home, entry: Entry) -> None:
        """Make the entry another name of `first`; a file of its own when that cannot be."""
        path = join(home.path, entry.name)
        identity = self.restored.get(first)
        why = "that file could not be restored"
        if identity is not None:
            try:
                if self._target.link(first, path, identity):
                    self._report.files += 1
                    return
                why = "that file was replaced meanwhile"
            except OSError as error:
                why = reason(error)
        self._report.warn(path, f"is restored as a file of its own, not as another name of the same file: {why}")
        self.entry(home, entry)

    def remember(self, path: bytes, entry: Entry, identity: Identity) -> None:
        """Further names of a file that has them may be linked to this one."""
        if entry.links > 1 or entry.hardlink:
            self.restored[path] = identity

    def count(self, home: Home, entry: Entry, problems: list[str]) -> None:
        """An entry was made; `problems`: what of it could not be set."""
        if problems:
            path = join(home.path, entry.name)
            self._report.failed(path, "was restored, but not its " + "; ".join(problems))
        else:
            self._report.files += 1
