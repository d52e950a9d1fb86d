"""The part of a recovery that makes packs and the files of hashes beside them agree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from rubackup.chunkstore import pack
from rubackup.chunkstore._listing import Ids
from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.oserrors import is_bad_sector
from rubackup.chunkstore.hashes import Hashes, hashes_name
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import StorageFault, StorageFull

_ID = re.compile(r"[0-9a-f]{32}")


class HashFiles:
    """Of the storages that one recovery looks at. Without `hashes` the files are counted and left alone."""

    def __init__(self, hashes: Hashes | None, problem: Callable[[str], None]) -> None:
        self._hashes, self._problem = hashes, problem
        self._there: defaultdict[bytes, Ids] = defaultdict(Ids)
        self._sizes: defaultdict[bytes, int] = defaultdict(int)

    def packs_of(self, storage: Storage) -> Iterator[Item]:
        """What lies among the packs of a storage, without files of hashes; those are noted on the way."""
        return (item for item in storage.backend.list("packs") if not self._noted(storage, item))

    def _noted(self, storage: Storage, item: Item) -> bool:
        if not item.name.endswith(pack.HASHES) or not _ID.fullmatch(stem := PurePosixPath(item.name).stem):
            return False
        self._sizes[storage.id] += item.size_bytes
        if self._hashes is not None:
            self._there[storage.id].add(bytes.fromhex(stem))
        return True

    def size_bytes(self, storage: Storage) -> int:
        """Of the files in a storage."""
        return self._sizes[storage.id]

    def complete(self, storage: Storage, name: bytes) -> None:
        """Make the file of a closed pack if it is missing, as the process ended between the two."""
        if self._hashes is not None and name not in self._there[storage.id] and not storage.has(hashes_name(name)):
            self.make(storage, name)

    def make(self, storage: Storage, name: bytes) -> None:
        """Make the file of a pack that was just closed; that it cannot be made costs no chunk."""
        if self._hashes is None:
            return
        try:
            storage.count(self._hashes.make(storage.backend, name))
        except StorageFault as error:  # a verification tries again
            if not isinstance(error, StorageFull) and not is_bad_sector(error):
                raise
            self._problem(f"{storage.backend.label}/{hashes_name(name)} could not be made: {error.message}")

    def remove_orphans(self, storages: Iterable[Storage], packs: Ids, index: Index) -> None:
        """Remove files whose pack is in no storage, nor known to the index: it went just before the process ended."""
        for storage in storages:
            for name in self._there[storage.id]:
                if name not in packs and index.pack_by_id(name) is None:
                    storage.count(-storage.backend.size(hashes_name(name)))
                    storage.backend.delete(hashes_name(name))
