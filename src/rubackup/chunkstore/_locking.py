"""The part of a pool that keeps records from being dropped, by itself and by storages that can."""

from __future__ import annotations

from contextlib import suppress

from rubackup.chunkstore import pack, seals
from rubackup.chunkstore._collecting import Collecting
from rubackup.chunkstore._wholeness import whole_packs
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.read import StoredManifest
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt, NotFound, StorageFault


class Locking(Collecting):
    """What `Pool` inherits."""

    def _row(self, record: str) -> RecordRow:
        self._check_open()
        row = self._index.record(seals.check_record_id(record)) or self._looked_for(record)
        if row is None:
            raise NotFound(f"The pool has no record {record}.")
        return row

    def _looked_for(self, record: str) -> RecordRow | None:
        """The row of a record that was not in the index a moment ago; Corrupt when its manifest is there and the row still is not.

        Then the index is wrong, and it is filled anew at the next opening: the last one listed all that it could.
        """
        label = "" if record in self._unlisted else self._place_of_manifest(record)
        with self._lock:  # a manifest gets its name, and loses it, together with the row
            row = self._index.record(record)
            if label and row is None and not self._dropped(record):
                told = f"The manifest {label} is there, and the index does not know it."
                if self._index.suspect(told):
                    raise Corrupt(told)
            return row

    def _place_of_manifest(self, record: str) -> str:
        """Where a manifest lies whose seal is whole and names this record; '' when nowhere."""
        name = seals.manifest_name(record)
        for one in self._storages.all:
            with suppress(NotFound, Corrupt):
                if seals.read_seal(one.backend, name)[0].record == record:
                    return f"{one.backend.label}/{name}"
        return ""

    def _storage_of(self, row: RecordRow) -> Storage:
        storage = self._storages.get(row.storage)
        if storage is None:
            path = self._index.storage_paths().get(row.storage, "")
            where = f" ({path})" if path else ""
            raise StorageFault(
                f"Record {row.sealed.record} lies in a storage{where} that is away or not configured now."
            )
        return storage

    def _stored(self, row: RecordRow) -> StoredManifest:
        return StoredManifest(self._storage_of(row), row)

    def _stored_row(self, record: str) -> tuple[RecordRow, Storage]:
        row = self._row(record)
        return row, self._storage_of(row)

    def locked_until_ns(self, record: str) -> int:
        """Until when (Unix time) nobody can drop a record; 0 when it was never locked."""
        seals.check_record_id(record)
        return max((seals.read_lock(one.backend, record) for one in self._storages.all), default=0)

    def lock(self, record: str, until_ns: int) -> None:
        """Keep a record from being dropped until then; an earlier instant than before changes nothing.

        Storages that can protect files by themselves then keep its manifest and packs. NotFound when it is not listed,
        Corrupt when not all of its chunks are there.
        """
        while True:
            with self._lock:
                row, storage = self._stored_row(record)
                storage.check_bound()
                if until_ns <= self.locked_until_ns(record):
                    return
                changes = self._guard.changes
            self._protect(row, storage, until_ns)  # many requests: the pool goes on meanwhile
            with self._lock:
                if changes == self._guard.changes:  # else groups may have moved to packs that are not protected
                    self._stored_row(record)
                    seals.write_lock(storage.backend, record, until_ns)
                    return

    def _protect(self, row: RecordRow, storage: Storage, until_ns: int) -> None:
        storages = self._storages
        if all(one.backend.capabilities.lock is None for one in storages.all):
            return
        packs = whole_packs(self._index, lambda: storages, row.sealed, self._stored(row).reader)
        if packs is None:
            raise Corrupt(f"Record {row.sealed.record} has lost chunks: what is left of it is not protected.")
        if storage.backend.capabilities.lock is not None:
            storage.backend.capabilities.lock.protect(seals.manifest_name(row.sealed.record), until_ns)
        for number in packs:
            found = self._index.pack(number)
            place = storages.get(found.storage) if found else None
            if found is not None and place is not None and place.backend.capabilities.lock is not None:
                place.backend.capabilities.lock.protect(pack.closed_name(found.id), until_ns)

    def _kept_until_ns(self, record: str) -> int:
        """Until when a storage itself keeps the manifest of a record."""
        found = 0
        for one in self._storages.all:
            if (lock := one.backend.capabilities.lock) is not None:
                with suppress(NotFound):
                    found = max(found, lock.until_ns(seals.manifest_name(record), self.now_ns()))
        return found
