"""Sealed manifests of pools whose packs lie with clients, kept in a pool of files: one folder for each client of such a pool.

The media server that serves the pool of files has no packs of theirs. It can list a copy from its manifest, and gives the
manifest back to its owner. Nothing is overwritten but what is damaged. Design: `docs/design/pools.md`, Client defined pools.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final

from rubackup.chunkstore import seals
from rubackup.chunkstore.backends.base import Appender
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.identity import Buffer
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.check import check_manifest
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import Corrupt, Invalid, NotFound

FOLDER: Final = "clients"
_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}")
_SUFFIX: Final = ".manifest"
_OPEN: Final = ".open"
_READ_BYTES: Final = 4 << 20


class KeptManifests:
    """Those of one client in one pool. Safe for threads, but one thread writes a record at a time."""

    def __init__(self, storages: Callable[[], Storages], folder: str) -> None:
        """`folder`: as `domain.pools.kept_folder` names it; Invalid otherwise."""
        if not _NAME.fullmatch(folder):
            raise Invalid("A folder of kept manifests is named by a pool and a client.")
        self._storages = storages
        self._folder = f"{FOLDER}/{folder}"
        self._owner = folder.partition("-")[2]

    def size(self, record: str) -> int:
        """Length of a record's manifest with its seal; 0 when none is kept."""
        storage = self.where(record)
        return storage.backend.size(self.name(record)) if storage else 0

    def read(self, record: str, offset: int, length: int) -> bytes:
        """A range of it, cut at its end; NotFound."""
        storage = self._found(record)
        name = self.name(record)
        if offset < 0 or not 0 <= length <= _READ_BYTES:
            raise Invalid(f"A manifest is read in parts of at most {_READ_BYTES} bytes.")
        return storage.backend.read(name, offset, max(0, min(length, storage.backend.size(name) - offset)))

    def sealed(self, record: str) -> SealedRecord:
        """What the seal says; NotFound, Corrupt."""
        return self._read_seal(self._found(record), self.name(record), record)[0]

    def reader(self, record: str) -> tuple[SealedRecord, ManifestReader]:
        """The record and a reader of its manifest; NotFound, Corrupt."""
        storage, name = self._found(record), self.name(record)
        sealed, stream_bytes = self._read_seal(storage, name, record)
        return sealed, ManifestReader(lambda at, length: storage.backend.read(name, at, length), stream_bytes)

    def records(self) -> list[str]:
        """Every record whose manifest is kept, in order."""
        found = set()
        for storage in self._storages().regular:
            for item in storage.backend.list(self._folder):
                path = PurePosixPath(item.name)
                if path.suffix == _SUFFIX:
                    found.add(path.stem)
        return sorted(found)

    def write(self, record: str) -> KeptWriting:
        """Begin to take a manifest in; what an earlier attempt has left of it goes."""
        return KeptWriting(self, self._storages, seals.check_record_id(record))

    def drop(self, record: str) -> None:
        """Keep a record's manifest no more. That it is gone already is no error."""
        for storage in self._storages().regular:
            if storage.bound:
                storage.backend.delete(self.name(record))
                storage.backend.delete(self.open_name(record))

    def check(self, storage: Storage, name: str, record: str) -> None:
        """Corrupt or Invalid unless the file is this client's sealed manifest of the record, whole in every part."""
        _, stream_bytes = self._read_seal(storage, name, record)

        def read(offset: int, length: int) -> bytes:
            return storage.backend.read(name, offset, length)

        seals.check_stream(storage.backend, name)
        header, _ = check_manifest(read, stream_bytes, lambda _rows, _known: None)
        if header.record != record:
            raise Invalid(f"It is the manifest of record {header.record}.")

    def _read_seal(self, storage: Storage, name: str, record: str) -> tuple[SealedRecord, int]:
        sealed, stream_bytes, _ = seals.read_seal(storage.backend, name)
        if (sealed.record, sealed.owner) != (record, self._owner):
            raise Corrupt(f"{storage.backend.label}/{name} is the manifest of another record.")
        return sealed, stream_bytes

    def name(self, record: str) -> str:
        """Of the file of a record's manifest."""
        return f"{self._folder}/{seals.check_record_id(record)}{_SUFFIX}"

    def open_name(self, record: str) -> str:
        """Of the file in which it is taken in."""
        return f"{self._folder}/{seals.check_record_id(record)}{_OPEN}"

    def where(self, record: str) -> Storage | None:
        """The storage in which it is kept; None when it is not."""
        name = self.name(record)
        return next((one for one in self._storages().regular if one.bound and one.has(name)), None)

    def _found(self, record: str) -> Storage:
        storage = self.where(record)
        if storage is None:
            raise NotFound(f"The manifest of record {record} is not kept here.")
        return storage


class KeptWriting:
    """One manifest that is taken in."""

    def __init__(self, kept: KeptManifests, storages: Callable[[], Storages], record: str) -> None:
        self._kept, self._storages, self._record = kept, storages, record
        self._file: Appender | None = None
        self._storage: Storage | None = None

    def add(self, data: Buffer) -> None:
        """The next piece; StorageFull when there is no room for it."""
        if self._file is None or self._storage is None:
            self._storage = self._storages().room_for(len(data), emergency=False)
            self._storage.backend.delete(self._kept.open_name(self._record))
            self._file = self._storage.backend.append(self._kept.open_name(self._record))
        self._storages().check_room(self._storage, len(data))
        self._file.write(data)

    def keep(self) -> None:
        """Keep it durably, after everything in it was checked: Invalid or Corrupt otherwise. One that is kept, whole, stays."""
        kept, storage = self._kept, self._storage
        if self._file is None or storage is None:
            raise Invalid("There is no manifest.")
        opened, name = kept.open_name(self._record), kept.name(self._record)
        kept.check(storage, opened, self._record)
        self._file.sync()
        self._file.close()
        former = kept.where(self._record)
        if former is None:
            storage.backend.publish(opened, name)
            return
        try:
            kept.check(former, name, self._record)
        except (Corrupt, Invalid):
            former.backend.delete(name)
            storage.backend.publish(opened, name)
        else:
            storage.backend.delete(opened)

    def close(self) -> None:
        """Let go; what was not kept is removed. Twice is fine."""
        if self._file is not None and self._storage is not None:
            self._file.close()
            self._storage.backend.delete(self._kept.open_name(self._record))
            self._file = None


def tidy(storage: Storage) -> None:
    """Remove what interrupted writing has left in a folder that is opened."""
    if isinstance(storage.backend, LocalBackend):  # others keep none
        for item in list(storage.backend.list(FOLDER)):
            if item.name.endswith(_OPEN):
                storage.backend.delete(item.name)


def holders(storages: Storages, pool: str) -> Iterator[str]:
    """The folders of the clients of a pool (its uuid in hex; '': of any) whose manifests are kept here."""
    found = set()
    for storage in storages.regular:
        for item in storage.backend.list(FOLDER):
            parts = PurePosixPath(item.name).parts
            if len(parts) > 2 and _NAME.fullmatch(parts[1]) and (not pool or parts[1].startswith(f"{pool}-")):
                found.add(parts[1])
    yield from sorted(found)
