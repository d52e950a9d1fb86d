"""Fills an empty index in the order of its keys, however the packs come: sorted into buckets, then appended.

Chunk ids are random, so adding them as the packs come would rewrite most pages of a large index with each
transaction. Here every page is written once. Memory is 16 MiB and one bucket; the rest waits in files beside the index.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from rubackup.chunkstore.backends.oserrors import translated

BUCKETS: Final = 1024
HELD_BYTES: Final = 16 << 20
APPENDED_ROWS: Final = 200_000
"""Rows of one transaction, at least."""
_OWNER = slice(20, 24)
"""The owner in the value of a chunk, little-endian; 0 is nobody."""

Row = tuple[bytes, bytes]
Append = Callable[[list[Row], list[Row]], None]
"""Takes rows of the table of chunks and of that of further owners, both ascending, and after all that came before."""
Choose = Callable[[list[bytes]], bytes]
"""Given the places of one chunk, in the order in which they came: the one to keep."""


class Fill:
    """Rows of chunks on their way into an index. A key that comes again keeps one of its places and gets a further owner."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made, and what lies there from an attempt that failed goes."""
        self._folder = folder
        self._held = [bytearray() for _ in range(BUCKETS)]
        self._held_bytes = 0
        with translated(str(folder), ""):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows, in whatever order."""
        held, added = self._held, 0
        for key, value in rows:
            held[key[0] << 2 | key[1] >> 6] += b"%c%b%b" % (len(key), key, value)
            added += 1 + len(key) + len(value)
        self._held_bytes += added
        if self._held_bytes > HELD_BYTES:
            self._spill()

    def finish(self, append: Append, choose: Choose) -> None:
        """Hand everything to `append` in order, and remove the folder; `choose` is asked where a key came again."""
        chunks: list[Row] = []
        owners: list[Row] = []
        for number in range(BUCKETS):
            for key, values in _grouped(self._take(number)):
                kept = values[0] if len(values) == 1 else choose(values)
                chunks.append((key, kept))
                others = {value[_OWNER] for value in values} - {kept[_OWNER], bytes(4)}
                owners += [(key + owner[::-1], b"") for owner in sorted(others, key=_big)]
            if len(chunks) >= APPENDED_ROWS:
                append(chunks, owners)
                chunks, owners = [], []
        if chunks:
            append(chunks, owners)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04}"

    def _spill(self) -> None:
        with translated(str(self._folder), "buckets"):
            for number, held in enumerate(self._held):
                if held:
                    with self._path(number).open("ab") as file:
                        file.write(held)
                    held.clear()
        self._held_bytes = 0

    def _take(self, number: int) -> bytes:
        """Everything of a bucket, in the order in which it came."""
        path = self._path(number)
        with translated(str(self._folder), path.name):
            spilled = path.read_bytes() if path.exists() else b""
            path.unlink(missing_ok=True)
        held, self._held[number] = self._held[number], bytearray()
        return spilled + held


def _big(owner: bytes) -> bytes:
    return owner[::-1]


_VALUE = struct.Struct("<6I")


def _grouped(data: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Keys ascending, each with its values in the order in which they came."""
    found: dict[bytes, list[bytes]] = {}
    at = 0
    while at < len(data):
        middle = at + 1 + data[at]
        end = middle + _VALUE.size
        found.setdefault(data[at + 1 : middle], []).append(data[middle:end])
        at = end
    for key in sorted(found):
        yield key, found[key]
