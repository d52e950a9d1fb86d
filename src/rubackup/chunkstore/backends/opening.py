"""Opens the backend of a location, each once, and closes those that are no longer wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import assert_never

from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block import BlockBackend
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.locations import Device, Folder, Location
from rubackup.domain.errors import RubackupError

MakeBackend = Callable[[Location], Backend]


def open_backend(location: Location) -> Backend:
    """The backend of a location; errors of its kind when it is not there."""
    match location:
        case Folder():
            return LocalBackend(location.path)
        case Device():
            return BlockBackend.open(location.path, location.workers)
        case Bucket():
            # Its libraries take 40 MiB, which a media server without buckets need not have.
            from rubackup.chunkstore.backends.s3.backend import S3Backend  # noqa: PLC0415

            return S3Backend(location)
        case _:
            assert_never(location)


class Backends:
    """Those of one pool, by label: a device cannot be opened twice."""

    def __init__(self, make: MakeBackend) -> None:
        self._make = make
        self._open: dict[str, Backend] = {}

    def at(self, location: Location) -> Backend:
        """The one of a location, as it was when it was first opened."""
        found = self._open.get(location.label)
        if found is None:
            found = self._open[location.label] = self._make(location)
        return found

    def usable(self, locations: Iterable[Location]) -> Iterator[Backend]:
        """Those that can be opened."""
        for location in locations:
            try:
                yield self.at(location)
            except RubackupError:  # whoever binds it is told
                continue

    @contextmanager
    def only(self, wanted: Callable[[], Iterable[Backend]]) -> Iterator[None]:
        """Close all others than those that are wanted at the end, also after an error."""
        try:
            yield
        finally:
            self.keep(wanted())

    def keep(self, wanted: Iterable[Backend]) -> None:
        """Close all others."""
        kept = {id(one) for one in wanted}
        for label in [label for label, one in self._open.items() if id(one) not in kept]:
            self._open.pop(label).close()
