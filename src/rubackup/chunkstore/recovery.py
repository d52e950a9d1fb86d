"""Makes index and storages agree again: at each opening, and after a session that failed.

It works from what lies in the storages, never from what should be there. Order and
reasons: `docs/design/chunkstore.md`, Recovery.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from rubackup.chunkstore import astray, group, kept, pack, seals
from rubackup.chunkstore._hash_files import HashFiles
from rubackup.chunkstore._listing import Ids, PackFiles, RecordFiles
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore._walk import each_record
from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.oserrors import is_bad_sector
from rubackup.chunkstore.group import Head
from rubackup.chunkstore.hashes import Hashes
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import ENDS, NOBODY, Batch, Index, PackRow, Place, RecordRow
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import SEGMENT_ROWS
from rubackup.chunkstore.pack import Extent
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt, NotFound, RubackupError, StorageFault, StorageFull

log = logging.getLogger(__name__)
_BATCH: Final = 50_000
_JUDGED: Final = 200_000
"""Groups whose sums were checked, and are remembered."""
_GROUP = struct.Struct("<III")
"""Pack, offset and length of a group: the beginning of a place in the index."""
_ID = re.compile(r"[0-9a-f]{32}")


class Recovery:
    """One pass over some storages of a pool."""

    def __init__(self, index: Index, pool: bytes, hashes: Hashes | None = None) -> None:
        """`hashes`: what the pool records beside its packs; without it such files are left alone."""
        self._index = index
        self._pool = pool
        self.beside = HashFiles(hashes, self._problem)
        self.problems: list[str] = []
        """A sentence for each file that is damaged or could not be repaired."""
        self.repaired: list[str] = []
        """A sentence for each file that was put in its place."""
        self._storages: dict[bytes, Storage] = {}
        self._judged: dict[bytes, bool] = {}
        self.unreadable: list[str] = []
        """Packs that are left out as a part of them could not be read now: what they hold, nobody knows."""
        self.left: list[tuple[Storage, bytes]] = []
        """Packs that could not be closed yet, as there was no room."""
        self.unlisted: set[str] = set()
        """Records whose manifest is there and could not be listed: it is damaged, cannot be read, or there was no room."""

    def run(self, storages: Iterable[Storage], others: Iterable[Storage] = ()) -> None:
        """Repair everything in `storages`; the index then names what they hold, and nothing else of them.

        `others` belong to the pool too and were recovered before.
        """
        storages, others = list(storages), list(others)
        self._storages = {storage.id: storage for storage in (*storages, *others)}
        scanned = {storage.id for storage in storages}
        present = scanned.union(storage.id for storage in others)
        there = Ids()
        listed = [PackFiles(storage, self.beside.packs_of(storage), there) for storage in storages]
        lost = {row.number for row in self._index.packs() if row.storage in scanned and row.id not in there}
        condemned = self._index.marks.condemned
        if unexpected := [number for number in lost if number not in condemned or not condemned[number].going]:
            self._problem(f"{len(unexpected)} packs are missing from the storages of the pool.")
        # Known before any pack is indexed: a copy of a chunk takes the place of one that is lost.
        self._index.set_present(present, lost | self._index.missing)
        for storage in storages:
            for folder in ("packs", "manifests"):
                storage.backend.sweep(folder)
            storage.used_bytes = self.beside.size_bytes(storage)
            kept.tidy(storage)
        with self._index.filling(self._choose):
            for files in listed:
                for item in files:
                    self._try_pack(files.storage, item)
        self.beside.remove_orphans(storages, there, self._index)
        self._manifests(storages)

    def relist(self, storage: Storage, storages: Iterable[Storage], record: str) -> None:
        """List a record whose manifest came back to its place. The pool's lock is held."""
        self._storages = {one.id: one for one in storages}
        name = seals.manifest_name(record)
        size = storage.backend.size(name)
        self._take_manifest(storage, Item(name, size), record)
        storage.count(size)

    def _problem(self, text: str) -> None:
        log.error("%s", text)
        self.problems.append(text)

    # --- packs ---

    def _try_pack(self, storage: Storage, item: Item) -> None:
        """Index a pack, or leave it out while a part of it cannot be read: the pool's other packs are whole."""
        try:
            self._take_pack(storage, item)
        except StorageFault as error:
            if not is_bad_sector(error):
                raise
            path = PurePosixPath(item.name)
            row = self._index.pack_by_id(bytes.fromhex(path.stem)) if _ID.fullmatch(path.stem) else None
            if row is not None:
                self._index.mark_missing(row.number)
            self.unreadable.append(f"{storage.backend.label}/{item.name}")
            self._problem(f"{self.unreadable[-1]} is left out until the next opening: {error.message}")

    def _take_pack(self, storage: Storage, item: Item) -> None:
        """Index a pack, and close it when it is open."""
        path = PurePosixPath(item.name)
        if path.suffix == pack.GONE:
            storage.backend.erase(item.name)
            return
        if not _ID.fullmatch(path.stem) or path.suffix not in {".pack", ".open"}:
            self._problem(f"{storage.backend.label}/{item.name} is no file of the pool.")
            return
        name = bytes.fromhex(path.stem)
        if path.suffix == ".open":
            self.recover_open(storage, name)
            return
        storage.count(item.size_bytes)
        self.beside.complete(storage, name)
        row = self._index.pack_by_id(name)
        self._index.mark_found(row.number if row else 0)
        if row is None or not row.closed:
            self.adopt_closed(storage, name)
        elif row.storage != storage.id:  # it was moved to another storage
            self._index.commit(Batch(NOBODY, packs=[row._replace(storage=storage.id)]))

    def recover_open(self, storage: Storage, name: bytes) -> None:
        """Close and index a pack that was being written, cut behind its last whole group."""
        row = self._index.pack_by_id(name)
        file = pack.open_name(name)
        label = f"{storage.backend.label}/{file}"
        owner = ""
        try:
            header = pack.parse_header(storage.backend.read(file, 0, pack.HEADER_BYTES))
            if header.pool != self._pool or header.pack != name:
                self._problem(f"{label} is of another pool.")
                return
            owner = header.owner
        except Corrupt:  # whose its chunks are is not sure then: the manifests tell
            if storage.backend.size(file) > pack.HEADER_BYTES:
                self._problem(f"{label} has a damaged header.")
        groups = list(pack.scan(storage.backend, file))
        end = groups[-1][0].offset + groups[-1][0].length if groups else 0
        self._tell_lost(label, row, [extent for extent, _ in groups], end)
        if not groups:
            storage.backend.delete(file)
            if row is not None:
                self._index.forget_pack(row)
            return
        try:
            pack.finish(storage.backend, name, [extent for extent, _ in groups])
        except StorageFault as error:  # what the index names of it is durable; the rest waits for room
            self._problem(f"{label} could not be closed: {error.message}")
            self.left.append((storage, name))
            return
        size = storage.backend.size(pack.closed_name(name))
        storage.count(size)
        self.beside.make(storage, name)
        self._adopt(storage, name, owner, groups, size)  # with its trailer, as any closed pack is weighed

    def _tell_lost(self, label: str, row: PackRow | None, groups: list[Extent], end: int) -> None:
        """Name what is damaged of an open pack, as far as it was durable, and remove its chunks from the index."""
        durable = row.indexed_bytes if row is not None else end
        lost = [gap for gap in pack.gaps(groups) if gap.offset < durable]
        for gap in lost:
            self._problem(f"{label} is damaged at offset {gap.offset}: {gap.length} bytes are no whole group.")
        if durable > end:
            self._problem(f"{label} lost what lay behind byte {end}.")
        if row is not None and (lost or durable > end):
            self._index.forget_groups(row.number, {extent.offset for extent in groups})

    def adopt_closed(self, storage: Storage, name: bytes) -> None:
        """Index a closed pack that the index does not know as closed."""
        file = pack.closed_name(name)
        label = f"{storage.backend.label}/{file}"
        owner = ""
        damaged: list[int] = []
        try:
            header = pack.parse_header(storage.backend.read(file, 0, pack.HEADER_BYTES))
            if header.pool != self._pool:
                self._problem(f"{label} is of another pool.")
                return
            if header.pack == name:
                owner = header.owner
            else:  # whose its chunks are is not sure then: the manifests tell
                damaged = [ENDS]
                self._problem(f"{label} has the header of pack {header.pack.hex()}.")
            extents = pack.read_extents(storage.backend, file)
            groups = list(pack.read_heads(storage.backend, file, extents))
            if len(groups) < len(extents):
                self._problem(f"{label} has {len(extents) - len(groups)} damaged groups.")
                whole = {extent.offset for extent, _ in groups}
                damaged += [extent.offset for extent in extents if extent.offset not in whole]
                groups += [one for one in pack.scan(storage.backend, file) if one not in groups]
        except Corrupt as error:
            self._problem(f"{label} is damaged: {error.message}")
            groups = list(pack.scan(storage.backend, file))
            damaged = [ENDS]
        number = self._adopt(storage, name, owner, groups, storage.backend.size(file))
        for offset in damaged if number else ():  # so that the next collection empties the pack
            self._index.mark_bad(number, offset)

    def _adopt(self, storage: Storage, name: bytes, owner: str, groups: list[tuple[Extent, Head]], end: int) -> int:
        """The number of the pack, 0 when there is no room to index it now."""
        try:
            return self._index_groups(storage, name, owner, groups, end)
        except StorageFull as error:
            if self._index.fresh:  # it has to know everything before it counts
                raise
            self._problem(f"{storage.backend.label}/{pack.closed_name(name)} could not be indexed: {error.message}")
            self.left.append((storage, name))
            return 0

    def _index_groups(
        self, storage: Storage, name: bytes, owner: str, groups: list[tuple[Extent, Head]], end: int
    ) -> int:
        row = self._index.pack_by_id(name)
        number = row.number if row else self._index.new_pack_number()
        holder = self._index.owner(owner)
        batch = Batch(holder)
        for extent, head in groups:
            space = self._index.space(owner, head.key_id.hex())
            for position, (chunk, length) in enumerate(zip(head.ids, head.lengths, strict=True)):
                batch.chunks[chunk + space] = Place(number, extent.offset, extent.length, position, length, holder)
            if len(batch.chunks) > _BATCH:
                batch.packs = [PackRow(number, name, storage.id, False, 0)]
                self._index.commit(batch)
                batch = Batch(holder)
        batch.packs = [PackRow(number, name, storage.id, True, end)]
        self._index.commit(batch)
        return number

    # --- chunks in several packs ---

    def _choose(self, places: list[bytes]) -> bytes:
        """The place of a chunk that lies in several packs: one where it is whole, if any is.

        A damaged group whose chunks were sent again is where it was, and an index that was lost knew it to be damaged.
        """
        # A pack with a damaged header or trailer was maybe emptied already, and goes if nothing is found there.
        order = sorted(places, key=lambda place: self._index.is_bad(Place.decode(place).pack, ENDS))
        return next(filter(self._is_whole, order), places[0])

    def _is_whole(self, place: bytes) -> bool:
        spot = place[: _GROUP.size]
        if spot not in self._judged:
            if len(self._judged) >= _JUDGED:
                self._judged.clear()
            self._judged[spot] = self._judge(*_GROUP.unpack(spot))
        return self._judged[spot]

    def _judge(self, number: int, offset: int, length: int) -> bool:
        """Read a group and check its sums; one that is damaged is marked and told."""
        row = self._index.pack(number)
        storage = self._storages.get(row.storage) if row else None
        if row is None or storage is None:
            return False
        name = pack.closed_name(row.id)
        try:
            group.check_stored(storage.backend.read(name, offset, length))
        except Corrupt as error:
            self._index.mark_bad(number, offset)
            self._problem(f"{storage.backend.label}/{name} is damaged at offset {offset}: {error.message}")
        except (NotFound, StorageFault) as error:
            log.warning("%s at offset %d cannot be read: %s", name, offset, error.message)
        else:
            return True
        return False

    # --- manifests ---

    def _record_files(self, storages: list[Storage]) -> RecordFiles:
        """The files beside the packs; what was being received or erased is removed."""
        files = RecordFiles()
        for storage in storages:
            files.list(storage)
        for storage, item in files.left:
            suffix = PurePosixPath(item.name).suffix
            if suffix == ".open":
                storage.backend.delete(item.name)
            elif suffix == pack.GONE:
                storage.backend.erase(item.name)
            else:
                self._problem(f"{storage.backend.label}/{item.name} is no file of the pool.")
        return files

    def _manifests(self, storages: list[Storage]) -> None:
        files = self._record_files(storages)
        if files.astray or self._any_astray(files):
            self.repaired += astray.put_back(self._index, self._storages.values())
            files = self._record_files(storages)
        for storage, item in files.astray:
            self._problem(f"{storage.backend.label}/{item.name} is a manifest whose place is taken.")
        for storage, locks in files.locks:
            for name in locks:
                if name in files.tombstones:
                    storage.backend.delete(seals.lock_name(name.hex()))
        self._forget_lost(self._take_manifests(files, storages), files.tombstones, storages)

    def _take_manifests(self, files: RecordFiles, storages: list[Storage]) -> Ids:
        """List the records of manifests, and finish drops; the records that stay."""
        listed = Ids()
        for storage, manifests in files.manifests:
            for name, size_bytes in manifests:
                record = name.hex()
                item = Item(seals.manifest_name(record), size_bytes)
                if name in files.tombstones:
                    self._remove_dropped(storage, item, record, files.tombstones)
                elif storage.emergency and self._was_moved(storage, record, storages):
                    storage.backend.delete(item.name)
                else:
                    listed.add(name)
                    storage.count(size_bytes)
                    self._take_manifest(storage, item, record)
        return listed

    def _forget_lost(self, listed: Ids, tombstones: Ids, storages: list[Storage]) -> None:
        """Records of these storages that have no manifest there any more, or were dropped, are listed no more."""
        present = {storage.id for storage in storages}
        for row in each_record(self._index):
            name = bytes.fromhex(row.sealed.record)
            gone, dropped = row.storage in present and name not in listed, name in tombstones
            if gone and not dropped:
                self._problem(f"The manifest of record {row.sealed.record} is missing: the record is lost.")
            if gone or dropped:
                self._index.delete_record(row.sealed.record)

    def _any_astray(self, files: RecordFiles) -> bool:
        """Whether a file that is not as the index knows it is the manifest of another record."""
        return any(
            self._is_astray(storage, name.hex(), size_bytes, dropped=name in files.tombstones)
            for storage, manifests in files.manifests
            for name, size_bytes in manifests
        )

    def _is_astray(self, storage: Storage, record: str, size_bytes: int, *, dropped: bool) -> bool:
        row = None if dropped else self._index.record(record)
        if row is not None and row.file_bytes == size_bytes and row.storage == storage.id:
            return False
        return astray.record_in(storage.backend, seals.manifest_name(record)) not in {"", record}

    def _remove_dropped(self, storage: Storage, item: Item, record: str, tombstones: Ids) -> None:
        """Finish a drop; a file that is another record's stays."""
        inside = astray.record_in(storage.backend, item.name)
        if inside in {"", record} or bytes.fromhex(inside) in tombstones:
            storage.backend.delete(item.name)
        else:
            self._problem(f"{storage.backend.label}/{item.name} is the manifest of record {inside}.")

    def _was_moved(self, storage: Storage, record: str, storages: Iterable[Storage]) -> bool:
        """Whether a manifest in the emergency storage lies in a regular one, too: there it was moved whole."""
        row = self._index.record(record)
        elsewhere = self._storages.get(row.storage) if row and row.storage != storage.id else None
        if elsewhere is not None and not elsewhere.emergency:
            return True
        return any(one.has(seals.manifest_name(record)) for one in storages if not one.emergency)

    def _take_manifest(self, storage: Storage, item: Item, record: str) -> None:
        row = self._index.record(record)
        if row is not None and row.file_bytes == item.size_bytes and row.storage == storage.id:
            return
        try:
            sealed, stream_bytes, file_bytes = seals.read_seal(storage.backend, item.name)
            if sealed.record != record:
                raise Corrupt("its seal names another record.")
            packs, whole = self._grant_rows(storage, item.name, stream_bytes, sealed)
            if sealed.fence > self._index.fence(sealed.task_id):
                self._index.set_fences({sealed.task_id: sealed.fence})
            self._index.put_record(RecordRow(sealed, stream_bytes, storage.id, file_bytes), packs, whole=whole)
        except Corrupt as error:
            self._not_listed(storage, item, record, f"is damaged: {error.message}")
        except StorageFault as error:
            if is_bad_sector(error):
                self._not_listed(storage, item, record, f"cannot be read: {error.message}")
                return
            if self._index.fresh or not isinstance(error, StorageFull):
                raise
            self._not_listed(storage, item, record, f"is not listed before the next opening: {error.message}")

    def _not_listed(self, storage: Storage, item: Item, record: str, why: str) -> None:
        self.unlisted.add(record)
        self._problem(f"{storage.backend.label}/{item.name} {why}")

    def _grant_rows(self, storage: Storage, name: str, stream_bytes: int, sealed: SealedRecord) -> tuple[PackSet, bool]:
        """The owner of a sealed record owns its chunks: that was checked when it was sealed.

        The packs it needs, and whether all of its chunks are known.
        """
        packs, whole = PackSet(), True
        space, ownerless = (self._index.space(owner, sealed.key_id) for owner in (sealed.owner, ""))
        reader = ManifestReader(lambda offset, length: storage.backend.read(name, offset, length), stream_bytes)
        batch = Batch(self._index.owner(sealed.owner))
        for first in range(0, reader.row_count, SEGMENT_ROWS):
            rows = reader.rows(first, min(SEGMENT_ROWS, reader.row_count - first))
            names = {chunk for chunk, _ in rows if chunk != HOLE}
            found = self._index.lookup(names, space, going=True)
            if space:  # a pack whose header is damaged does not tell whose encrypted chunks it holds: the record does
                claimed = self._index.lookup(names.difference(found), ownerless, going=True)
                for chunk, value in claimed.items():
                    batch.chunks[chunk + space] = Place.decode(value)._replace(owner=batch.owner)
                found |= claimed
            packs.update({Place.decode(value).pack for value in found.values()})
            whole = whole and len(found) == len(names)
            batch.grants |= self._index.not_owned(found, batch.owner, space)
            if len(batch.grants) + len(batch.chunks) > _BATCH:
                self._index.commit(batch)
                batch = Batch(batch.owner)
        if batch.grants or batch.chunks:
            self._index.commit(batch)
        return packs, whole


def close_left(
    index: Index, pool: bytes, left: Iterable[tuple[Storage, bytes]], hashes: Hashes | None = None
) -> list[tuple[Storage, bytes]]:
    """Close and index packs that failed sessions left; those for which there still is no room."""
    still: list[tuple[Storage, bytes]] = []
    for storage, name in left:
        recovery = Recovery(index, pool, hashes)
        try:
            if storage.has(pack.open_name(name)):
                recovery.recover_open(storage, name)
            elif storage.has(pack.closed_name(name)):
                recovery.beside.complete(storage, name)
                recovery.adopt_closed(storage, name)
            still += recovery.left
        except RubackupError as error:
            log.warning("pack %s stays open: %s", name.hex(), error.message)
            still.append((storage, name))
    return still
