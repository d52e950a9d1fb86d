"""The part of a pool that knows which of its storages are there, what is lost with those that are not, and where the emergency storage is.

Design: `docs/design/pools.md`, Where packs go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from rubackup.chunkstore import kept, metafiles, seals
from rubackup.chunkstore._mending import Mending
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore._presence import closed_or_open
from rubackup.chunkstore._usage import NOT_SPARED, Fill, Spared, fill_of, reason_of
from rubackup.chunkstore._walk import each_record
from rubackup.chunkstore._wholeness import whole_packs
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.opening import Backends
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.locations import Folder, Location
from rubackup.chunkstore.read import StoredManifest
from rubackup.chunkstore.recovery import Recovery
from rubackup.chunkstore.roster import FILE, Roster
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import MARKER, Bound, Storage, Storages, belongs_to, bind
from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, RubackupError, StorageFault

log = logging.getLogger(__name__)
_NEEDED: Final = "The copy needs what lies in a storage that is away:"
Emergency = Callable[[bool], Path | None]
"""The folder for packs that no storage has room for; with True it is made. None when it is not there. StorageFault."""


def same(one: Storage, current: Mapping[bytes, Storage]) -> Storage | None:
    """The storage as the pool has it, in the same place; None when it is new to it there."""
    found = current.get(one.id)
    return found if found is not None and found.backend.label == one.backend.label else None


class Members(Mending):
    """What `Pool` inherits; the attributes are the pool's."""

    _roster: Roster
    _bound: Bound
    _given: Sequence[Location]
    _prepare: Emergency | None
    _backends: Backends
    level: int | None
    problems: list[str]
    shifts: int
    """Rises when a storage was seen to go away or to be back: what was missed meanwhile may be there."""
    _untold: bool
    """A folder may not know yet which storages the pool has."""
    _tell: Callable[[Sequence[Storage]], None]
    _enrol: Callable[[Sequence[Storage], Sequence[Storage]], None]
    reconfigure: Callable[..., None]
    _holds: Callable[[Storage], bool]

    # --- what is there ---

    def look(self) -> None:
        """Notice folders that went away, came back, or take data again. Cheap while nothing changes."""
        with self._lock:
            if self._closed:
                return
            failed = any(one.backend.capabilities.must_reopen() for one in self._storages.all)
            if failed or any(not one.bound for one in self._storages.all) or any(map(self._is_back, self._bound.away)):
                self._look_again()
            for one in self._storages.all:
                if one.doubtful and one.bound:
                    self._find_again(one)
                if one.fault:
                    one.probe()
            if self._untold:  # a folder that comes back must know where the pool's packs went meanwhile
                self._tell(self._storages.all)

    def _let_go(self) -> None:
        """Close what failed for good while it was open: it is opened, and recovered, as one that comes back."""
        for one in self._storages.all:
            if one.backend.capabilities.must_reopen():
                log.warning("%s failed, and is opened again", one.backend.label)
                self._backends.drop(one.backend.label)

    def _is_back(self, path: str) -> bool:
        given = next((one for one in self._given if one.label == path), Folder(Path(path)))
        return any(belongs_to(backend, self._pool) for backend in self._backends.usable([given]))

    def _look_again(self) -> None:
        before = self.away()
        try:
            self.reconfigure(
                self._given,
                self._storages.reserve_bytes,
                self.level,
                evenly=self._storages.evenly,
                emergency=self._prepare,
            )
        except RubackupError as error:  # nothing of the pool is there: its storages stay, and say so one by one
            log.error("the storages of the pool: %s", error.message)
        if (after := self.away()) != before:
            self.shifts += 1
            log.warning("storages of the pool that are away: %s", ", ".join(after) or "none any more")

    def _find_again(self, storage: Storage) -> None:
        """The storage was away for a moment: packs that were missed meanwhile are there."""
        storage.doubtful = False
        self.shifts += 1
        for number in tuple(self._index.missing):
            row = self._index.pack(number)
            if row is not None and row.storage == storage.id:
                try:
                    closed_or_open(storage.backend, row)
                except NotFound:
                    continue
                self._index.mark_found(number)

    def away(self) -> list[str]:
        """Paths of the pool's storages that are not there."""
        return self._roster.away(one.id for one in self._storages.all if one.bound)

    def lies_away(self, record: str) -> bool:
        """Whether a record that is listed lies, with its lock, in a storage that is not there."""
        row = self._index.record(record)
        storage = self._storages.get(row.storage) if row else None
        return row is not None and (storage is None or not storage.bound)

    def must_be_there(self) -> None:
        """Look now; Conflict when no storage of the pool is there, so that what the index says of it cannot be compared."""
        self.look()
        with self._lock:
            if not any(one.bound for one in self._storages.regular):
                there = ", ".join(one.backend.label for one in self._storages.regular)
                raise Conflict(f"No storage of the pool is there: {there or 'it has none'}.")

    def _keep_apart(self, bound: Bound, current: Mapping[bytes, Storage]) -> None:
        """A storage comes back only after the sessions ended that wrote there before: their packs may still be open."""
        for one in list(bound.storages):
            if same(one, current) is None and any(one.id in session.written for session in self._sessions.values()):
                bound.storages.remove(one)
                bound.away[one.backend.label] = (
                    f"The storage {one.backend.label} is back, and waits for backups that wrote to it to end."
                )

    def _end_sessions_in(self, gone: Sequence[Storage]) -> None:
        for one in gone:
            for session in self._sessions.values():
                if one.id in session.written:
                    session.lost = f"The storage {one.backend.label} went away while a backup wrote to it."

    def fills(self) -> list[Fill]:
        """How full each folder is, in the order in which they are filled; the emergency storage comes last."""
        order = [*self._storages.regular, *(one for one in self._storages.all if one.emergency)]
        unused = {**self._bound.away, **self._bound.left_out}
        return [fill_of(storage) for storage in order] + [Fill(path, text, 0, 0, 0) for path, text in unused.items()]

    def is_left_out(self, path: str) -> bool:
        """Whether a folder was given that never belonged to the pool and cannot be used."""
        return path in self._bound.left_out

    def needs(self, path: str) -> str:
        """Why the pool cannot do without a folder; '' when nothing of it lies there and nothing is written now."""
        with self._lock:
            self._check_open()
            storage = next((one for one in self._storages.all if one.backend.label == path), None)
            if storage is None:
                return self._needs_unused(path)
            if self._sessions:
                return "Backups write to the pool just now."
            if self._guard.running:
                return "The pool is being collected just now."
            if self._holds(storage):
                return f"The storage {path} holds data of the pool."
            return ""

    def _needs_unused(self, path: str) -> str:
        """Why the pool cannot do without a folder that it does not use now."""
        if path in self._bound.left_out:
            return ""
        if path in self._bound.away:
            return f"The storage {path} is away, and copies may need what lies in it: {self._bound.away[path]}"
        return f"The pool does not know the storage {path}."

    def give_up_storage(self, path: str) -> None:
        """The storage that was at this path is lost for good: it is not waited for any more. NotFound when none is away there."""
        with self._lock:
            away = self._roster.away(one.id for one in self._storages.all)
            if path not in away:
                raise NotFound(f"No storage of the pool is away at {path}; away: {', '.join(away) or 'none'}.")
            present = {one.id for one in self._storages.all}
            for storage, at in self._roster.paths().items():
                if at == path and storage not in present:
                    self._roster.leave(storage)
            self._roster.write_where_possible(
                [LocalBackend(self._metadata), *(one.backend for one in self._storages.all if one.bound)]
            )

    # --- metafiles of devices ---

    def metafiles(self) -> list[metafiles.Metafile]:
        """Those of the pool's devices that are there."""
        return metafiles.metafiles_of(self._storages)

    def keeps_metafile(self, device: str) -> bool:
        """Whether the metafile of another pool's device (its uuid in hex) is kept in this pool."""
        return metafiles.is_kept(self._storages, device)

    def keep_metafile(self, device: str, data: bytes) -> str:
        """Keep the metafile of another pool's device in this pool, durably, in place of the one before; where it is."""
        return metafiles.keep(self._storages, device, data)

    def kept_metafile(self, device: str) -> bytes:
        """A metafile that is kept in this pool; NotFound."""
        return metafiles.read(self._storages, device)

    # --- manifests of pools whose packs lie with clients ---

    def kept_manifests(self, folder: str) -> kept.KeptManifests:
        """Those of one client in such a pool that are kept in this one; Invalid for what cannot be its name."""
        return kept.KeptManifests(lambda: self._storages, folder)

    def kept_folders(self, pool: str) -> list[str]:
        """Of the clients of such a pool (its uuid in hex; '': of any) whose manifests are kept in this one."""
        return list(kept.holders(self._storages, pool))

    # --- records, few at a time ---

    def records_behind(self, after: str, limit: int) -> list[SealedRecord]:
        """At most so many records that are listed, in the order of their ids, all greater than `after` ('': from the first)."""
        if after:
            seals.check_record_id(after)
        return [row.sealed for row in self._index.records_behind(after, limit)]

    def each_record(self) -> Iterator[SealedRecord]:
        """As `records`, few at a time in memory; what is sealed or dropped meanwhile may be left out."""
        return (row.sealed for row in each_record(self._index))

    # --- what is lost with what is away ---

    def unavailable(self, record: str) -> str:
        """Why a record cannot be restored as long as storages are away, as a sentence; '' when none that is away matters.

        One that is not listed may lie in one of these.
        """
        away = self.away()
        if not away:
            return ""
        row = self._index.record(seals.check_record_id(record))
        return f"{_NEEDED} {', '.join(away)}." if row is None else self._unavailable(row, away)

    def list_unavailable(self, after: str, limit: int) -> tuple[list[str], str]:
        """The records that cannot be restored now, out of the `limit` behind `after` in the order of their ids.

        And the last one that was looked at; '' when there are no more.
        """
        away = self.away()
        rows = self._index.records_behind(after, limit + 1)
        found = [row.sealed.record for row in rows[:limit] if away and self._unavailable(row, away)]
        return found, rows[limit - 1].sealed.record if len(rows) > limit else ""

    def _unavailable(self, row: RecordRow, away: Sequence[str]) -> str:
        text = f"{_NEEDED} {', '.join(away)}."
        storage = self._storages.get(row.storage)
        if storage is None or not storage.bound:
            return text
        if not self._touches(row):
            return ""
        try:
            reader = StoredManifest(storage, row).reader
            return "" if whole_packs(self._index, lambda: self._storages, row.sealed, reader) is not None else text
        except (Corrupt, Invalid, NotFound, StorageFault):  # damage is for verifications to find
            return ""

    def spared(self, record: str) -> Spared:
        """What of a record lies in the emergency storage; NotFound."""
        spare = {one.id: one for one in self._storages.all if one.emergency}
        if not spare:
            return NOT_SPARED
        row = self._row(record)
        needed = self._packs_of(record)
        packs = [
            one for one in self._index.packs() if one.storage in spare and (needed is None or one.number in needed)
        ]
        found = {pack.storage for pack in packs} | ({row.storage} & spare.keys())
        if not found:
            return NOT_SPARED
        paths = ", ".join(sorted(spare[one].backend.label for one in found))
        manifest = row.file_bytes if row.storage in spare else 0
        size = sum(pack.indexed_bytes for pack in packs) + manifest
        return Spared(paths, size, reason_of(self.fills(), self._storages.reserve_bytes))

    def _touches(self, row: RecordRow) -> bool:
        """Whether a pack that the record needs, as far as the index tells, lies in a storage that is away."""
        packs = self._packs_of(row.sealed.record)
        if packs is None:
            return True
        there = {one.id for one in self._storages.all if one.bound}
        rows = map(self._index.pack, packs)
        return any(pack is None or pack.storage not in there for pack in rows)

    def _packs_of(self, record: str) -> PackSet | None:
        """Numbers of the packs that a record needs; None when the index does not tell."""
        value = self._index.record_packs(record)
        try:
            return PackSet.decode(value) if value is not None else None
        except Corrupt:
            return None

    # --- the emergency storage ---

    def _emergencies(self, known: Mapping[bytes, str]) -> list[Folder]:
        """Folders that hold, or held, what no other storage had room for. They are named by the pool's uuid."""
        given = {one.label for one in self._given}
        found = {path for path in known.values() if PurePath(path).name == self._pool.hex()}
        try:
            made = self._prepare(False) if self._prepare else None
        except RubackupError as error:
            log.warning("the emergency storage cannot be used: %s", error.message)
            made = None
        if made is not None and belongs_to(self._backends.at(Folder(made)), self._pool):
            found.add(str(made))
        return [Folder(Path(path)) for path in sorted(found - given)]

    def _spare(self) -> Storage | None:
        """The emergency storage that is configured; it joins the pool when it is needed for the first time."""
        if self._prepare is None:
            return None
        with self._lock:
            path = self._prepare(True)
            if path is None or self._closed:
                return None
            storages = self._storages
            found = next((one for one in storages.all if one.backend.label == str(path)), None)
            if found is not None:
                return found
            new = bind(self._backends.at(Folder(path)), self._pool, self._index.storage_paths(), storages.all)
            new.emergency = True
            self._enrol([*storages.all, new], [])
            recovery = Recovery(self._index, self._pool, self._hashes)
            recovery.run([new], storages.all)
            self.problems += recovery.problems
            self._index.remember_storage(new.id, new.backend.label)
            self._storages = Storages((*storages.all, new), storages.reserve_bytes, storages.evenly, self._spare)
            self._bound.storages.append(new)
            log.warning("no storage of the pool has room: the emergency storage %s is used", path)
            return new

    def leave_emergency(self) -> None:
        """Let emergency storages go in which nothing lies any more. The pool's lock is held."""
        for one in [one for one in self._storages.all if one.emergency]:
            used = any(row.storage == one.id for row in self._index.packs())
            used = used or any(row.storage == one.id for row in self._index.records())
            if used or self._sessions or not self._storages.regular or not one.bound:
                continue
            self._move_small(one, self._storages.regular[0])
            if one.holds_files():
                continue
            left = tuple(other for other in self._storages.all if other is not one)
            self._storages = Storages(left, self._storages.reserve_bytes, self._storages.evenly, self._spare)
            self._enrol(left, [one])
            self._index.set_present((other.id for other in left), set(self._index.missing))
            for name in (FILE, MARKER):
                one.backend.delete(name)
            log.info("the emergency storage %s is empty and left the pool", one.backend.label)

    @staticmethod
    def _move_small(source: Storage, target: Storage) -> None:
        """Tombstones count in every folder of the pool; those of the emergency storage go on in a regular one."""
        for item in list(source.backend.list("manifests")):
            if item.name.endswith(seals.tombstone_name("")[-len(".tombstone") :]):
                if not target.has(item.name):
                    target.backend.put(item.name, source.backend.read(item.name, 0, item.size_bytes))
                source.backend.delete(item.name)
