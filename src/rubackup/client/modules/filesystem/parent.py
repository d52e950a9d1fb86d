"""The copy that an incremental backup builds on, read beside the walk in the same order.

What counts as unchanged: type, size, mtime, ctime (both to the nanosecond) and inode are
equal, and the device is the same one. Device numbers may be dealt anew by a reboot, so
they are compared up to renaming: the first match ties the old number to the new one, and
from then on the pair must hold in both directions.

Never trusted are entries whose mtime or ctime lies less than two seconds before the start
of the parent's backup, or after it: they may have been written again within the same tick
of the clock after they were read (FAT counts in 2 s). They are read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rubackup.chunkstore.manifest import Entry, ManifestReader, Summary
from rubackup.client.modules.filesystem.paths import order
from rubackup.client.modules.filesystem.rows import Row, Rows

MARGIN_NS = 2_000_000_000

_END = b"\xff" * 4


class Parent:
    """A cursor over the parent's manifest; folders and names must be asked for in the order of the walk."""

    def __init__(self, reader: ManifestReader) -> None:
        self._rows = Rows(reader)
        self._blocks = reader.folders()
        self._order = b""
        self._entries: Sequence[Entry] = ()
        self._at = 0
        self._folder = b""
        self._started = False
        self._devices: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._trusted_before_ns = reader.header.created_ns - MARGIN_NS
        self.summary: Summary = reader.summary

    def enter(self, folder: bytes) -> None:
        """Go on to a folder that comes later in the walk."""
        self._folder = order(folder)
        while not self._started or self._order < self._folder:
            self._next_block()

    def unchanged(self, now: Entry) -> Entry | None:
        """The parent's entry of that name if it is unchanged; names must ascend within the folder."""
        before = self._find(now.name)
        if before is None or not self._same(before, now):
            return None
        return before

    def rows(self, entry: Entry) -> Iterator[Sequence[Row]]:
        """The chunk rows of an entry of the parent."""
        return self._rows.read(entry.first_row, entry.rows)

    def _find(self, name: bytes) -> Entry | None:
        while self._order == self._folder:
            entries = self._entries
            while self._at < len(entries) and entries[self._at].name < name:
                self._at += 1
            if self._at < len(entries):
                found = entries[self._at]
                return found if found.name == name else None
            self._next_block()
        return None

    def _same(self, before: Entry, now: Entry) -> bool:
        if (
            before.inode != now.inode
            or before.ctime_ns != now.ctime_ns
            or before.mtime_ns != now.mtime_ns
            or before.size != now.size
            or before.type != now.type
            or before.ctime_ns >= self._trusted_before_ns
            or before.mtime_ns >= self._trusted_before_ns
        ):
            return False
        to_new, to_old = self._devices
        return (
            to_new.setdefault(before.device, now.device) == now.device
            and to_old.setdefault(now.device, before.device) == before.device
        )

    def _next_block(self) -> None:
        self._started = True
        self._at = 0
        block = next(self._blocks, None)
        if block is None:
            self._order, self._entries = _END, ()
        else:
            self._order, self._entries = order(block[0]), block[1]
