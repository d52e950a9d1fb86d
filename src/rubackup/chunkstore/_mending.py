"""The part of a pool that finds and mends manifests. Design: `docs/design/chunkstore.md`, Repair."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from rubackup.chunkstore import astray, seals
from rubackup.chunkstore._locking import Locking
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.recovery import Recovery
from rubackup.chunkstore.repair import repair_manifest, repair_seal
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt

log = logging.getLogger(__name__)
_PIECE_BYTES: Final = 4 << 20


class Mending(Locking):
    """What `Pool` inherits; the attributes are the pool's."""

    repaired: list[str]

    def manifest_file(self, record: str) -> str:
        """Where a record's manifest lies, for messages."""
        row = self._row(record)
        storage = self._storages.get(row.storage)
        return f"{storage.backend.label if storage else '?'}/{seals.manifest_name(record)}"

    def repair_manifest(self, record: str, *, lose: bool = False) -> list[str]:
        """Make a record's damaged manifest anew from what is whole of it; a sentence for each part that is lost.

        Corrupt when nothing can be made of it, and when parts would be lost, unless `lose` gives them up. Invalid for an
        encrypted one. Who reads the old one meanwhile may fail. The pool's lock is held. One that somebody swapped with
        another gets its name back, and is left as it is.
        """
        with self._lock:
            row, storage = self._stored_row(record)
            if not self._has_own(record, storage) and self.put_back():
                row, storage = self._stored_row(record)
                if self._has_own(record, storage):
                    return []
            repaired, lost = repair_manifest(storage, row, lose=lose)
            log.warning("The manifest %s was made anew.", self.manifest_file(record))
            self._index.put_record(repaired, None)
            return lost

    def sealed_manifest(self, record: str) -> tuple[int, Callable[[int, int], bytes]]:
        """Length of a record's manifest with its seal, and what reads ranges of it; NotFound, StorageFault."""
        row, storage = self._stored_row(record)
        name = seals.manifest_name(record)
        return row.file_bytes, lambda offset, length: storage.backend.read(name, offset, length)

    def lacks_manifest(self, record: str) -> bool:
        """Whether a record that was not dropped has no manifest in any storage that is there."""
        names = seals.manifest_name(record), seals.tombstone_name(seals.check_record_id(record))
        return not any(one.has(name) for one in self._storages.all for name in names)

    def take_back(self, record: str, size_bytes: int, read: Callable[[int, int], bytes]) -> None:
        """Put a sealed manifest that was lost back, and list its record; one that is there, or was dropped, stays so.

        `read` gives ranges of the whole file. Corrupt when it is not this record's, or not what its seal says.
        """
        name, final = seals.open_name(record), seals.manifest_name(record)
        if not self.lacks_manifest(record):
            return
        storage = self._storages.room_for(size_bytes)
        backend = storage.backend
        backend.delete(name)
        file = backend.append(name)
        try:
            for at in range(0, size_bytes, _PIECE_BYTES):
                file.write(read(at, min(_PIECE_BYTES, size_bytes - at)))
            if seals.check_stream(backend, name).record != record:
                raise Corrupt(f"It is not the manifest of record {record}.")
            file.sync()
            file.close()
            with self._lock:
                self._check_open()
                if not self.lacks_manifest(record):
                    return
                self._guard.disturb()
                backend.publish(name, final)
                recovery = Recovery(self._index, self._pool, self._hashes)
                recovery.relist(storage, self._storages.all, record)
                if self._index.record(record) is None:
                    raise Corrupt(f"The manifest of record {record} cannot be used: {' '.join(recovery.problems)}")
            log.warning("the manifest of record %s was lost, and was taken back", record)
        finally:
            file.close()
            backend.delete(name)

    def repair_seal(self, record: str) -> None:
        """Seal a record's whole manifest anew; Corrupt when it is not whole. The pool's lock is held."""
        with self._lock:
            row, storage = self._stored_row(record)
            repaired = repair_seal(storage, row)
            log.warning("The manifest %s was sealed anew.", self.manifest_file(record))
            self._index.put_record(repaired, None)

    def put_back(self) -> list[str]:
        """Look at all manifests, and give those their names that lie under another's; a sentence for each.

        Reads the beginning of each. The pool's lock is held.
        """
        with self._lock:
            self._check_open()
            for storage in self._storages.all:
                storage.check_bound()
            told = astray.put_back(self._index, self._storages.all)
            self.repaired += told
            return told

    @staticmethod
    def _has_own(record: str, storage: Storage) -> bool:
        """Whether the file of a record's name is its manifest, as far as can be told."""
        name = seals.manifest_name(record)
        return storage.has(name) and astray.record_in(storage.backend, name) in {"", record}

    def _check_own(self, record: str, row: RecordRow | None) -> None:
        """Corrupt when the file that has a record's name may be all that is left of another."""
        storages, name = self._storages.all, seals.manifest_name(record)
        lie = [one for one in storages if one.has(name)]
        home = self._storages.get(row.storage) if row else None
        if (home is not None and home not in lie) or not all(self._has_own(record, one) for one in lie):
            self.put_back()
            row = self._index.record(record)
        for one in [one for one in storages if one.has(name)]:
            astray.check_removable(storages, one, record, self._index.records, row)
