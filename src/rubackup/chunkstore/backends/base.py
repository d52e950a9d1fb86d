"""What a place for packs and manifests must be able to do.

One suite (`tests/contract/chunkstore/test_backends.py`) holds every backend to it. Retry, rate
limit and faults are wrappers. Names are relative, of [a-z0-9./-]. Errors: NotFound, Conflict
(a create-only name exists), Corrupt (a read went past the end), StorageFull, StorageFault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rubackup.chunkstore.identity import Buffer


class ObjectLock(Protocol):
    """A storage that refuses, by itself and whoever asks, to delete or replace a file before a date.

    A date is only ever moved ahead. `Backend.delete` of a kept file is Conflict, which names the date.
    """

    def protect(self, name: str, until_ns: int) -> None:
        """Keep a file until then (Unix time); an earlier date than it has changes nothing. NotFound."""

    def until_ns(self, name: str, now_ns: int = 0) -> int:
        """Until when a file is kept, 0 when it is not; a known date after `now_ns` need not be asked for. NotFound."""


def _keeps_nothing(name: str) -> None:
    """Every read is of the storage itself."""


def _opened_once() -> bool:
    return False


@dataclass(frozen=True)
class Capabilities:
    """How backends differ; callers ask here, never for the class."""

    append: bool = True
    """An object can grow after it was created. If not, open files are on the media server's disk until they are published."""
    overwrite: bool = True
    """Old bytes are gone when a file is overwritten in place."""
    publish_syncs: bool = False
    """`publish` and `replace` make the contents durable themselves, for less than a `sync` before them costs."""
    reads_at_once: int = 1
    """So many reads at a time are worth it: each waits for a network, and they wait together."""
    lock: ObjectLock | None = None
    """Where the storage itself can protect files, and is asked to."""
    forget: Callable[[str], None] = _keeps_nothing
    """Read a file anew from now on: what was kept of it outside the storage is dropped."""
    must_reopen: Callable[[], bool] = _opened_once
    """Whether it failed in a way that only opening it again can heal."""


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
        """Add `data` at the end, wholly or with an error.

        What a new pack gets can be read when it was synced; until then an error of one call may be raised by a later one.
        """

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

    def close(self) -> None:
        """Release what is held of the place; twice is fine. Nothing else is called afterwards."""
