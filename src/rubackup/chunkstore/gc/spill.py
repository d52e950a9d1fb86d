"""Items of a fixed length, sorted into buckets: in memory while they are few, in files when they are many."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rubackup.chunkstore.backends.local import translated

HELD: Final = 1_000_000
"""Items held in memory, of all buckets together."""


class Buckets:
    """`count` buckets of items; the byte of an item at `at` says which (modulo `count`)."""

    def __init__(self, folder: Path, name: str, count: int, at: int, held: int = HELD) -> None:
        self._folder, self._name, self._count, self._at = folder, name, count, at
        self._limit = held
        self._held: list[set[bytes]] = [set() for _ in range(count)]
        self._entries = 0
        self._spilled: set[int] = set()

    def add(self, items: Iterable[bytes]) -> None:
        """Add items; one that is held already is not held twice."""
        held, at, count = self._held, self._at, self._count
        if count == 1:
            held[0].update(items)
            added = len(held[0]) - self._entries
        else:
            added = 0
            for item in items:
                held[item[at] % count].add(item)
                added += 1
        self._entries += added
        if self._entries > self._limit:
            self._spill()

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{self._name}-{bucket}"

    def _spill(self) -> None:
        with translated(str(self._folder), self._name):
            for bucket, items in enumerate(self._held):
                if items:
                    with self._path(bucket).open("ab") as file:
                        file.write(b"".join(items))
                    self._spilled.add(bucket)
                    items.clear()
        self._entries = 0

    def take(self, bucket: int, length: int) -> set[bytes]:
        """The items of a bucket, each of `length` bytes; they are in it no more."""
        items, self._held[bucket] = self._held[bucket], set()
        if bucket in self._spilled:
            self._spilled.discard(bucket)
            path = self._path(bucket)
            with translated(str(self._folder), self._name):
                data = path.read_bytes()
                path.unlink()
            items.update(data[i : i + length] for i in range(0, len(data), length))
        return items
