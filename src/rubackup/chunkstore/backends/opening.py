"""Opens the backend of a location, each once, and closes those that are no longer wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import assert_never

from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block import BlockBackend
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.locations import Device, Folder, Location, Unopened
from rubackup.domain.errors import RubackupError, StorageFault

MakeBackend = Callable[[Location], Backend]


def open_backend(location: Location) -> Backend:
    """The backend of a location; errors of its kind when it is not there."""
    match location:
        case Folder():
            return LocalBackend(location.path)
        case Device():
            return _open_device(location)
        case Bucket():
            # Its libraries take 40 MiB, which a media server without buckets need not have.
            from rubackup.chunkstore.backends.s3.backend import S3Backend  # noqa: PLC0415

            return S3Backend(location)
        case Unopened():
            raise StorageFault(location.reason)
        case _:
            assert_never(location)


def _open_device(location: Device) -> Backend:
    backend = BlockBackend.open(location.path, location.workers)
    if location.uuid and backend.uuid.hex() != location.uuid:
        backend.close()
        raise StorageFault(
            f"At {location.path} there is another device ({backend.uuid.hex()}) than the pool's ({location.uuid}).",
            device=location.label,
        )
    return backend


def _adjust(backend: Backend, location: Location) -> None:
    """Let an open backend work as its location says now."""
    if isinstance(location, Device) and isinstance(backend, BlockBackend):
        backend.set_workers(location.workers)
    elif isinstance(location, Bucket):
        from rubackup.chunkstore.backends.s3.backend import S3Backend  # noqa: PLC0415

        if isinstance(backend, S3Backend):
            backend.use(location)


def _is_other(backend: BlockBackend, location: Device) -> bool:
    return bool(location.uuid) and backend.uuid.hex() != location.uuid


class Backends:
    """Those of one pool, by label: a device cannot be opened twice."""

    def __init__(self, make: MakeBackend) -> None:
        self._make = make
        self._open: dict[str, Backend] = {}
        self._locations: dict[str, Location] = {}

    def at(self, location: Location) -> Backend:
        """The one of a location; one that is open goes on with other keys, or another number of workers, if those changed."""
        label = location.label
        found = self._open.get(label)
        if isinstance(location, Device) and isinstance(found, BlockBackend) and _is_other(found, location):
            self.drop(label)
            found = None
        if found is None:
            found = self._open[label] = self._make(location)
        elif location != self._locations.get(label) and not isinstance(location, Unopened):
            _adjust(found, location)
        self._locations[label] = location
        return found

    def drop(self, label: str) -> None:
        """Close one: it is opened anew when it is asked for."""
        found = self._open.pop(label, None)
        if found is not None:
            found.close()

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
