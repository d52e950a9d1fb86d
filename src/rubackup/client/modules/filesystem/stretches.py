"""Entries that stand as in the parent although others of their folder do not: taken over side by side, not one by one.

What may be taken over is what `Parent.unchanged` says of single entries. Folders, further names of an inode and what
lies on another device are left to it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from rubackup.chunkstore.manifest.runs import STAT, words
from rubackup.client.modules.filesystem.parent import Parent
from rubackup.client.modules.filesystem.pieces import PieceBuilder, stat_record

MOST_ROWS = 8192
"""Rows of the entries that are taken over at once."""


class Stretch(NamedTuple):
    """Entries that follow one another, now and in the run of the parent."""

    entries: int
    at: int
    """Position of the first in the run."""
    size: int
    """Sum of the sizes of regular files."""


def find(parent: Parent, names: Sequence[bytes], stats: Sequence[os.stat_result], device: int) -> dict[int, Stretch]:
    """Stretches among these entries of the parent's folder, by the position of their first; Corrupt as the parent may be."""
    known = parent.known
    if known is None:
        return {}
    run, places, extras, starts = known
    old, width = run.stats.tobytes(), STAT.size
    trusted = None if parent.is_old(run) else parent.trusted_before_ns
    odd = extras.hardlinks.keys() | extras.devices.keys()
    found: dict[int, Stretch] = {}
    begin, first, size = 0, -1, 0
    last = -1  # position in the run of the entry before, when that is part of a stretch
    for here, (name, st) in enumerate(zip(names, stats, strict=True)):
        at = places.get(name, -1)
        mode = st.st_mode
        if (
            at < 0
            or st.st_nlink != 1
            or st.st_dev != device
            or stat.S_ISDIR(mode)
            or stat_record(st) != old[at * width : (at + 1) * width]
            or (trusted is not None and max(st.st_mtime_ns, st.st_ctime_ns) >= trusted)
            or at in odd
            or starts[at + 1] - starts[at] > MOST_ROWS
        ):
            last = -1
            continue
        if last < 0 or at != last + 1 or starts[at + 1] - starts[first] > MOST_ROWS:
            begin, first, size = here, at, 0
        last = at
        if stat.S_ISREG(mode):
            size += st.st_size
        found[begin] = Stretch(here + 1 - begin, first, size)
    return found if found and parent.same_devices([(run.device, device)]) else {}


def take(parent: Parent, names: Sequence[bytes], stretch: Stretch, into: PieceBuilder) -> bool:
    """Add the entries of a stretch, of these names; False when the parent's rows are not as long as the files."""
    known = parent.known
    assert known is not None
    run, _, extras, starts = known
    at, end = stretch.at, stretch.at + stretch.entries
    rows = parent.some_rows(starts[at], starts[end] - starts[at])
    if sum(words(rows)[8::9]) != stretch.size:
        return False
    few = extras.part(at, end) if extras.targets or extras.xattrs else None
    stats = run.stats[at * STAT.size : end * STAT.size].tobytes()
    into.add_many(names, stats, run.row_counts()[at:end], rows, few)
    return True
