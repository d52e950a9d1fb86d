"""Cuts what a restore has planned into batches, has them written, and settles what came of them.

A batch holds at most 8 MiB of contents; a larger file spans several. Batches are settled in
the manifest's order, so a folder's metadata, queued behind its entries, is set when they
are there. Used by one thread; others fetch and write what it has queued.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from rubackup.chunkstore.identity import HOLE, MAX_CHUNK_BYTES
from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.chunkstore.manifest.runs import RunView
from rubackup.client.memory import MemoryGuard
from rubackup.client.modules.filesystem.apply import Applier, process_umask
from rubackup.client.modules.filesystem.batch import (
    SLICE_BYTES,
    SLICE_ITEMS,
    Batch,
    Chunks,
    Home,
    Making,
    Part,
    PlainFiles,
    Slice,
)
from rubackup.client.modules.filesystem.fetch import Fetcher
from rubackup.client.modules.filesystem.fill import Alike, SliceWriter, check_size
from rubackup.client.modules.filesystem.paths import join
from rubackup.client.modules.filesystem.pipeline import Pipeline
from rubackup.client.modules.filesystem.plain import PLAIN_BITS, cut, sort_run
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.rows import Row, Rows
from rubackup.client.modules.filesystem.single import Single
from rubackup.client.modules.filesystem.target import Target
from rubackup.domain.errors import Corrupt

BATCH_BYTES: Final = 16 << 20
LEAST_BATCH_BYTES: Final = 1 << 20
"""Where memory is short."""
BATCH_STEPS = 4096
BATCH_ROWS: Final = 16_384
"""Rows of a batch: what is asked for at once stays well below what a media server answers."""
PART_BYTES: Final = 2 << 20
AHEAD_BYTES: Final = 48 << 20
BATCHES_AHEAD: Final = 6
"""So much, and so many batches, are fetched or wait to be written at most."""


class Writer:
    """Queues, and settles in order."""

    def __init__(
        self,
        target: Target,
        make_target: Callable[[], Target],
        applier: Applier,
        fetcher: Fetcher,
        rows: Rows,
        report: Report,
        guard: MemoryGuard,
        *,
        workers: int,
        waiting: int,
        started: Callable[[], None],
        may_write: Callable[[Home, Entry], bool],
    ) -> None:
        """`started` is called before the first chunk is fetched; `make_target` by each of the `workers` and the `waiting` ones.

        `may_write` judges what stands in the place of an entry that was queued as if nothing did.
        """
        self._syncer = target.syncer
        self._fetcher = fetcher
        self._applier = applier
        umask = process_umask()
        self._plain_bits = PLAIN_BITS & ~umask
        self._rows = rows
        self._report = report
        self._guard = guard
        self._started = started
        self._may_write = may_write
        self._standing_for: dict[bytes, bytes] = {}
        self._single = Single(target, fetcher, rows, report)
        self._batch = Batch()
        self._batch_bytes = BATCH_BYTES
        self._flight: deque[Batch] = deque()
        self._threads = _Threads(make_target, applier, umask)
        self._pipeline = Pipeline(fetcher, workers, self._threads.write, waiting=waiting)
        self._threads.is_ending = lambda: self._pipeline.is_ending

    # --- planning ---

    def restore(self, home: Home, entry: Entry) -> None:
        """Make the entry in its folder what the copy holds."""
        if entry.links > 1 or entry.hardlink:
            path = join(home.path, entry.name)
            first = self._first_name(path, entry)
            if first != path:
                self.then(partial(self._single.link, first, home, entry))
                return
        if entry.type == EntryType.FILE and entry.rows:
            self._queue_file(home, entry)
        else:
            self._queue(home, entry, (), 0)

    def restore_run(self, home: Home, run: RunView, names: list[bytes]) -> list[Entry]:
        """Have the plain files of a run made, in a folder that this restore has made; the other entries.

        `names` are the run's, known to be safe.
        """
        found = sort_run(run, self._applier, self._plain_bits)
        counts, starts = run.row_counts(), run.starts()
        for start, end in found.stretches:
            begin = start
            while begin < end:
                begin += self._queue_plain(
                    PlainFiles(home, run, begin, names[begin:end], (), found.owner), counts[begin:end], starts[begin]
                )
        return found.others

    def _queue_plain(self, files: PlainFiles, counts: Sequence[int], first: int) -> int:
        """Queue some of these files, whose rows begin at number `first`; how many, at least one."""
        batch = self._batch
        work = batch.open_slice()
        try:
            rows = self._rows.at_once(first, sum(counts))
        except Corrupt:
            rows = ()
        taken, count, size = cut(counts, rows, SLICE_ITEMS - work.items, SLICE_BYTES - work.size_bytes)
        if not taken:  # what is wrong with the first is told of it alone
            self.restore(files.home, files.run.pick([files.begin])[0])
            return 1
        files.names, files.rows = files.names[:taken], rows[:count]
        batch.items += taken
        if count:
            batch.want(first, files.rows, size)
        work.add_plain(files, size)
        self._flush_full()
        return taken

    def keep(self, path: bytes, entry: Entry, st: os.stat_result, *, same: bool) -> None:
        """What stands at `path` stays; if it is the `same`, further names of its inode may be linked to it."""
        if self._first_name(path, entry) == path and same:
            self._single.remember(path, entry, (st.st_dev, st.st_ino))
        self._report.files += 1
        if not entry.hardlink:
            self._report.bytes_done += entry.size

    def is_other_name(self, path: bytes, entry: Entry) -> bool:
        """Whether `path` is to be a link to a name that was planned before."""
        return bool(entry.hardlink) and self._standing_for.get(entry.hardlink, path) != path

    def then(self, step: Callable[[], None]) -> None:
        """Carry `step` out when everything queued before is written."""
        self._batch.after.append(step)
        if len(self._batch.after) >= BATCH_STEPS:
            self.flush()

    def _first_name(self, path: bytes, entry: Entry) -> bytes:
        """The name that this restore makes first of the entry's inode: the copy's first one may not be chosen."""
        if entry.links <= 1 and not entry.hardlink:
            return path
        return self._standing_for.setdefault(entry.hardlink or path, path)

    def _queue(self, home: Home, entry: Entry, rows: Sequence[Row], size_bytes: int) -> None:
        batch = self._batch
        batch.items += 1
        if rows:
            batch.want(entry.first_row, rows, size_bytes)
        batch.open_slice().add(home, entry, rows, size_bytes)
        self._flush_full()

    def _flush_full(self) -> None:
        batch = self._batch
        if batch.size_bytes >= self._batch_bytes or batch.items >= BATCH_STEPS or batch.row_count >= BATCH_ROWS:
            self.flush()

    def _queue_file(self, home: Home, entry: Entry) -> None:
        try:
            rows = self._rows.at_once(entry.first_row, entry.rows)
            size = sum([length for name, length in rows if name != HOLE])
            is_all = len(rows) == entry.rows
            if is_all and (size <= PART_BYTES or self._batch.size_bytes + size <= self._batch_bytes):
                self._queue(home, entry, rows, size)
            else:
                # Blocks are taken at once for a file that can be no larger than what the rows may hold.
                is_dense = is_all and size == entry.size <= entry.rows * MAX_CHUNK_BYTES
                making = self._single.begin(home, entry, is_dense=is_dense)
                if making is not None:
                    self._queue_large(making)
        except Corrupt as error:
            self._report.failed(join(home.path, entry.name), f"cannot be restored: {error.message}")

    def _queue_large(self, making: Making) -> None:
        """Queue the rows of a file in parts that several threads, and several batches, may take."""
        entry = making.entry
        first, offset = entry.first_row, 0
        try:
            for rows in self._rows.read(entry.first_row, entry.rows):
                begin = wanted = size = 0
                for end, (name, length) in enumerate(rows, 1):
                    wanted += 0 if name == HOLE else length
                    size += length
                    if end == len(rows) or wanted >= min(PART_BYTES, self._batch_bytes):
                        self._queue_part(Part(making, first + begin, offset, rows[begin:end], size), wanted)
                        offset += size
                        begin, wanted, size = end, 0, 0
                first += len(rows)
                if making.problem:
                    break
            else:
                check_size(entry.size, offset)
        except Corrupt as error:
            making.problem = making.problem or error.message
        self.then(partial(self._single.publish, making))

    def _queue_part(self, part: Part, wanted_bytes: int) -> None:
        batch = self._batch
        batch.want(part.first, part.rows, wanted_bytes)
        work = batch.open_slice()
        work.parts.append(part)
        work.size_bytes += wanted_bytes
        if batch.size_bytes >= self._batch_bytes or batch.row_count >= BATCH_ROWS:
            self.flush()

    # --- having it done ---

    def flush(self) -> None:
        """Start what is queued, when there is room for it."""
        batch, self._batch = self._batch, Batch()
        if batch.rows:
            self._started()
        self._guard.check()
        while self._flight and not self._fits(batch.size_bytes):
            self._settle_oldest()
        self._flight.append(batch)
        self._pipeline.start(batch)

    def finish(self) -> None:
        """Return when all that was queued is settled."""
        self.flush()
        while self._flight:
            self._settle_oldest()

    def close(self) -> None:
        """End the threads and remove files that were not finished."""
        self._pipeline.close()
        self._threads.close()
        self._single.close()

    def _fits(self, size_bytes: int) -> bool:
        """Whether another batch may be fetched before the oldest is settled; where memory is short, none may."""
        # Beside its contents a batch takes the groups as they came, and those of which only a part is needed.
        room = self._guard.room(AHEAD_BYTES + size_bytes)
        is_room = room > 2 * size_bytes
        if not is_room:
            self._fetcher.cache.limit_bytes = 0
        self._batch_bytes = min(BATCH_BYTES, max(LEAST_BATCH_BYTES, room // 4))
        ahead = sum(batch.size_bytes for batch in self._flight)
        return len(self._flight) < BATCHES_AHEAD and ahead + size_bytes <= AHEAD_BYTES and is_room

    def _settle_oldest(self) -> None:
        batch = self._flight[0]
        self._pipeline.finish(batch, self._report.tick)
        self._flight.popleft()
        for work in batch.slices:
            self._settle(work)
        for step in batch.after:
            step()
        self._report.tick()

    def _settle(self, work: Slice) -> None:
        report = self._report
        report.files += work.files
        report.bytes_done += work.bytes_done
        self._syncer.went_on(work.files, work.bytes_done)
        self._single.restored.update(work.made)
        for home, entry, why in work.failed:
            report.failed(join(home.path, entry.name), f"cannot be restored: {why}")
        for home, entry, problems in work.incomplete:
            self._single.count(home, entry, problems)
        for home, entry in work.again:
            if self._may_write(home, entry):
                self._single.entry(home, entry)
        for part in work.parts:
            if part.is_missing:
                self._single.part(part)
            if not part.making.problem:
                report.bytes_done += part.size_bytes
                part.making.counted_bytes += part.size_bytes
                if part.making.file is not None and not part.making.file.is_direct:
                    self._syncer.went_on(0, part.size_bytes)


class _Threads:
    """A SliceWriter for each thread that asks for one."""

    def __init__(self, make_target: Callable[[], Target], applier: Applier, umask: int) -> None:
        self._make_target = make_target
        self._applier = applier
        self._umask = umask
        self._alike: Alike = {}
        self._local = threading.local()
        self._targets: list[Target] = []
        self.is_ending: Callable[[], bool] = lambda: False

    def write(self, work: Slice, chunks: Chunks) -> None:
        """Write a slice in the calling thread."""
        writer: SliceWriter | None = getattr(self._local, "writer", None)
        if writer is None:
            target = self._make_target()
            self._targets.append(target)
            writer = self._local.writer = SliceWriter(target, self._applier, self._umask, self.is_ending, self._alike)
        writer.write(work, chunks)

    def close(self) -> None:
        """Close what the threads had open; they have ended."""
        while self._targets:
            self._targets.pop().close()
