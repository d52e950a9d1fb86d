"""The index: where each chunk is, who owns it, which packs, records and fences there are.

Everything in it can be rebuilt from the storages. It knows which chunks can be read now:
those in a pack that is present and in a group that was not found damaged.
Tables: `docs/design/chunkstore.md`, Index.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import lmdb

from rubackup.chunkstore import _index_check, _marks
from rubackup.chunkstore._fill import Fill
from rubackup.chunkstore._lmdb import Environment
from rubackup.chunkstore._marks import Mark, Marks, Moved
from rubackup.chunkstore._records import Records
from rubackup.chunkstore._tables import NUMBER, PACK
from rubackup.chunkstore.backends.oserrors import sync_folder, translated
from rubackup.chunkstore.identity import ID_BYTES
from rubackup.chunkstore.index_rows import Batch, PackRow, Place, RecordRow
from rubackup.domain.errors import Corrupt, StorageFault

__all__ = [
    "ENDS",
    "FORMAT",
    "MAP_BYTES",
    "NOBODY",
    "TRUSTED_SECONDS",
    "Batch",
    "Index",
    "PackRow",
    "Place",
    "RecordRow",
]
log = logging.getLogger(__name__)

MAP_BYTES: Final = 256 << 20
FORMAT: Final = b"1"
NOBODY: Final = 0
ENDS: Final = 0
"""The place, in marks of damage, of a pack's header and trailer: no group is there."""
_FREE: Final = b"free pack"
"""In `meta`: no pack of this number or a higher one was ever there, but for those that are."""
TRUSTED_SECONDS: Final = 3600.0
"""For so long an index that was rebuilt is not suspected again."""
_DATABASES = (
    "meta",
    "chunks",
    "owners",
    "packs",
    "pack_ids",
    "owner_names",
    "fences",
    "records",
    "record_packs",
    "bad",
    *_marks.DATABASES,
)

_SPOT = struct.Struct(">II")


class Index(Records):
    """The index of one pool."""

    def __init__(
        self,
        folder: Path,
        pool: bytes,
        map_bytes: int = MAP_BYTES,
        now_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open or create; Corrupt when it is damaged, unfinished, or of another pool."""
        self._env = Environment(folder, _DATABASES, map_bytes)
        self._db = self._env.databases
        self.present: frozenset[bytes] = frozenset()
        """Ids of the storages that can be used."""
        self.missing: set[int] = set()
        """Packs that no storage holds."""
        self._usable: dict[int, bool] = {}
        self._trusted_until = 0.0
        self._folder = folder
        self._fill: Fill | None = None
        try:
            with self._env.read() as txn:
                told = [txn.get(key, db=self._db["meta"]) for key in (b"format", b"pool", b"complete")]
                self._bad = set(txn.cursor(self._db["bad"]).iternext(values=False))
                last = txn.cursor(self._db["packs"])
                free = NUMBER.unpack(last.key())[0] + 1 if last.last() else 1
                # A number is never used again: sets of packs name packs that are gone (`record_packs`).
                first: int = max(free, NUMBER.unpack(txn.get(_FREE, NUMBER.pack(1), db=self._db["meta"]))[0])
                self._numbers = count(first)
            self.marks = Marks(self._env, now_ns(), steady_ns())
            self.fresh = told == [None, None, None]
            if not self.fresh and told != [FORMAT, pool, b"1"]:
                raise Corrupt(f"The index in {folder} is of another pool or version, or not finished.")
            if self.fresh:
                self._put("meta", b"format", FORMAT)
                self._put("meta", b"pool", pool)
        except BaseException:
            self._env.close()
            raise

    @property
    def damaged(self) -> bool:
        """Whether a transaction found damage."""
        return self._env.damaged

    def suspect(self, reason: str) -> bool:
        """The index has pointed to a wrong place: `damaged` from now on, so that the pool is opened anew and fills another.

        False for one that was just rebuilt: it agrees with the packs, so another rebuild would change nothing.
        """
        if time.monotonic() < self._trusted_until:
            log.error("%s The index was rebuilt a short while ago and is kept.", reason)
            return False
        log.error("%s", reason)
        self._env.condemn()
        return True

    def close(self) -> None:
        """Release the files."""
        self._env.close()
        _index_check.closed(self._folder)

    def complete(self) -> None:
        """Say that the index knows everything the storages hold; until then it is rebuilt at each opening.

        Its names become durable: an older index that it took the place of would know packs that are removed later.
        """
        self._env.settle()
        with translated(str(self._folder), ""):
            for folder in (self._folder, self._folder.parent):
                sync_folder(folder)
        self._put("meta", b"complete", b"1")
        self.fresh = False
        if self._env.entries("packs"):
            self._trusted_until = time.monotonic() + TRUSTED_SECONDS

    # --- storages and packs ---

    def storage_paths(self) -> dict[bytes, str]:
        """Path of each storage that ever belonged to the pool, by storage id."""
        with self._env.read() as txn:
            rows = list(txn.cursor(self._db["meta"]))
        return {key[8:]: value.decode(errors="surrogateescape") for key, value in rows if key.startswith(b"storage:")}

    def remember_storage(self, storage: bytes, path: str) -> None:
        """Keep a storage's path, so that an unmounted one is noticed."""
        self._put("meta", b"storage:" + storage, path.encode(errors="surrogateescape"))

    def new_pack_number(self) -> int:
        """A number no pack of this pool has, higher than all before."""
        return next(self._numbers)

    def pack(self, number: int) -> PackRow | None:
        """A pack by number."""
        value = self._get("packs", NUMBER.pack(number))
        return _pack_row(number, value) if value is not None else None

    def pack_by_id(self, pack: bytes) -> PackRow | None:
        """A pack by its id."""
        key = self._get("pack_ids", pack)
        return self.pack(NUMBER.unpack(key)[0]) if key is not None else None

    def packs(self) -> Iterator[PackRow]:
        """Every pack, in batches, so that no transaction is long."""
        start = 0
        while True:
            with self._env.read() as txn:
                cursor = txn.cursor(self._db["packs"])
                rows: list[PackRow] = []
                found = cursor.set_range(NUMBER.pack(start))
                while found and len(rows) < 1000:
                    number = NUMBER.unpack(cursor.key())[0]
                    self._check("packs", (cursor.value(),))
                    rows.append(_pack_row(number, cursor.value()))
                    found = cursor.next()
            yield from rows
            if not found:
                return
            start = rows[-1].number + 1

    def set_present(self, storages: Iterable[bytes], missing: set[int]) -> None:
        """Say which storages can be used, and which packs they should hold but do not."""
        self.present = frozenset(storages)
        self.missing = missing
        self._usable = {}

    def mark_missing(self, pack: int) -> None:
        """A pack was not found where it should be."""
        self.missing.add(pack)
        self._usable[pack] = False

    def mark_found(self, pack: int) -> None:
        """A pack that was missing is back."""
        self.missing.discard(pack)
        self._usable.pop(pack, None)

    def mark_bad(self, pack: int, offset: int) -> None:
        """A group was found damaged: its chunks count as unknown from now on. At ENDS: header or trailer of a pack."""
        spot = _SPOT.pack(pack, offset)
        if spot not in self._bad:
            self._bad.add(spot)
            with suppress(StorageFault):  # without room it is known until the process ends
                self._put("bad", spot, b"")

    def is_bad(self, pack: int, offset: int) -> bool:
        """Whether a group, or at ENDS header or trailer of a pack, was found damaged."""
        return bool(self._bad) and _SPOT.pack(pack, offset) in self._bad

    def scarred(self) -> set[int]:
        """Numbers of the packs that have something damaged."""
        return {_SPOT.unpack(spot)[0] for spot in tuple(self._bad)}

    def usable(self, value: bytes, *, condemned: bool = False, going: bool = False) -> bool:
        """Whether the chunk of this row can be read, as far as is known, and its pack is not condemned (or may be).

        One whose removal has begun is as good as gone, unless `going`.
        """
        pack, offset = struct.unpack_from("<II", value)
        mark = self.marks.condemned.get(pack)
        if mark is not None and not (going if mark.going else condemned or going):
            return False
        known = self._usable.get(pack)
        if known is None:
            known = self._pack_usable(pack, self._usable)
        return known and not self.is_bad(pack, offset)

    def whole_pack(self, number: int) -> PackRow | None:
        """A pack of a storage that can be used, not condemned, with no group that was found damaged; else None."""
        row = self.pack(number)
        if row is None or number in self.marks.condemned or row.storage not in self.present or number in self.missing:
            return None
        key, ends = NUMBER.pack(number), _SPOT.pack(number, ENDS)
        damaged = self._bad and any(spot.startswith(key) and spot != ends for spot in tuple(self._bad))
        return None if damaged else row

    def _pack_usable(self, number: int, cache: dict[int, bool]) -> bool:
        # The cache is handed in: `set_present` may replace it meanwhile, and must not get this answer.
        row = self.pack(number)
        usable = row is not None and row.storage in self.present and number not in self.missing
        if len(cache) > 200_000:
            cache.clear()
        cache[number] = usable
        return usable

    # --- chunks and owners ---

    def space(self, owner: str, key_id: str) -> bytes:
        """Where the chunks of a record are: b'' for clear ones, which all share, else a space of its owner alone.

        A hostile client can give encrypted chunks any id, so its ids must never meet anybody else's.
        """
        return NUMBER.pack(self.owner(owner)) if key_id else b""

    @staticmethod
    def space_of(owner: int) -> bytes:
        """The space of the encrypted chunks of an owner, by number."""
        return NUMBER.pack(owner)

    def intact(self, value: bytes) -> bool:
        """Whether the group of this place was not found damaged."""
        return not self.is_bad(*struct.unpack_from("<II", value))

    def lookup(
        self, ids: Collection[bytes], space: bytes = b"", *, condemned: bool = False, going: bool = False
    ) -> dict[bytes, bytes]:
        """The encoded place of each of these chunks that can be read; those of condemned packs only when asked for."""
        found = self.places(ids, space)
        # Thousands of chunks lie in a few groups: each is judged once.
        spots = {value[:8] for value in found.values()}
        lost = {spot for spot in spots if not self.usable(spot, condemned=condemned, going=going)}
        return {key: value for key, value in found.items() if value[:8] not in lost} if lost else found

    def places(self, ids: Collection[bytes], space: bytes = b"") -> dict[bytes, bytes]:
        """The encoded place of each of these chunks, whether it can be read or not."""
        with self._env.read() as txn:
            cursor = txn.cursor(self._db["chunks"])
            if space:
                found = {key[:ID_BYTES]: value for key, value in cursor.getmulti([name + space for name in ids])}
            else:
                found = dict(cursor.getmulti(ids))
        self._check("chunks", found.values())
        return found

    def not_owned(self, found: dict[bytes, bytes], owner: int, space: bytes = b"") -> set[bytes]:
        """Which of these chunks (as `lookup` gave them) this owner does not own; all in a space of its own are its."""
        if space:
            return set()
        mark = owner.to_bytes(4, "little")
        others = [name for name, value in found.items() if value[20:] != mark]
        if not others:
            return set()
        suffix = NUMBER.pack(owner)
        with self._env.read() as txn:
            rows = txn.cursor(self._db["owners"]).getmulti([name + suffix for name in others])
        return set(others).difference(key[:32] for key, _ in rows)

    def owner(self, name: str) -> int:
        """The number of an owner, made when it is new; '' is nobody."""
        if not name:
            return NOBODY

        def change(txn: lmdb.Transaction[bytes]) -> int:
            table = self._db["owner_names"]
            value = txn.get(name.encode(), db=table)
            self._check("owner_names", (value,) if value is not None else ())
            if value is None:
                value = NUMBER.pack(txn.stat(table)["entries"] + 1)
                txn.put(name.encode(), value, db=table)
            return int(NUMBER.unpack(value)[0])

        known = self._get("owner_names", name.encode())
        return int(NUMBER.unpack(known)[0]) if known else self._env.write(change)

    def owner_name(self, number: int) -> str:
        """The name of the owner of a number; '' of nobody."""
        wanted = NUMBER.pack(number)
        with self._env.read() as txn:
            return next((key.decode() for key, value in txn.cursor(self._db["owner_names"]) if value == wanted), "")

    @contextmanager
    def filling(self, choose: Callable[[list[bytes]], bytes]) -> Iterator[None]:
        """Within it a fresh index takes the chunks of packs in any order and stores them sorted, at the end.

        Until then no chunk is found. Of several places of a chunk `choose` says which is kept; it may mark groups as
        damaged. An index that has chunks is changed as ever.
        """
        if not self.fresh or self.chunk_count:
            yield
            return
        self._fill = fill = Fill(self._folder / "filling")
        try:
            yield
        finally:
            self._fill = None
        fill.finish(self._append, choose)

    def _append(self, chunks: list[tuple[bytes, bytes]], owners: list[tuple[bytes, bytes]]) -> None:
        def change(txn: lmdb.Transaction[bytes]) -> None:
            txn.cursor(self._db["chunks"]).putmulti(chunks, append=True)
            txn.cursor(self._db["owners"]).putmulti(owners, append=True)

        self._env.write(change)

    def commit(self, batch: Batch) -> None:
        """Add durable packs, their chunks and grants. A chunk that can be read already keeps its place."""
        if self._fill is not None:
            self._fill.add((name, place.encode()) for name, place in batch.chunks.items())
            batch = replace(batch, chunks={})
        self._env.write(lambda txn: self._apply(txn, batch))
        for row in batch.packs:
            self._usable.pop(row.number, None)

    def _apply(self, txn: lmdb.Transaction[bytes], batch: Batch) -> None:
        for row in batch.packs:
            number = NUMBER.pack(row.number)
            txn.put(number, PACK.pack(row.id, row.storage, row.closed, row.indexed_bytes), db=self._db["packs"])
            txn.put(row.id, number, db=self._db["pack_ids"])
            if batch.task_id:
                self.marks.pin_within(txn, batch.task_id, row.number)
        names = sorted(batch.chunks)
        cursor = txn.cursor(self._db["chunks"])
        shared = set(batch.grants)
        kept: set[bytes] = set()
        former: list[tuple[bytes, bytes]] = []
        for name, value in cursor.getmulti(names):
            self._check("chunks", (value,))
            owner = Place.decode(value).owner
            if self._readable(txn, value):
                kept.add(name)
                if owner != batch.owner:
                    shared.add(name)
            elif owner not in {batch.owner, NOBODY}:  # the chunk moves, and stays its former owner's too
                former.append((name + NUMBER.pack(owner), b""))
        cursor.putmulti([(name, batch.chunks[name].encode()) for name in names if name not in kept])
        suffix = NUMBER.pack(batch.owner)
        rows = former + ([(name + suffix, b"") for name in shared] if batch.owner != NOBODY else [])
        txn.cursor(self._db["owners"]).putmulti(sorted(rows))

    def _readable(self, txn: lmdb.Transaction[bytes], value: bytes) -> bool:
        """As `usable`, within a transaction."""
        pack, offset = struct.unpack_from("<II", value)
        row = txn.get(NUMBER.pack(pack), db=self._db["packs"])
        self._check("packs", (row,) if row is not None else ())
        return (
            row is not None
            and pack not in self.missing
            and pack not in self.marks.condemned
            and not self.is_bad(pack, offset)
            and _pack_row(pack, row).storage in self.present
        )

    def forget_groups(self, number: int, whole: Collection[int]) -> None:
        """Remove the chunks of a pack whose groups are not at one of these offsets: their bytes turned out not to be there."""

        def change(txn: lmdb.Transaction[bytes]) -> None:
            cursor = txn.cursor(self._db["chunks"])
            cursor.first()
            while cursor.key():  # after the last one was deleted there is none
                self._check("chunks", (cursor.value(),))
                place = Place.decode(cursor.value())
                if place.pack == number and place.offset not in whole:
                    cursor.delete()
                elif not cursor.next():
                    break
            # A record with such a chunk would seem whole by its packs: all are looked up again.
            txn.drop(self._db["record_packs"], delete=False)

        self._env.write(change)

    def forget_pack(self, row: PackRow) -> None:
        """Remove a pack that holds nothing any more."""

        def change(txn: lmdb.Transaction[bytes]) -> None:
            free = txn.get(_FREE, b"", db=self._db["meta"])
            txn.put(_FREE, max(free, NUMBER.pack(row.number + 1)), db=self._db["meta"])
            txn.delete(NUMBER.pack(row.number), db=self._db["packs"])
            txn.delete(row.id, db=self._db["pack_ids"])
            self.marks.spare_within(txn, [row.number])
            for spot in spots:
                txn.delete(spot, db=self._db["bad"])

        spots = [spot for spot in list(self._bad) if spot[:4] == NUMBER.pack(row.number)]
        self._env.write(change)
        self._bad.difference_update(spots)
        self.marks.forget([row.number])
        self.missing.discard(row.number)
        self._usable.pop(row.number, None)

    def move(self, new: Iterable[PackRow], groups: Collection[Moved], emptied: Collection[int], mark: Mark) -> None:
        """One transaction: add durable packs, move these groups' chunks into them, condemn the packs they left.

        The pool's lock is held.
        """

        def change(txn: lmdb.Transaction[bytes]) -> None:
            self._apply(txn, Batch(NOBODY, packs=list(new)))
            self.marks.move_within(txn, groups)
            self.marks.condemn_within(txn, emptied, mark)

        self._env.write(change)
        self.marks.remember(groups)
        self.marks.note(emptied, mark)

    @property
    def chunk_count(self) -> int:
        """Number of chunks known."""
        return self._env.entries("chunks")


def _pack_row(number: int, value: bytes) -> PackRow:
    pack, storage, closed, indexed = PACK.unpack(value)
    return PackRow(number, pack, storage, bool(closed), indexed)
