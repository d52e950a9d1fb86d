"""What a restore has planned, cut into slices that threads write at the same time.

A batch is fetched as one; its slices may be written in any order. What must wait for them,
further names of a file and the metadata of folders, stands in `after` and is done in order
when this batch and all before it are written. Nothing here touches the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from rubackup.chunkstore.identity import Buffer, chunk_id
from rubackup.chunkstore.manifest import Entry
from rubackup.chunkstore.manifest.runs import RunView
from rubackup.client.modules.filesystem.rows import Row
from rubackup.client.modules.filesystem.target import Identity, NewFile

SLICE_BYTES: Final = 4 << 20
SLICE_ITEMS: Final = 256
"""A slice ends with whichever comes first: long enough to be worth a hand-over, short enough for several threads."""

Identify = Callable[[Buffer], bytes]
"""The id that a chunk of this content has."""
NumberedRows = tuple[int, Sequence[Row]]
"""Number of the first row, and the rows."""
Item = tuple[Entry, Sequence[Row]]
Kind = tuple[int, int, int, int]
"""What decides on owner and mode of a new file: the folder's device, owner, group and mode, where no ACL is inherited."""
Owner = tuple[int, int]


class Chunks(dict[bytes, memoryview]):
    """Chunks by the id that they should have; `identify` tells which they do have in this record."""

    identify: Identify = staticmethod(chunk_id)


class Home:
    """A folder that entries are written into."""

    __slots__ = ("fd", "identity", "inherits", "kind", "made_by", "mode_kept", "owner", "path")

    def __init__(self, path: bytes, identity: Identity | None = None, *, inherits: bool = True) -> None:
        """`identity` of a folder that this restore has made, so that nothing can stand in it; None for any other.

        `inherits`: what is made in it may get attributes that the copy does not have, such as a default ACL.
        """
        self.path = path
        self.identity = identity
        self.inherits = inherits
        self.owner: Owner | None = None
        """Whose a new file in it is; None until the first one was looked at."""
        self.mode_kept = False
        """Whether a new file has the mode that it was made with."""
        self.fd = -1
        """Of a folder that this restore has made, from when it is entered until its metadata was set; -1 where many are open."""
        self.made_by: Owner = (-1, -1)
        """Whose the folder itself was when it was made."""
        self.kind: Kind | None = None
        """Folders of one kind give new files the same owner and mode; None: such folders are not known."""


@dataclass(eq=False, slots=True)
class Making:
    """A file whose contents lie in several batches, or slices: under a temporary name until it is whole."""

    home: Home
    entry: Entry
    file: NewFile | None = None
    problem: str = ""
    """Why it cannot be made; nothing more is written then."""
    counted_bytes: int = 0
    """Shown as done so far."""


@dataclass(slots=True)
class Part:
    """The next rows of such a file, and where they belong."""

    making: Making
    first: int
    """Number of the first row."""
    offset: int
    rows: Sequence[Row]
    size_bytes: int
    """Of all rows, holes too."""
    is_missing: bool = False
    """A chunk did not come: to be tried alone."""


@dataclass(slots=True)
class PlainFiles:
    """Neighbours in a run, in a folder that this restore has made, which are made alike: see `plain`.

    No object stands for one of them before something is odd about it.
    """

    home: Home
    run: RunView
    begin: int
    """Position of the first in the run."""
    names: Sequence[bytes]
    rows: Sequence[Row]
    """Of all, one after another."""
    owner: Owner
    """Whose they become."""

    @property
    def end(self) -> int:
        """Position behind the last."""
        return self.begin + len(self.names)

    @property
    def counts(self) -> Sequence[int]:
        """Rows of each."""
        return self.run.row_counts()[self.begin : self.end]

    def items(self) -> list[Item]:
        """The same, entry by entry."""
        rows, base = self.rows, self.run.starts()[self.begin]
        return [
            (entry, rows[entry.first_row - base : entry.first_row - base + entry.rows])
            for entry in self.run.entries(self.begin, self.end)
        ]


@dataclass(slots=True)
class Slice:
    """Work for one thread, and what came of it."""

    runs: list[tuple[Home, list[Item]]] = field(default_factory=list)
    plain: list[PlainFiles] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    items: int = 0
    size_bytes: int = 0

    files: int = 0
    bytes_done: int = 0
    failed: list[tuple[Home, Entry, str]] = field(default_factory=list)
    incomplete: list[tuple[Home, Entry, list[str]]] = field(default_factory=list)
    """Restored, but not their ... ."""
    again: list[tuple[Home, Entry]] = field(default_factory=list)
    """Entries to be restored alone: a chunk did not come, or something stands in the place."""
    made: list[tuple[bytes, Identity]] = field(default_factory=list)
    """Files with further names."""

    def add(self, home: Home, entry: Entry, rows: Sequence[Row], size_bytes: int) -> None:
        """One more entry."""
        if not self.runs or self.runs[-1][0] is not home:
            self.runs.append((home, []))
        self.runs[-1][1].append((entry, rows))
        self.items += 1
        self.size_bytes += size_bytes

    def add_plain(self, files: PlainFiles, size_bytes: int) -> None:
        """Files of one run."""
        self.plain.append(files)
        self.items += len(files.names)
        self.size_bytes += size_bytes

    @property
    def is_full(self) -> bool:
        """Whether the next entry belongs into another slice."""
        return self.items >= SLICE_ITEMS or self.size_bytes >= SLICE_BYTES


@dataclass(slots=True)
class Batch:
    """Slices whose chunks are fetched together."""

    slices: list[Slice] = field(default_factory=lambda: [Slice()])
    rows: list[NumberedRows] = field(default_factory=list)
    row_count: int = 0
    size_bytes: int = 0
    items: int = 0
    after: list[Callable[[], None]] = field(default_factory=list)
    writing: Future[list[Future[None]]] | None = None
    """Gives, when the chunks are there, one future a slice."""

    def open_slice(self) -> Slice:
        """The slice that takes the next entry."""
        if self.slices[-1].is_full:
            self.slices.append(Slice())
        return self.slices[-1]

    def want(self, first: int, rows: Sequence[Row], size_bytes: int) -> None:
        """These rows are written in this batch."""
        self.rows.append((first, rows))
        self.row_count += len(rows)
        self.size_bytes += size_bytes
