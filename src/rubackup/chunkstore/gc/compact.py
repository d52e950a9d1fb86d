"""Empties packs that are mostly unused: their live groups are copied, as they are stored, to new packs of the same owner.

A new pack is durable before the index names it. What goes wrong leaves the old packs as they are.
"""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Sequence
from contextlib import suppress

from rubackup.chunkstore import group, pack
from rubackup.chunkstore._marks import Moved
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.hashes import Gathered, hashes_name
from rubackup.chunkstore.index import PackRow
from rubackup.chunkstore.pack import PackHeader, PackWriter
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt, NotFound, RubackupError, StorageFull

log = logging.getLogger(__name__)


class Compaction:
    """Of one collection."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._writer: PackWriter | None = None
        self._storage: Storage | None = None
        self._owner = ""
        self._moved: list[Moved] = []  # with the old place; the new pack has no number yet
        self._packs: list[int] = []  # whose groups are all in the writer
        self._gathered = Gathered()  # what the pool records of them
        self.emptied = 0
        """Packs that were condemned."""

    def run(self, chosen: Sequence[tuple[int, array[int]]]) -> None:
        """Empty these packs, given with the offsets of their live groups; without room it stops, and says so."""
        done, total = 0, self._ground.safety.compact_bytes
        try:
            for number, offsets in chosen:
                self._ground.check()
                found = self._load(number, set(offsets))
                if found is not None:
                    self._copy(number, *found)
                    done += sum(len(data) for _, data in found[1])
                    self._ground.progress(done, max(done, total))
            self._flush()
        except StorageFull as error:
            self._ground.result.problems.append(f"Packs could not be emptied: {error.message}")
        finally:
            self._give_up()

    def _load(self, number: int, offsets: set[int]) -> tuple[str, list[tuple[int, bytes]]] | None:
        """Owner and live groups of a pack; None, and a problem, when one of them cannot be read whole."""
        index = self._ground.index
        row = index.pack(number)
        storage = self._ground.storages().get(row.storage) if row else None
        if row is None or storage is None:
            return None
        name = pack.closed_name(row.id)
        try:
            told = _told(storage.backend, name, self._ground.pool, row.id)
            if told is None:
                return self._untold(storage.backend, row, offsets)
            owner, sums = told
            if not offsets <= sums.keys():
                raise Corrupt("its trailer does not list every group.")
            found = [(offset, self._group(storage.backend, row, offset, sums[offset])) for offset in sorted(offsets)]
        except (Corrupt, NotFound) as error:
            text = f"Pack {storage.backend.label}/{name} stays as it is: {error.message}"
            self._ground.problem(text)
            return None
        return owner, found

    def _untold(self, backend: Backend, row: PackRow, offsets: set[int]) -> tuple[str, list[tuple[int, bytes]]]:
        """Owner and live groups of a pack whose header or trailer is damaged: the index tells of them."""
        index, owner = self._ground.index, 0
        found: list[tuple[int, bytes]] = []
        for offset in sorted(offsets):
            data = self._group(backend, row, offset, b"")
            holder = index.marks.holder(row.number, offset, group.read_head(data).ids)
            if holder is None:
                raise Corrupt(f"the group at offset {offset} is none that the index looks for there.")
            owner = owner or holder
            found.append((offset, data))
        return index.owner_name(owner), found

    def _group(self, backend: Backend, row: PackRow, offset: int, total: bytes) -> bytes:
        """A group with right sums, and with this one in its header unless it is b''; else it is marked, and Corrupt."""
        name = pack.closed_name(row.id)
        try:
            length = group.stored_length(backend.read(name, offset, group.HEAD_BYTES))
            data = backend.read(name, offset, length)
            group.check_stored(data)
            if total and group.head_sum(data) != total:
                raise Corrupt("it is not what the pack's trailer lists.")
        except Corrupt as error:
            self._ground.index.mark_bad(row.number, offset)
            raise Corrupt(f"the group at offset {offset} is damaged: {error.message}") from error
        return data

    def _copy(self, number: int, owner: str, groups: list[tuple[int, bytes]]) -> None:
        full = self._writer is not None and (
            self._writer.size_bytes >= pack.TARGET_BYTES or self._gathered.is_full or owner != self._owner
        )
        if full:
            self._flush()
        size = sum(len(data) for _, data in groups)
        for offset, data in groups:
            head = group.read_head(data)
            writer = self._writer or self._open(owner, size)
            at = writer.add(data, len(head.ids))
            self._gather(at, data)
            self._moved.append(Moved(number, offset, 0, at, len(data), head.ids))
        self._packs.append(number)

    def _gather(self, offset: int, data: bytes) -> None:
        """What the pool records is computed anew, not copied: what was recorded may be damaged."""
        if self._ground.hashes is not None:
            with suppress(Corrupt):  # a false id: a verification names it
                self._gathered.add(offset, self._ground.hashes.of_stored(data))

    def _open(self, owner: str, size_bytes: int) -> PackWriter:
        """A new pack with room for so much and the reserve."""
        ground = self._ground
        need = max(size_bytes, pack.TARGET_BYTES) + pack.MAX_BYTES
        self._storage = ground.storages().room_for(need, emergency=False)
        self._owner = owner
        self._writer = PackWriter(self._storage.backend, PackHeader(ground.pool, os.urandom(16), owner))
        return self._writer

    def _flush(self) -> None:
        """Close the new pack and move the groups there, except of packs that a seal needed meanwhile."""
        writer, storage = self._writer, self._storage
        if writer is None or storage is None:
            return
        writer.close()
        ground, index = self._ground, self._ground.index
        new_bytes = writer.size_bytes
        if ground.hashes is not None:
            ground.hashes.write(storage.backend, writer.id, self._gathered)
            new_bytes += self._gathered.size_bytes
        with ground.lock:
            kept = ground.guard.touched() | index.marks.condemned.keys()
            emptied = {number for number in self._packs if number not in kept}
            number = index.new_pack_number()
            moved = [
                Moved(one.old_pack, one.old_offset, number, one.new_offset, one.length, one.ids)
                for one in self._moved
                if one.old_pack in emptied
            ]
            if moved:
                row = PackRow(number, writer.id, storage.id, closed=True, indexed_bytes=writer.size_bytes)
                sizes = sum(old.indexed_bytes for n in emptied if (old := index.pack(n)))
                self._writer = self._storage = None  # an error may hide a commit: the pack must stay
                index.move([row], moved, emptied, ground.new_mark())
                ground.guard.changes += 1
                storage.count(new_bytes)
                ground.result.moved_bytes += sum(one.length for one in moved)
                ground.result.condemned_packs += len(emptied)
                ground.result.condemned_bytes += sizes
                self.emptied += len(emptied)
        if not moved:
            storage.backend.delete(pack.closed_name(writer.id))
            if ground.hashes is not None:
                storage.backend.delete(hashes_name(writer.id))
            self._writer = self._storage = None
        self._moved, self._packs, self._gathered = [], [], Gathered()

    def _give_up(self) -> None:
        """Remove a pack that was not finished; what cannot be removed is found unused after the next opening."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()
            names = [pack.open_name(writer.id), pack.closed_name(writer.id)]
            if self._ground.hashes is not None:
                names.append(hashes_name(writer.id))
            for name in names:
                with suppress(RubackupError):
                    writer.backend.delete(name)


def _told(backend: Backend, name: str, pool: bytes, pack_id: bytes) -> tuple[str, dict[int, bytes]] | None:
    """Owner of a closed pack, and by offset the sums in its groups' headers; None when header or trailer is damaged.

    Corrupt when the file is another pack.
    """
    pack.check_is(backend, name, pool, pack_id)
    try:
        header = pack.parse_header(backend.read(name, 0, pack.HEADER_BYTES))
        return header.owner, {extent.offset: extent.sum for extent in pack.read_extents(backend, name)}
    except Corrupt:
        return None
