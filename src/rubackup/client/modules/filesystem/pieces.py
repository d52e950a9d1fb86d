"""Gathers the entries of a folder for the manifest, packed as they are stored, with their rows."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence

from rubackup.chunkstore.manifest.format import ROW
from rubackup.chunkstore.manifest.runs import STAT, STAT_FIELDS, Extras, Piece, owners
from rubackup.client.modules.filesystem.metadata import owner_names
from rubackup.client.modules.filesystem.takeover import Output

EXTRAS_HELD = 1 << 20
ROWS_HELD = 16_384

_PACK = STAT.pack
_SIZE, _MTIME = 5, 6
LATEST_NS = 2**63 - 1
"""The last time that a manifest can tell, in ns of Unix time: in the year 2262."""


def stat_record(st: os.stat_result, size: int | None = None) -> bytes:
    """The stat record of an entry; `size` is what was read where that differs.

    Times after 2262, which XFS and others can have, become the last that fits; `Copier` warns of them.
    """
    try:
        fields = STAT_FIELDS(st)
        if size is None:
            return _PACK(*fields)
        return _PACK(*fields[:_SIZE], size, *fields[_MTIME:])
    except struct.error:
        mode, uid, gid, links, inode, told, mtime, ctime, rdev = STAT_FIELDS(st)
        times = (max(-LATEST_NS, min(mtime, LATEST_NS)), max(-LATEST_NS, min(ctime, LATEST_NS)))
        return _PACK(mode, uid, gid, min(links, 2**32 - 1), inode, told if size is None else size, *times, rdev)


class PieceBuilder:
    """Entries of one folder, ascending; with many rows or long extras they go to the manifest early."""

    def __init__(self, output: Output, path: bytes, device: int, *, numeric_owner: bool) -> None:
        self._output = output
        self._path = path
        self._device = device
        self._numeric_owner = numeric_owner
        self.wrote = False
        """Whether anything of the folder went to the manifest."""
        self._begin()

    def _begin(self) -> None:
        self._names: list[bytes] = []
        self._stats: list[bytes] = []
        self._counts: list[int] = []
        self._rows: list[bytes] = []
        self._row_count = 0
        self._extras = Extras({}, {}, {}, {}, {}, {})
        self._extras_bytes = 0

    def add(self, name: bytes, record: bytes, device: int, rows: list[bytes], early: int = 0) -> None:
        """Add an entry with its rows, each as it is stored, behind those that `add_early` was given of it."""
        if device != self._device:
            self._extras.devices[len(self._names)] = device
        self._names.append(name)
        self._stats.append(record)
        self._counts.append(len(rows) + early)
        self._rows += rows
        self._row_count += len(rows)
        if self._row_count >= ROWS_HELD:
            self.flush()

    def add_many(
        self, names: Sequence[bytes], stats: bytes, counts: Sequence[int], rows: bytes, extras: Extras | None
    ) -> None:
        """Add entries on the folder's device with their stat records and rows as they are stored.

        Of `extras` targets and extended attributes count, by position among these entries.
        """
        if extras is not None:
            shifted = extras.shifted(len(self._names))
            self._extras.targets.update(shifted.targets)
            self._extras.xattrs.update(shifted.xattrs)
            self._extras_bytes += sum(extras.sizes().values())
        self._names += names
        self._stats.append(stats)
        self._counts += counts
        if rows:
            self._rows.append(rows)
            self._row_count += len(rows) // ROW.size
        if self._row_count >= ROWS_HELD or self._extras_bytes >= EXTRAS_HELD:
            self.flush()

    def add_with(
        self,
        name: bytes,
        record: bytes,
        device: int,
        rows: list[bytes],
        early: int = 0,
        target: bytes = b"",
        xattrs: Iterable[tuple[bytes, bytes]] = (),
        hardlink: bytes = b"",
    ) -> None:
        """As `add`, with what few entries have."""
        at = len(self._names)
        if target:
            self._extras.targets[at] = target
        if pairs := list(xattrs):
            self._extras.xattrs[at] = pairs
        if hardlink:
            self._extras.hardlinks[at] = hardlink
        self._extras_bytes += len(target) + len(hardlink) + sum(len(key) + len(value) for key, value in pairs)
        self.add(name, record, device, rows, early)
        if self._extras_bytes >= EXTRAS_HELD:
            self.flush()

    def add_early(self, rows: list[bytes]) -> None:
        """Rows of a file so large that they are not held until it is added; it must be, next."""
        self.flush()
        self._output.add_rows(b"".join(rows))

    def flush(self) -> None:
        """What was gathered goes to the manifest."""
        if not self._names:
            return
        packed, extras = b"".join(self._stats), self._extras
        if not self._numeric_owner:
            extras.users, extras.groups = owner_names(*map(frozenset, owners(packed)))
        if self._rows:
            self._output.add_rows(b"".join(self._rows))
        self._output.add_piece(self._path, Piece(self._names, packed, self._counts, self._device, extras))
        self.wrote = True
        self._begin()
