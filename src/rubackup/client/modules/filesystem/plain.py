"""Plain files: what nearly all of a tree is, planned by the run and without an object for each.

A plain file is a regular one with a single name, without extended attributes, whose mode a new file can have as it
is made, of one owner, and whose contents fit into a slice. Whatever is odd goes the long way, entry by entry.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry
from rubackup.chunkstore.manifest.runs import RunView, columns
from rubackup.client.modules.filesystem.apply import Applier
from rubackup.client.modules.filesystem.batch import SLICE_ITEMS, Owner
from rubackup.client.modules.filesystem.rows import Row

PLAIN_BITS: Final = 0o777
MOST_BYTES: Final = 2 << 20
MOST_ROWS: Final = 64
"""Of a plain file."""


class Sorted(NamedTuple):
    """A run, sorted into plain files and others."""

    stretches: list[tuple[int, int]]
    """Positions of plain files, from and to."""
    others: list[Entry]
    owner: Owner
    """Whose the plain files become."""


def sort_run(run: RunView, applier: Applier, mode_bits: int) -> Sorted:
    """Which entries of a run are plain; no mode with a bit outside of `mode_bits` is. Corrupt when the run is damaged."""
    modes, links, uids, gids, sizes, _ = columns(run.stats)
    counts, extras = run.row_counts(), run.extras()
    kinds = list(zip(modes, links, uids, gids, strict=True))
    fit = {kind for kind in set(kinds) if kind[1] == 1 and kind[0] & ~mode_bits == stat.S_IFREG}
    uid, gid = next((kind[2:] for kind in kinds if kind in fit), (0, 0))
    fit = {kind for kind in fit if kind[2:] == (uid, gid)}
    odd = {
        at
        for at, (kind, size, rows) in enumerate(zip(kinds, sizes, counts, strict=True))
        if kind not in fit or size > MOST_BYTES or rows > MOST_ROWS
    }
    odd.update(at for at in (*extras.xattrs, *extras.hardlinks) if 0 <= at < run.count)
    others = sorted(odd)
    bounds = pairwise((-1, *others, run.count))
    owner = applier.owner_of(extras.users.get(uid, ""), extras.groups.get(gid, ""), uid, gid)
    return Sorted([(left + 1, right) for left, right in bounds if left + 1 < right], run.pick(others), owner)


class Cut(NamedTuple):
    """The begin of a stretch that goes into one slice."""

    files: int
    rows: int
    size_bytes: int


def cut(counts: Sequence[int], rows: Sequence[Row], room_files: int, room_bytes: int) -> Cut:
    """As many files as there is room for, and at least one; none when that is too large, or its rows are not all here.

    `counts` are the files' numbers of rows.
    """
    files = taken = total = 0
    for count in counts[: min(max(room_files, 1), SLICE_ITEMS)]:
        end = taken + count
        if end > len(rows):
            break
        size = rows[taken][1] if count == 1 else sum([length for name, length in rows[taken:end] if name != HOLE])
        if size > MOST_BYTES or (files and total + size > room_bytes):
            break
        files += 1
        taken, total = end, total + size
    return Cut(files, taken, total)
