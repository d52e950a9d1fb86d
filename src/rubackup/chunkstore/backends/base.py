"""What a place for packs and manifests must be able to do.

One suite (`tests/contract/chunkstore/test_backends.py`) holds every backend to it. Retry, rate
limit and faults are wrappers. Names are relative, of [a-z0-9./-]. Errors: NotFound, Conflict
(a create-only name exists), Corrupt (a read went past the end), StorageFull, StorageFault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rubackup.chunkstore.identity import Buffer


@dataclass(frozen=True)
class Capabilities:
    """How backends differ; callers ask here, never for the class."""

    append: bool = True
    """An object can grow after it was created."""
    overwrite: bool = True
    """Old bytes are gone when a file is overwritten in place."""


class Item(NamedTuple):
    """One file."""

    name: str
    size_bytes: int


class Space(NamedTuple):
    """Room; two backends of the same `device` share it."""

    free_bytes: int
    total_bytes: int
    device: str


class Appender(Protocol):
    """A file that grows; held by one thread."""

    size_bytes: int
    """What was written; a write that failed does not count, and `truncate` removes what it left."""

    def write(self, data: Buffer) -> None:
        """Add `data` at the end, wholly or with an error."""

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size, which `size_bytes` then is."""

    def sync(self) -> None:
        """Make content and name durable."""

    def close(self) -> None:
        """Release the handle; nothing is implied about durability."""


def add_durably(backend: Backend, name: str, at: int | None, data: Buffer) -> None:
    """Add to a file, as `append` begins it, and sync it."""
    file = backend.append(name, at)
    try:
        file.write(data)
        file.sync()
    finally:
        file.close()


class Backend(Protocol):
    """A place for files that are written once."""

    label: str
    """What an administrator knows it by: the folder."""
    capabilities: Capabilities

    def put(self, name: str, data: Buffer) -> None:
        """Create a durable file at once or not at all; Conflict when the name exists."""

    def append(self, name: str, at: int | None = None) -> Appender:
        """A new file that grows, or with `at` the existing one, cut to that size."""

    def publish(self, name: str, final: str) -> None:
        """Give a synced file its final name, durably; Conflict when that exists."""

    def replace(self, name: str, final: str) -> None:
        """Give a synced file the name of another, which is gone with that, durably and at once; NotFound without either."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Exactly these bytes."""

    def size(self, name: str) -> int:
        """Length of a file."""

    def list(self, folder: str) -> Iterator[Item]:
        """Every file below a folder, without what `put` left unfinished; no order."""

    def delete(self, name: str) -> None:
        """Remove a file durably; that it is gone already is no error."""

    def erase(self, name: str) -> None:
        """Overwrite a file with zeroes, durably, then remove it as `delete` does.

        Where `capabilities.overwrite` is no, the old bytes may stay somewhere.
        """

    def sweep(self, folder: str) -> None:
        """Remove what an interrupted `put` left below a folder."""

    def space(self) -> Space:
        """How much room there is."""
