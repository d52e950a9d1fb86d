"""One collection of a pool: what is live, what is not, what goes now, what later.

Order and reasons: `docs/design/chunkstore.md`, Garbage collection.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from collections.abc import Collection as Some
from itertools import chain
from pathlib import PurePosixPath
from typing import Final, TypeVar

from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.gc.compact import Compaction
from rubackup.chunkstore.gc.doomed import Doomed
from rubackup.chunkstore.gc.drain import drain
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.gc.live import LiveIds
from rubackup.chunkstore.gc.lost import prove_lost
from rubackup.chunkstore.gc.remove import kept_until_ns, remove_due
from rubackup.chunkstore.gc.weigh import Emptied, Weights, weigh
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import SEGMENT_ROWS
from rubackup.chunkstore.read import StoredManifest
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, StorageFault

_T = TypeVar("_T")
log = logging.getLogger(__name__)
_NAMED: Final = 100
"""Damaged records that are named at most in the problems."""


def collect(ground: Ground, unfinished: Some[int] | None, writing: Callable[[], set[int]]) -> None:
    """Collect; the guard was begun. Tasks that are `unfinished` (None: all) or `writing` keep their pins."""
    with translated(str(ground.folder), ""):
        shutil.rmtree(ground.folder, ignore_errors=True)
        ground.folder.mkdir(mode=0o700)
    try:
        _Collection(ground, writing).run(unfinished)
    finally:
        shutil.rmtree(ground.folder, ignore_errors=True)


def listed(ground: Ground) -> list[RecordRow]:
    """Every record; StorageFault or Corrupt when something of the pool is away or cannot be read. With the lock."""
    storages = ground.storages()
    if away := ground.away():
        raise StorageFault(
            f"Nothing is collected: {', '.join(away)} belongs to the pool and is away. "
            "It may hold copies that need what seems to be unused."
        )
    if unreadable := ground.unreadable():
        raise StorageFault(
            f"Nothing is collected: {', '.join(unreadable[:5])} could not be read when the pool was opened. When its disk "
            "is repaired, or the file is moved away, and the media server was started again, the pool is collected."
        )
    rows = ground.index.records()
    known = {row.sealed.record for row in rows}
    for row in rows:
        _storage_of(ground, row)
    for pack in ground.index.packs():
        if storages.get(pack.storage) is None:
            raise StorageFault("Nothing is collected: a storage that holds packs of the pool is away.")
    for storage in storages.all:
        storage.check_bound()
        for item in storage.backend.list("manifests"):
            path = PurePosixPath(item.name)
            if path.suffix == ".manifest" and path.stem not in known:
                raise _unknown(ground, path.stem, f"{storage.backend.label}/{item.name}")
    return rows


def _unknown(ground: Ground, record: str, label: str) -> Corrupt:
    """Why a manifest that the index does not know keeps all: it cannot be read, or the index has forgotten it."""
    if ground.listable(record) and ground.index.suspect(f"The index does not know the manifest {label}."):
        return Corrupt(f"Nothing is collected: the manifest {label} is there, and the index does not know it.")
    return Corrupt(
        f"Nothing is collected: the manifest {label} cannot be read. "
        "When its record is deleted, or the file is moved away, the pool is collected again."
    )


def _storage_of(ground: Ground, row: RecordRow) -> Storage:
    storage = ground.storages().get(row.storage)
    if storage is None:
        raise StorageFault(f"Nothing is collected: the storage of record {row.sealed.record} is away.")
    return storage


class _Collection:
    def __init__(self, ground: Ground, writing: Callable[[], set[int]]) -> None:
        self._ground = ground
        self._writing = writing
        self._index = ground.index

    def run(self, unfinished: Some[int] | None) -> None:
        ground, index = self._ground, self._index
        self._say_what_cannot_be_zeroed()
        with ground.lock:
            rows = listed(ground)
            self._unpin(unfinished)
            pinned = {number for _, number in index.marks.pins()}
            horizon = index.new_pack_number()
        live = LiveIds(ground.folder, index.chunk_count)
        self._read(rows, live)
        drained = [one.id for one in ground.storages().all if one.emergency]
        weights, emptied, unknown = self._weigh(live, horizon, pinned, drained)
        scarred: set[int] = set()
        if unknown:
            scarred = self._lose(rows, unknown)
            weights, emptied, more = self._weigh(live, horizon, pinned, drained, unknown)
            if more:
                raise Conflict("Chunks went while the pool was collected; it is collected again later.")
        dead = [number for number in weights.packs() if not weights.live[number]]
        chosen = [one for one in emptied.chosen() if one[0] not in index.marks.condemned]
        protected = self._protected(chain(dead, (number for number, _ in chosen)))
        dead = [number for number in dead if number not in protected]
        chosen = [one for one in chosen if one[0] not in protected]
        kept = scarred | Doomed(ground, live, dead, chosen).kept() | protected
        self._mark(weights, kept)
        remove_due(ground)
        compaction = Compaction(ground)
        compaction.run([one for one in chosen if one[0] not in index.marks.condemned and one[0] not in kept])
        if compaction.emptied:
            remove_due(ground)
        if drained:
            drain(ground)

    def _protected(self, numbers: Iterable[int]) -> set[int]:
        """Packs that their storage keeps now: they stay, known, so that backups may use them; nor are they emptied.

        A copy of a group elsewhere would not be protected.
        """
        ground, marks = self._ground, self._index.marks.condemned
        found = {
            number
            for number in numbers
            if not (number in marks and marks[number].going) and kept_until_ns(ground, number) > ground.now_ns()
        }
        ground.result.protected_packs = len(found)
        return found

    def _say_what_cannot_be_zeroed(self) -> None:
        for storage in self._ground.storages().all if self._ground.zeroing else ():
            if not storage.backend.capabilities.overwrite:
                text = f"The folder {storage.backend.label} cannot overwrite what is deleted: its file system copies on write."
                if not storage.backend.capabilities.append:
                    text = f"The storage {storage.backend.label} cannot overwrite what is deleted."
                log.warning("%s", text)
                self._ground.result.problems.append(text)

    def _unpin(self, unfinished: Some[int] | None) -> None:
        if unfinished is not None:
            over = {task for task, _ in self._index.marks.pins()}.difference(unfinished, self._writing())
            self._index.marks.unpin(over)

    # --- what is live ---

    def _read(self, rows: list[RecordRow], live: LiveIds) -> None:
        total = sum(row.stream_bytes for row in rows)
        done = 0
        for row in rows:
            self._unless_dropped(lambda row: live.add(self._reader(row), self._ground.check), row)
            done += row.stream_bytes
            self._ground.progress(done, total)

    def _weigh(
        self, live: LiveIds, horizon: int, pinned: set[int], drained: Some[bytes], lost: Some[bytes] = ()
    ) -> tuple[Weights, Emptied, set[bytes]]:
        ground = self._ground
        weights = Weights(self._index, horizon, pinned)
        emptied = Emptied(ground.safety.compact_share, ground.safety.compact_bytes)
        unknown = weigh(self._index, live, weights, emptied, ground.folder, ground.check, drained, lost)
        return weights, emptied, unknown

    def _lose(self, rows: list[RecordRow], unknown: set[bytes]) -> set[int]:
        """Name the records with chunks that are in no pack; the packs that must stay, as they have damaged groups.

        Corrupt or StorageFault when that is not sure; Conflict when the records were dropped meanwhile.
        """
        damaged: list[RecordRow] = []
        for row in rows:
            if missing := self._unless_dropped(self._missing, row):
                if self._index.record_packs(row.sealed.record) is not None:  # it says that the record is whole
                    text = (
                        f"The index does not know {missing} chunks of record {row.sealed.record}, which is whole by it."
                    )
                    self._index.suspect(text)
                    raise Corrupt(f"Nothing is collected: {text}")
                damaged.append(row)
        if not damaged:
            raise Conflict("A copy was deleted while the pool was collected; it is collected again later.")
        scarred = prove_lost(self._ground, unknown)
        self._ground.result.damaged = [row.sealed.record for row in damaged]
        for row in damaged[:_NAMED]:
            self._ground.problem(
                f"Record {row.sealed.record} of {row.sealed.resource} of client {row.sealed.owner} names chunks that no pack "
                "of the pool has. The next backup of the same data may heal it."
            )
        return scarred

    def _missing(self, row: RecordRow) -> int:
        reader = self._reader(row)
        space = self._index.space(row.sealed.owner, row.sealed.key_id)
        for first in range(0, reader.row_count, SEGMENT_ROWS):
            self._ground.check()
            names = {name for name, _ in reader.rows(first, min(SEGMENT_ROWS, reader.row_count - first))}
            names.discard(HOLE)
            if missing := len(names) - len(self._index.places(names, space)):
                return missing
        return 0

    def _reader(self, row: RecordRow) -> ManifestReader:
        return StoredManifest(_storage_of(self._ground, row), row).reader()

    def _unless_dropped(self, read: Callable[[RecordRow], _T], row: RecordRow) -> _T | None:
        """What is read of a record's manifest; None when it was dropped meanwhile, Corrupt when it cannot be read."""
        try:
            return read(row)
        except (Corrupt, Invalid, NotFound) as error:
            with self._ground.lock:  # a drop removes the manifest first, then the row
                if self._index.record(row.sealed.record) is None:
                    return None
            raise Corrupt(
                f"Nothing is collected: the manifest of record {row.sealed.record} in "
                f"{_storage_of(self._ground, row).backend.label} cannot be read: {error.message}"
            ) from error

    # --- what is not ---

    def _mark(self, weights: Weights, kept: set[int]) -> None:
        ground, marks, result = self._ground, self._index.marks, self._ground.result
        with ground.lock:
            touched = ground.guard.touched()
            packs = weights.packs()
            live_again = {
                n
                for n in packs
                if n in marks.condemned and not marks.condemned[n].going and (weights.live[n] or n in kept)
            }
            if lost := [n for n in packs if n in marks.condemned and marks.condemned[n].going and weights.live[n]]:
                text = f"Nothing is collected: {len(lost)} packs that are being removed hold chunks that records need."
                self._index.suspect(text)
                raise Corrupt(text)
            marks.spare(live_again)
            dead = [n for n in packs if not weights.live[n] and n not in marks.condemned and n not in touched | kept]
            if dead:
                marks.condemn(dead, ground.new_mark())
                ground.guard.changes += 1
        result.packs = len(packs)
        result.live_bytes = sum(weights.live)
        result.unused_bytes = sum(map(weights.unused, packs))
        result.condemned_packs = len(dead)
        result.condemned_bytes = sum(map(weights.size, dead))
