"""Compares what a pool recorded of its chunks with what they are now, for a verification."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore.group import Group
from rubackup.chunkstore.hashes import Hashes, Recorded, hashes_name
from rubackup.chunkstore.index import PackRow
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import Corrupt, NotFound, RubackupError

HELD_BYTES: Final = 32 << 20
"""Files of hashes that are held at once; one always is."""


class HashCheck:
    """Of one verification; safe for threads."""

    def __init__(self, hashes: Hashes, groups: GroupReader) -> None:
        self._hashes, self._groups = hashes, groups
        self._lock = threading.Lock()
        self._held: OrderedDict[int, Recorded | None] = OrderedDict()
        self._held_bytes = 0
        self.flaws: dict[int, str] = {}
        """By pack: what keeps its file of hashes from being compared. It can be made anew."""

    def differing(self, spot: Spot, chunks: Group) -> list[int]:
        """Positions of the chunks that have another hash than was recorded; their ids were right.

        Empty where nothing is: in a pack that is still written, and where the file of hashes is damaged.
        """
        spot, row, storage = self._groups.home(spot)
        if not row.closed or storage is None:
            return []
        recorded = self._of(row, storage)
        if recorded is None:
            return []
        try:
            wanted = recorded.of(spot.offset)
            if wanted is None:
                raise Corrupt(f"it has no hashes of the group at offset {spot.offset}")
            return self._hashes.differing(chunks, wanted)
        except Corrupt as error:
            self._note(row, storage, error.message)
            return []

    def _of(self, row: PackRow, storage: Storage) -> Recorded | None:
        with self._lock:
            if row.number in self._held:
                self._held.move_to_end(row.number)
                return self._held[row.number]
            try:
                found = self._hashes.read(storage.backend, row.id)
            except NotFound:
                found = None
                self._note(row, storage, "it is missing")
            except Corrupt as error:
                found = None
                self._note(row, storage, error.message)
            self._held[row.number] = found
            self._held_bytes += len(found.data) if found else 0
            while self._held_bytes > HELD_BYTES and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._held_bytes -= len(gone.data) if gone else 0
            return found

    def _note(self, row: PackRow, storage: Storage, reason: str) -> None:
        self.flaws[row.number] = f"The hashes {storage.backend.label}/{hashes_name(row.id)} are damaged: {reason}."


def mend(hashes: Hashes, storages: Storages, row: PackRow | None, text: str) -> tuple[str, str]:
    """Make a file anew from its pack: a sentence that it is whole again, or one that it is not. `text` tells of the damage."""
    storage = storages.get(row.storage) if row else None
    if row is None or storage is None:  # collected meanwhile
        return "", ""
    try:
        if not storage.has(pack.closed_name(row.id)):  # likewise, or a copy of it in another storage was read
            return "", ""
        hashes.make(storage.backend, row.id)
    except RubackupError as error:
        return "", f"{text} They could not be made anew: {error.message}"
    return f"{text} They were made anew.", ""
