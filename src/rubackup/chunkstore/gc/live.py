"""Which chunks the manifests of a pool name: one pass over all of them, each frame of rows once.

Only the first bytes of an id are kept. An id that begins like a live one is taken for live: that keeps garbage, no more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rubackup.chunkstore.gc.spill import Buckets
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import ROW

PREFIX_BYTES: Final = 8
_PREFIX: Final = struct.Struct(f"{PREFIX_BYTES}s{ROW.size - PREFIX_BYTES}x")
_PARTITIONS: Final = 256
_FEW: Final = 250_000
"""A pool with no more chunks has its ids in one partition."""


class LiveIds:
    """Beginnings of the ids of all live chunks, by partition: ids of one partition begin with the same byte."""

    def __init__(self, folder: Path, chunks: int) -> None:
        """`chunks`: about how many the pool has."""
        self.partitions = _PARTITIONS if chunks > _FEW else 1
        self._seen: set[bytes] = set()
        """Sums of the frames of rows that were read."""
        self._ids = Buckets(folder / "live", self.partitions, PREFIX_BYTES)
        self._maybe = Buckets(folder / "maybe", self.partitions, PREFIX_BYTES)

    def add(self, reader: ManifestReader, check: Callable[[], None], *, whole: bool = True) -> None:
        """Everything that a manifest names; Corrupt when it is damaged, `check` may raise Stopped.

        Of a record that is not known to be `whole` chunks may be lost; such records come after all others.
        """
        ids = self._ids if whole else self._maybe
        for total, first, count in reader.row_frames():
            if total not in self._seen:
                check()
                rows = reader.raw_rows(first, count)
                ids.add([prefix for (prefix,) in _PREFIX.iter_unpack(rows)])
                self._seen.add(total)

    def partition(self, number: int) -> set[bytes]:
        """The beginnings of a partition's ids."""
        return self._ids.take(number) | self._maybe.take(number)

    def sure(self, number: int) -> set[bytes]:
        """Those of them that the index must know: records that it says are whole have them."""
        return self._ids.take(number) - {HOLE[:PREFIX_BYTES]}
