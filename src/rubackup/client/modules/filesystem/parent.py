"""The copy that an incremental backup builds on, read beside the walk in the same order.

What counts as unchanged: type, mode, owner, links, size, mtime, ctime (both to the nanosecond) and inode are
equal, and the device is the same one. Device numbers may be dealt anew by a reboot, so
they are compared up to renaming: the first match ties the old number to the new one, and
from then on the pair must hold in both directions.

Never trusted are entries whose mtime or ctime lies less than MARGIN_NS before the start of the
parent's backup, or after it. They may have been written again within the same tick of the clock after
they were read (FAT counts in 2 s), or through a mapping: a page that is dirty already takes a further
write without a new mtime, until the kernel has written it back. They are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rubackup.chunkstore.manifest import ManifestReader, Summary
from rubackup.chunkstore.manifest.format import ROW, SegmentRow
from rubackup.chunkstore.manifest.runs import STAT, Extras, RunView, words
from rubackup.client.modules.filesystem.paths import order
from rubackup.client.modules.filesystem.rows import AHEAD, Row, Rows
from rubackup.domain.errors import Corrupt


def _margin_ns(vm: Path = Path("/proc/sys/vm")) -> int:
    """Until when a page that was dirty is written back, as the kernel is set, and some seconds; 40 s as it comes.

    See dirty_expire_centisecs and dirty_writeback_centisecs, Documentation/admin-guide/sysctl/vm.rst of the kernel.
    """
    centiseconds = 0
    for name, usual in (("dirty_expire_centisecs", 3000), ("dirty_writeback_centisecs", 500)):
        try:
            centiseconds += int((vm / name).read_text())
        except (OSError, ValueError):
            centiseconds += usual
    return centiseconds * 10_000_000 + 5_000_000_000


MARGIN_NS = _margin_ns()
NEAR = 2048
"""Rows read at once where few are asked for."""

_MTIME, _CTIME = 6, 7


@dataclass
class Spot:
    """A run of the parent, and where it stands in its segment."""

    run: RunView
    at: int
    number: int
    """Of the segment."""
    segment: SegmentRow
    runs: list[RunView]
    """All of the segment."""

    @property
    def is_last(self) -> bool:
        """Whether the segment ends with it."""
        return self.at + 1 == len(self.runs)


Known = tuple[RunView, dict[bytes, int], Extras, list[int]]


class Before(NamedTuple):
    """What the parent has of an unchanged entry."""

    target: bytes
    xattrs: list[tuple[bytes, bytes]]
    first_row: int
    rows: int


class Parent:
    """A cursor over the parent's manifest; folders must be asked for in the order of the walk."""

    def __init__(self, reader: ManifestReader) -> None:
        self._reader = reader
        self._rows = Rows(reader)
        self._spots = self._all_spots()
        self._spot: Spot | None = None
        self._following: Spot | None = None
        self._folder = b""
        self._started = False
        self._known: tuple[RunView, dict[bytes, int], Extras, list[int]] | None = None
        self._devices: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._agreed: set[tuple[int, int]] = set()
        self._window: tuple[int, bytes] = (0, b"")
        self.trusted_before_ns = reader.header.created_ns - MARGIN_NS
        self.summary: Summary = reader.summary

    def _all_spots(self) -> Iterator[Spot]:
        for number, segment, runs in self._reader.runs():
            for at, run in enumerate(runs):
                yield Spot(run, at, number, segment, runs)

    # --- where it is ---

    def enter(self, folder: bytes) -> None:
        """Go on to a folder that comes later in the walk."""
        self._folder = folder
        if not self._started:
            self._started = True
            self._spot, self._following = next(self._spots, None), next(self._spots, None)
        wanted = order(folder)
        while self._spot is not None and self._spot.run.path != folder and order(self._spot.run.path) < wanted:
            self._step()

    def _step(self) -> None:
        self._spot, self._following = self._following, next(self._spots, None)

    @property
    def spot(self) -> Spot | None:
        """The run that the next names of the folder may be in."""
        spot = self._spot
        return spot if spot is not None and spot.run.path == self._folder else None

    @property
    def bound(self) -> bytes | None:
        """The first name behind it that is in another run of the same folder."""
        after = self._following
        if after is None or after.run.path != self._folder:
            return None
        return after.run.names_raw.partition(b"\0")[0]

    def leave(self) -> None:
        """Go on to the run behind `spot`."""
        self._step()

    # --- what is unchanged ---

    def is_old(self, run: RunView) -> bool:
        """Whether nothing in a run is too fresh to be trusted."""
        return run.newest_ns < self.trusted_before_ns

    def same_devices(self, pairs: Iterable[tuple[int, int]]) -> bool:
        """Whether these pairs of device numbers, before and now, can hold; then they do from now on."""
        pairs = set(pairs)
        if pairs <= self._agreed:
            return True
        to_new, to_old = self._devices
        news, olds = dict(pairs), {now: before for before, now in pairs}
        if len(news) < len(pairs) or len(olds) < len(pairs):
            return False
        if any(to_new.get(before, now) != now or to_old.get(now, before) != before for before, now in pairs):
            return False
        to_new.update(news)
        to_old.update(olds)
        self._agreed |= pairs
        return True

    @property
    def known(self) -> Known | None:
        """The run at `spot`, positions of its names, its extras, and the number of the first row of each entry."""
        spot = self.spot
        if spot is None:
            return None
        run = spot.run
        if self._known is None or self._known[0] is not run:
            self._known = run, {name: at for at, name in enumerate(run.names())}, run.extras(), run.starts()
        return self._known

    def unchanged(self, name: bytes, record: bytes, device: int) -> Before | None:
        """What the parent has of an entry of the run at `spot`, if it has the same stat record and can be trusted."""
        known = self.known
        if known is None:
            return None
        run, places, extras, starts = known
        at = places.get(name)
        if at is None or run.stats[at * STAT.size : (at + 1) * STAT.size].tobytes() != record:
            return None
        fields = STAT.unpack(record)
        if max(fields[_MTIME], fields[_CTIME]) >= self.trusted_before_ns:
            return None
        if not self.same_devices([(extras.devices.get(at, run.device), device)]):
            return None
        first = starts[at]
        return Before(extras.targets.get(at, b""), extras.xattrs.get(at, []), first, starts[at + 1] - first)

    # --- rows ---

    def rows(self, before: Before) -> Iterator[Sequence[Row]]:
        """The chunk rows of an entry of the parent."""
        return self._rows.read(before.first_row, before.rows)

    def is_whole(self, run: RunView) -> bool:
        """Whether the rows of a run give the sizes of its files."""
        if not run.rows:
            return not run.size
        return sum(sum(words(rows)[8::9]) for rows in self.raw_rows(run)) == run.size

    def raw_rows(self, run: RunView) -> Iterator[bytes]:
        """The chunk rows of a run, as they are stored, in windows."""
        for first in range(run.first_row, run.first_row + run.rows, AHEAD):
            count = min(AHEAD, run.first_row + run.rows - first)
            yield self.some_rows(first, count)

    def some_rows(self, first: int, count: int) -> bytes:
        """A few rows, as they are stored; those behind them are read ahead."""
        begin, data = self._window
        skip = (first - begin) * ROW.size
        if skip < 0 or skip + count * ROW.size > len(data):
            ahead = max(count, min(NEAR, self._reader.row_count - first))
            try:
                data, skip = self._reader.raw_rows(first, ahead), 0
            except Corrupt:  # what lies behind may be damaged, and never be needed
                data, skip = self._reader.raw_rows(first, count), 0
            self._window = first, data
        return data[skip : skip + count * ROW.size]
