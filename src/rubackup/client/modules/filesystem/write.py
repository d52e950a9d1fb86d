"""Writes what a restore has planned: in order, in batches whose chunks are fetched together.

A batch holds at most 16 MiB of contents; a larger file spans several. Its order is the
manifest's, so a folder's metadata, queued behind its entries, is set when they are there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.client.modules.filesystem.fetch import Fetcher, NumberedRows
from rubackup.client.modules.filesystem.paths import reason
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.rows import Row, Rows
from rubackup.client.modules.filesystem.target import Identity, NewFile, Target
from rubackup.domain.errors import Corrupt

BATCH_BYTES = 16 << 20
BATCH_STEPS = 2048
BATCH_ROWS = 16_384
"""Rows of a batch: what is asked for at once stays well below what a media server answers."""

Chunks = dict[bytes, bytes]


@dataclass
class _Making:
    """A file on its way; lives as long as parts of it are queued."""

    path: bytes
    entry: Entry
    file: NewFile | None = None
    failed: bool = False


@dataclass
class _Part:
    """The next rows of a file."""

    making: _Making
    first: int
    rows: Sequence[Row]
    last: bool


class Writer:
    """Queues and carries out."""

    def __init__(
        self, target: Target, fetcher: Fetcher, rows: Rows, report: Report, started: Callable[[], None]
    ) -> None:
        """`started` is called before the first chunk is fetched."""
        self._target = target
        self._fetcher = fetcher
        self._rows = rows
        self._report = report
        self._started = started
        self._steps: list[_Part | Callable[[], None]] = []
        self._bytes = 0
        self._row_count = 0
        self._open: _Making | None = None
        self._standing_for: dict[bytes, bytes] = {}
        self._restored: dict[bytes, Identity] = {}

    # --- planning ---

    def restore(self, path: bytes, entry: Entry) -> None:
        """Make `path` what the entry says."""
        first = self._first_name(path, entry)
        if first != path:
            self.then(lambda: self._link(first, path, entry))
        elif entry.type == EntryType.FILE:
            self._queue_file(path, entry)
        else:
            self.then(lambda: self._node(path, entry))

    def keep(self, path: bytes, entry: Entry, st: os.stat_result, *, same: bool) -> None:
        """What stands at `path` stays; if it is the `same`, further names of its inode may be linked to it."""
        if self._first_name(path, entry) == path and same:
            self._remember(path, entry, (st.st_dev, st.st_ino))
        self._done(entry)

    def is_other_name(self, path: bytes, entry: Entry) -> bool:
        """Whether `path` is to be a link to a name that was planned before."""
        return bool(entry.hardlink) and self._standing_for.get(entry.hardlink, path) != path

    def then(self, step: Callable[[], None]) -> None:
        """Carry `step` out after everything queued before."""
        self._steps.append(step)
        if len(self._steps) >= BATCH_STEPS:
            self.flush()

    def _first_name(self, path: bytes, entry: Entry) -> bytes:
        """The name that this restore makes first of the entry's inode: the copy's first one may not be chosen."""
        if entry.links <= 1 and not entry.hardlink:
            return path
        return self._standing_for.setdefault(entry.hardlink or path, path)

    def _queue_file(self, path: bytes, entry: Entry) -> None:
        making = _Making(path, entry)
        first, left = entry.first_row, entry.rows
        try:
            for rows in self._rows.read(first, left):
                self._queue_rows(making, first, rows, last=left == len(rows))
                first += len(rows)
                left -= len(rows)
        except Corrupt as error:
            why = str(error)
            self.then(lambda: self._fail(making, why))
            return
        if not entry.rows:
            self._queue(_Part(making, 0, (), last=True), 0)

    def _queue_rows(self, making: _Making, first: int, rows: Sequence[Row], *, last: bool) -> None:
        """Queue rows as parts that fit the batches."""
        begin = size = 0
        for end, (name, length) in enumerate(rows, 1):
            size += 0 if name == HOLE else length
            if end == len(rows):
                self._queue(_Part(making, first + begin, rows[begin:end], last=last), size)
            elif self._bytes + size >= BATCH_BYTES:
                self._queue(_Part(making, first + begin, rows[begin:end], last=False), size)
                begin, size = end, 0

    def _queue(self, part: _Part, size: int) -> None:
        self._steps.append(part)
        self._bytes += size
        self._row_count += len(part.rows)
        if self._bytes >= BATCH_BYTES or len(self._steps) >= BATCH_STEPS or self._row_count >= BATCH_ROWS:
            self.flush()

    # --- carrying out ---

    def flush(self) -> None:
        """Carry out what is queued."""
        steps, self._steps, self._bytes, self._row_count = self._steps, [], 0, 0
        parts: list[NumberedRows] = [
            (step.first, step.rows) for step in steps if isinstance(step, _Part) and not step.making.failed
        ]
        chunks = self._fetch(parts)
        problem = self._fetcher.problem
        for step in steps:
            self._report.tick()
            if isinstance(step, _Part):
                self._write(step, chunks, problem)
            else:
                step()

    def close(self) -> None:
        """Remove a file that was not finished."""
        if self._open is not None and self._open.file is not None:
            self._target.discard(self._open.file)
            self._open = None

    def _fetch(self, parts: list[NumberedRows]) -> Chunks:
        if parts:
            self._started()
        return self._fetcher.fetch(parts)

    def _write(self, part: _Part, chunks: Chunks, problem: str) -> None:
        making = part.making
        if making.failed:
            return
        try:
            if problem and any(name not in chunks and name != HOLE for name, _ in part.rows):
                # The damage may belong to another file of the batch: ask for this one alone.
                chunks = self._fetch([(part.first, part.rows)])
                problem = self._fetcher.problem
            if making.file is None:
                self._open = making
                making.file = self._target.create(making.path)
            self._fill(making.file, part.rows, chunks, problem)
            if part.last:
                self._publish(making, making.file)
        except Corrupt as error:
            self._fail(making, str(error))
        except OSError as error:
            self._fail(making, reason(error))

    def _fill(self, file: NewFile, rows: Sequence[Row], chunks: Chunks, problem: str) -> None:
        for name, length in rows:
            if name == HOLE:
                file.skip(length)
            else:
                chunk = chunks.get(name)
                if chunk is None or len(chunk) != length:
                    raise Corrupt(
                        f"its contents in the copy are damaged: {problem or f'chunk {name.hex()} is missing'}"
                    )
                file.write(chunk)
            self._report.bytes_done += length

    def _publish(self, making: _Making, file: NewFile) -> None:
        if file.offset != making.entry.size:
            raise Corrupt(f"its contents in the copy have {file.offset} bytes in place of {making.entry.size}")
        file.end()
        identity, problems = self._target.publish(file, making.entry)
        self._open = None
        self._remember(making.path, making.entry, identity)
        self._count(making.path, problems)

    def _fail(self, making: _Making, why: str) -> None:
        making.failed = True
        if making.file is not None:
            self._report.bytes_done -= making.file.offset
            self._target.discard(making.file)
        self._open = None
        self._report.failed(making.path, f"cannot be restored: {why}")

    def _node(self, path: bytes, entry: Entry) -> None:
        try:
            identity, problems = self._target.make_node(path, entry)
        except OSError as error:
            self._report.failed(path, f"cannot be restored: {reason(error)}")
            return
        self._remember(path, entry, identity)
        self._count(path, problems)

    def _link(self, first: bytes, path: bytes, entry: Entry) -> None:
        identity = self._restored.get(first)
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
        self._alone(path, entry)

    def _alone(self, path: bytes, entry: Entry) -> None:
        """Restore an entry by itself, now."""
        if entry.type != EntryType.FILE:
            self._node(path, entry)
            return
        making = _Making(path, entry)
        first, left = entry.first_row, entry.rows
        try:
            for rows in self._rows.read(first, left):
                for begin in range(0, len(rows), 32):
                    slice_ = rows[begin : begin + 32]
                    chunks = self._fetch([(first + begin, slice_)])
                    self._write(
                        _Part(making, first + begin, slice_, last=begin + 32 >= left), chunks, self._fetcher.problem
                    )
                first += len(rows)
                left -= len(rows)
        except Corrupt as error:
            self._fail(making, str(error))
        if not entry.rows:
            self._write(_Part(making, 0, (), last=True), {}, "")

    def _remember(self, path: bytes, entry: Entry, identity: Identity) -> None:
        if entry.links > 1 or entry.hardlink:
            self._restored[path] = identity

    def _count(self, path: bytes, problems: list[str]) -> None:
        if problems:
            self._report.failed(path, "was restored, but not its " + "; ".join(problems))
        else:
            self._report.files += 1

    def _done(self, entry: Entry) -> None:
        self._report.files += 1
        if not entry.hardlink:
            self._report.bytes_done += entry.size
