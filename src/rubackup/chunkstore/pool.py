"""A pool: its storages, index, records and sessions. The one door to the chunk store.

Safe for threads. One Pool object per pool and process; a lock file keeps a second process out.
Design: `docs/design/chunkstore.md`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid as uuids
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from rubackup.chunkstore import pack, seals
from rubackup.chunkstore._fences import Fences
from rubackup.chunkstore._groups import GroupReader
from rubackup.chunkstore._hash_check import HashCheck, mend
from rubackup.chunkstore._lmdb import condemn
from rubackup.chunkstore._members import Emergency, Members, same
from rubackup.chunkstore._opening import open_index, rebuilding, take_lock
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore._presence import Presence
from rubackup.chunkstore._usage import NOT_SPARED, Fill, Spared, Usage, usage_of
from rubackup.chunkstore._walk import each_record
from rubackup.chunkstore._wholeness import whole_packs
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.opening import Backends, MakeBackend, open_backend
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.digests import DigestSpec
from rubackup.chunkstore.file import RecordFile
from rubackup.chunkstore.flaws import flaws_of, seal_flaw
from rubackup.chunkstore.gc.guard import Guard
from rubackup.chunkstore.gc.remove import remove_file
from rubackup.chunkstore.gc.safety import GcResult, GcSafety
from rubackup.chunkstore.hashes import Hashes
from rubackup.chunkstore.index import MAP_BYTES, RecordRow
from rubackup.chunkstore.locations import Location
from rubackup.chunkstore.read import ReadSession, StoredManifest
from rubackup.chunkstore.recovery import Recovery, close_left
from rubackup.chunkstore.roster import Roster
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import Bound, Storage, Storages, belongs_to, bind_all
from rubackup.chunkstore.verify import Verification, VerifyResult
from rubackup.chunkstore.write import WriteSession
from rubackup.domain.errors import (
    Busy,
    Conflict,
    Corrupt,
    Fenced,
    Invalid,
    NotFound,
    RubackupError,
    StorageFault,
    StorageFull,
)

__all__ = [
    "NOT_SPARED",
    "Fill",
    "GcResult",
    "GcSafety",
    "Pool",
    "ReadSession",
    "SealedRecord",
    "Spared",
    "Usage",
    "VerifyResult",
    "WriteSession",
]
log = logging.getLogger(__name__)


class Pool(Members):
    """A pool that is open in this process; made by `Pool.open`."""

    def __init__(
        self,
        pool: bytes,
        metadata: Path,
        lock: int,
        make_backend: MakeBackend,
        now_ns: Callable[[], int],
        steady_ns: Callable[[], int],
    ) -> None:
        self._pool = pool
        self._metadata = metadata
        self._lock_file = lock
        self._backends = Backends(make_backend)
        self.now_ns = now_ns
        self.steady_ns = steady_ns
        self._lock = threading.RLock()
        self._sessions: dict[int, WriteSession] = {}
        self._abandoned: list[tuple[Storage, bytes]] = []
        self._storages = Storages((), 0)
        self._bound = Bound()
        self._given: Sequence[Location] = ()
        self._prepare: Emergency | None = None
        self._roster = Roster(pool)
        self._untold = False
        self.shifts = 0
        self._fences = Fences(metadata, pool)
        self._unreadable: list[str] = []
        self._unlisted: set[str] = set()
        self._closed = False
        self._guard = Guard()
        self.level: int | None = None
        self._hashes: Hashes | None = None
        self.block_bytes = 0
        """How long a chunk may be; 0: as the client likes."""
        self.problems: list[str] = []
        """What recovery could not repair, a sentence each."""
        self.repaired: list[str] = []
        """Manifests that got their names back, a sentence each."""

    @classmethod
    def open(
        cls,
        *,
        uuid: str,
        metadata: Path,
        storages: Sequence[Location],
        reserve_bytes: int,
        level: int | None,
        evenly: bool = False,
        emergency: Emergency | None = None,
        digest: DigestSpec | None = None,
        block_bytes: int = 0,
        now_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
        make_backend: MakeBackend = open_backend,
        map_bytes: int = MAP_BYTES,
        rebuild_index: bool = False,
    ) -> Pool:
        """The pool, recovered: every listed record is whole as far as the storages are.

        Busy when another process (or object) serves it; StorageFault when a folder is not the pool's. With
        `rebuild_index` the index is set aside and filled anew from the storages. `digest` is recorded of each chunk in clear,
        Invalid when this host cannot run it; no chunk that is longer than `block_bytes` is taken, if that is not 0.
        """
        try:
            name = uuids.UUID(uuid).bytes
        except ValueError as error:
            raise Invalid("A pool's id must be a uuid.") from error
        hashes = Hashes(digest) if digest else None
        with translated(str(metadata), ""):
            metadata.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(metadata)
        try:
            if rebuild_index:
                condemn(metadata / "index")

            def started() -> Pool:
                pool = cls(name, metadata, lock, make_backend, now_ns, steady_ns)
                pool._hashes, pool.block_bytes = hashes, block_bytes
                pool._start(storages, reserve_bytes, level, map_bytes, evenly=evenly, emergency=emergency)
                return pool

            return rebuilding(metadata, started)
        except BaseException:
            os.close(lock)
            raise

    def _start(
        self,
        storages: Sequence[Location],
        reserve_bytes: int,
        level: int | None,
        map_bytes: int,
        *,
        evenly: bool,
        emergency: Emergency | None,
    ) -> None:
        self._index = open_index(self._metadata, self._pool, map_bytes, self.now_ns, self.steady_ns)
        try:
            self._groups = GroupReader(self._index, lambda: self._storages)
            self.reconfigure(storages, reserve_bytes, level, evenly=evenly, emergency=emergency)
            if self._index.fresh:
                self._index.set_fences(self._fences.read())
                self._index.complete()
            self._trim_fences()
        except BaseException:
            self._index.close()
            raise

    def _trim_fences(self) -> None:
        try:
            self._fences.trim(row.sealed.task_id for row in each_record(self._index))
        except StorageFull as error:
            log.warning("The list of fences stays long: %s", error.message)

    def reconfigure(
        self,
        storages: Sequence[Location],
        reserve_bytes: int,
        level: int | None,
        *,
        evenly: bool = False,
        emergency: Emergency | None = None,
    ) -> None:
        """Use these storages, reserve and compression level from now on; new folders are recovered first.

        New packs go to the first folder with room, or `evenly` to the one with most room, and while none has any to the
        folder that `emergency` makes. A folder that cannot be used is left out; `fills` says why. Sessions go on, but those
        that wrote to a folder that is lost; Busy when one that is there would leave the pool while one is open.
        """
        with self._lock, self._backends.only(lambda: [one.backend for one in self._storages.all]):
            self._prepare = emergency
            self._given = tuple(storages)
            known = self._known_paths(storages)
            spare = self._emergencies(known)
            self._let_go()
            bound = bind_all([*storages, *spare], self._backends.at, self._pool, known, fresh=self._index.fresh)
            current = {one.id: one for one in self._storages.all if not one.backend.capabilities.must_reopen()}
            self._keep_apart(bound, current)
            found = bound.storages = [same(one, current) or one for one in bound.storages]
            for one in found:
                one.emergency = one.backend.label in {location.label for location in spare}
            there = {one.id for one in found}
            gone = [one for one in current.values() if one.id not in there]
            if self._sessions and any(one.backend.label not in bound.away for one in gone):
                raise Busy("A storage cannot leave the pool while backups write to it.")
            self._end_sessions_in(gone)
            new = [one for one in found if one not in current.values()]
            self._enrol(found, gone)
            recovery = Recovery(self._index, self._pool, self._hashes)
            recovery.run(new, [one for one in found if one not in new])
            self.problems += recovery.problems
            self.repaired += recovery.repaired
            self._abandoned = [one for one in self._abandoned if one[0] not in gone] + recovery.left
            self._unreadable += recovery.unreadable
            self._unlisted |= recovery.unlisted
            remembered = self._index.storage_paths()
            for storage in found:
                if remembered.get(storage.id) != storage.backend.label:
                    self._index.remember_storage(storage.id, storage.backend.label)
            if new or gone:
                self._guard.disturb()
            self._storages = Storages(tuple(found), reserve_bytes, evenly, self._spare)
            self._bound = bound
            self.level = level

    def _known_paths(self, storages: Sequence[Location]) -> dict[bytes, str]:
        """Path of each storage of the pool, as far as index, metadata folder and these storages tell."""
        self._roster.learn(LocalBackend(self._metadata))
        for backend in self._backends.usable(storages):
            if belongs_to(backend, self._pool):
                self._roster.learn(backend)
        known = self._index.storage_paths() | self._roster.paths()
        return {storage: path for storage, path in known.items() if storage not in self._roster.left()}

    def _enrol(self, bound: Sequence[Storage], former: Sequence[Storage]) -> None:
        """Tell every folder which storages the pool has, before anything is written to a new one."""
        for storage, path in self._index.storage_paths().items():
            if not self._roster.knows(storage):
                self._roster.join(storage, path)
        for one in bound:
            self._roster.join(one.id, one.backend.label)
        for one in former:
            if not self._holds(one):
                self._roster.leave(one.id)
        self._tell(bound)

    def _tell(self, storages: Sequence[Storage]) -> None:
        """Tell every folder of every storage, or note that it has to be done again."""
        # Not into the empty folder that an unmounted disk leaves.
        there = [one.backend for one in storages if one.bound]
        whole = self._roster.write_where_possible([LocalBackend(self._metadata), *there])
        self._untold = not whole or len(there) < len(storages)

    def _holds(self, storage: Storage) -> bool:
        """Whether something of the pool lies in a storage, or may."""
        packs = any(row.storage == storage.id for row in self._index.packs())
        records = any(row.storage == storage.id for row in self._index.records())
        try:
            storage.check_bound()
            return packs or records or storage.holds_files()
        except StorageFault:
            return True

    # --- sessions ---

    def begin(
        self,
        *,
        owner: str,
        task_id: int,
        fence: int,
        record: str,
        parent: str | None,
        share: bool,
        crypto: str = "",
        key_id: str = "",
    ) -> WriteSession:
        """A session that writes `record` for a task; it ends an older session of the same task.

        With `crypto` and `key_id` it takes only groups of that cipher and key, else only such in clear.
        Fenced when the task was begun with a higher fence, Conflict when the record is sealed or dropped already.
        """
        seals.check_record_id(record)
        if not owner or len(owner.encode()) > pack.MAX_OWNER_BYTES:
            raise Invalid(f"An owner's name has 1 to {pack.MAX_OWNER_BYTES} bytes.")
        with self._lock:
            self._check_begin(task_id, fence, record)
            older = self._sessions.get(task_id)
            if older is not None:
                older.stale = True
        if older is not None:
            older.abort()
        with self._lock:
            self._check_begin(task_id, fence, record)
            if task_id in self._sessions:
                raise Fenced(f"Task {task_id} was begun again by another worker.")
            self.look()
            self._tidy()
            session = WriteSession(
                self,
                self._index,
                lambda: self._storages,
                self._groups,
                pool=self._pool,
                owner=owner,
                task_id=task_id,
                fence=fence,
                record=record,
                parent=parent or "",
                parent_manifest=self._parent(owner, parent, (crypto, key_id)),
                share=share,
                crypto=crypto,
                key_id=key_id,
                block_bytes=self.block_bytes,
                hashes=self._hashes,
            )
            session.turn = self._guard.next_turn()
            self._sessions[task_id] = session
            return session

    def _check_begin(self, task_id: int, fence: int, record: str) -> None:
        self._check_open()
        known = self._index.fence(task_id)
        if fence < known:
            raise Fenced(f"Task {task_id} was handed to another worker (fence {known}).")
        if self._index.record(record) is not None or self._dropped(record):
            raise Conflict(f"Record {record} was written already.")
        if fence > known:
            self._fences.add(task_id, fence)
            self._index.set_fences({task_id: fence})

    def _parent(self, owner: str, parent: str | None, encryption: tuple[str, str]) -> StoredManifest | None:
        """The parent's manifest, when it is this owner's, encrypted alike, and can be read."""
        row = self._index.record(seals.check_record_id(parent)) if parent else None
        if row is None or row.sealed.owner != owner or (row.sealed.crypto, row.sealed.key_id) != encryption:
            return None
        try:
            manifest = self._stored(row)
            packs = whole_packs(self._index, lambda: self._storages, row.sealed, manifest.reader)
        except RubackupError as error:
            log.warning("the parent %s cannot be used: %s", parent, error.message)
            return None
        if packs is None:
            log.warning("the parent %s has lost chunks: everything is read again", parent)
        return manifest if packs is not None else None

    def _space_of(self, row: RecordRow) -> bytes:
        return self._index.space(row.sealed.owner, row.sealed.key_id)

    def parent_packs(self, session: WriteSession) -> PackSet | None:
        """The packs of the session's parent; None when it was dropped or has lost chunks since the session began."""
        row = self._index.record(session.parent) if session.parent else None
        if row is None or row.sealed.owner != session.owner:
            return None
        return whole_packs(self._index, lambda: self._storages, row.sealed, self._stored(row).reader)

    def doubt_parent(self, session: WriteSession) -> None:
        """Read the session's parent through, and look all of its chunks up, before it is used again."""
        self._index.forget_record_packs(session.parent)

    def _tidy(self) -> None:
        """Close and index what failed sessions left."""
        left, self._abandoned = self._abandoned, []
        self._abandoned += close_left(self._index, self._pool, left, self._hashes)

    def abandon(self, storage: Storage, pack: bytes) -> None:
        """A session left this pack for recovery."""
        with self._lock:
            self._abandoned.append((storage, pack))

    def forget(self, session: WriteSession) -> None:
        """A session has ended."""
        with self._lock:
            if self._sessions.get(session.task_id) is session:
                del self._sessions[session.task_id]

    def changes(self) -> int:
        """Rises whenever packs are condemned, groups moved, or a removal begins."""
        with self._lock:
            return self._guard.changes

    def publish(
        self,
        session: WriteSession,
        storage: Storage,
        row: RecordRow,
        packs: PackSet,
        changes: int,
        *,
        needs_parent: bool,
    ) -> bool:
        """Give a durable manifest that needs these packs its final name and list the record.

        False when packs were condemned or groups moved since `changes`, or when the parent is needed and is gone:
        the manifest's rows must be checked again.
        """
        record = row.sealed.record
        with self._lock:
            self._check_open()
            if session.stale or self._index.fence(session.task_id) != session.fence:
                raise Fenced(f"Task {session.task_id} was handed to another worker.")
            if self._dropped(record):
                raise Conflict(f"Record {record} was dropped.")
            if changes != self._guard.changes or (needs_parent and self._index.record(session.parent) is None):
                return False
            storage.backend.publish(seals.open_name(record), seals.manifest_name(record))
            try:
                self._index.put_record(row, packs)
            except RubackupError:
                # Not listed must mean not there; if this fails too, the next opening lists the record.
                storage.backend.delete(seals.manifest_name(record))
                raise
            self._guard.sealed(packs)
            storage.count(row.file_bytes)
            return True

    # --- records ---

    def records(self) -> list[SealedRecord]:
        """Every record that is listed, in no order."""
        return [row.sealed for row in self._index.records()]

    def sealed(self, record: str) -> SealedRecord:
        """One record; NotFound when it was never sealed or is dropped."""
        return self._row(record).sealed

    def read(self, record: str, reader: str = "") -> ReadSession:
        """A session that reads a record; NotFound, or Corrupt when its manifest is damaged.

        `reader` is the client that gets it, '' one who may have all that the record's owner has. A client that is not
        the owner gets only the chunks that the record names.
        """
        row = self._row(record)
        stranger = reader not in {"", row.sealed.owner}
        try:
            return ReadSession(
                self._stored(row), self._index, self._groups, row.sealed, stranger=stranger, away=self.away
            )
        except Corrupt as error:
            raise Corrupt(f"The manifest {self.manifest_file(record)} is damaged: {error.message}") from error

    def file(self, record: str, *paths: bytes) -> RecordFile:
        """A regular file of a record, the first of the absolute paths that there is; NotFound says why there is none, Corrupt."""
        row = self._row(record)
        try:
            return RecordFile(self._stored(row).reader(), self._index, self._groups, *paths)
        except Corrupt as error:
            raise Corrupt(f"The manifest {self.manifest_file(record)} is damaged: {error.message}") from error

    def verify(
        self,
        record: str,
        progress: Callable[[int, int], None],
        check: Callable[[], None],
        *,
        contents: bool = True,
    ) -> VerifyResult:
        """Read and hash every chunk of a record; `progress` gets bytes done and total, `check` may raise Stopped in any thread.

        Without `contents` the manifest is checked, and that every chunk is where the index says; nothing is hashed.
        Of an encrypted record the stored groups are read and their sums checked: hashing takes its key.
        Damaged and missing packs are findings. Corrupt only when the manifest itself is damaged. Hashes that the pool records
        are compared, and made anew where their file is damaged.
        """
        row = self._row(record)
        for one in self._storages.all:
            one.backend.capabilities.forget(seals.manifest_name(record))
        presence = None if contents else Presence(self._index, lambda: self._storages)
        hashes = HashCheck(self._hashes, self._groups) if self._hashes else None
        manifest = self._stored(row)
        try:
            verification = Verification(
                manifest.reader(check),
                self._index,
                self._groups,
                progress,
                check,
                presence,
                self._space_of(row),
                hashes,
            )
            result = verification.run()
            storage = self._storages.get(row.storage)
            seal = seal_flaw(storage, row) if storage is not None else ""
            flaws = flaws_of(row, self._index, self._pool, sorted(verification.packs), self._storages)
            told = self._mend_hashes(self._hashes, hashes.flaws) if self._hashes and hashes else ([], [])
            flaws += told[1]
            return msgspec.structs.replace(result, flaws=[seal, *flaws] if seal else flaws, seal=seal, mended=told[0])
        except NotFound:
            manifest.check_bound()
            raise Corrupt(f"The manifest {self.manifest_file(record)} is missing.") from None
        except (Corrupt, Invalid) as error:
            raise Corrupt(f"The manifest {self.manifest_file(record)} is damaged: {error.message}") from error

    def _mend_hashes(self, hashes: Hashes, flaws: dict[int, str]) -> tuple[list[str], list[str]]:
        """Make damaged files of hashes anew: sentences for those that are whole again, and for those that are not."""
        done: list[str] = []
        left: list[str] = []
        for number, text in flaws.items():
            with self._lock:
                whole, still = mend(hashes, self._storages, self._index.pack(number), text)
            done += [whole] if whole else []
            left += [still] if still else []
        return done, left

    @property
    def locks_are_near(self) -> bool:
        """Whether the lock of one record is looked up faster than all files are listed: in folders, not in buckets."""
        return all(isinstance(one.backend, LocalBackend) for one in self._storages.all)

    def with_locks(self) -> set[str]:
        """The records that have a lock, whether it holds still or not; of storages that are there."""
        names = (PurePosixPath(item.name) for one in self._storages.all for item in one.backend.list("manifests"))
        return {path.stem for path in names if path.suffix == ".lock"}

    def drop(self, record: str, *, zeroing: bool = False) -> None:
        """Remove a record for good: tombstone first, then its manifest. Repeating it changes nothing.

        With `zeroing` the manifest is overwritten first, where the storage can. Conflict while it is locked, Corrupt when
        nothing of its lock is whole, or its file is another record's and cannot be put back, StorageFault when its folder
        is not mounted.
        """
        seals.check_record_id(record)
        with self._lock:
            self._check_open()
            row = self._index.record(record)
            if row is None and (away := self.away()):  # a tombstone counts in the folder of its manifest
                raise StorageFault(f"Record {record} may lie in a storage that is away: {', '.join(away)}.")
            if not self._storages.all:
                raise StorageFault("The pool has no storages.")
            storage = self._storage_of(row) if row else self._storages.all[0]
            for one in (
                [storage] if row else self._storages.all
            ):  # below a mount point neither lock nor manifest is seen
                one.check_bound()
            if max(self.locked_until_ns(record), self._kept_until_ns(record)) > self.now_ns():
                raise Conflict(f"Record {record} is locked against deletion.")
            self._check_own(record, row)
            row = self._index.record(record)
            storage = (self._storages.get(row.storage) if row else None) or storage
            if not self._dropped(record):
                storage.backend.put(seals.tombstone_name(record), msgspec.msgpack.encode([record, self.now_ns()]))
            for one in self._storages.all:  # one whose manifest cannot be read has no row
                remove_file(one.backend, seals.manifest_name(record), zeroing=zeroing)
            if row is not None:
                self._index.delete_record(record)
                storage.count(-row.file_bytes)
            for one in self._storages.all:
                one.backend.delete(seals.lock_name(record))

    # --- the pool as a whole ---

    @property
    def index_damaged(self) -> bool:
        """Whether a transaction found the index damaged; closing and opening the pool rebuilds it."""
        return self._index.damaged

    def usage(self) -> Usage:
        """Room and contents; `problem` says why nothing can be written or read, if so."""
        if self._closed:
            return Usage("The pool is closed.", 0, 0, 0, 0, 0)
        return usage_of(self._storages, self._index.chunk_count, self._index.record_count)

    def close(self) -> None:
        """End the sessions and release everything. Twice is fine."""
        with self._lock:
            sessions = list(self._sessions.values())
            for session in sessions:
                session.stale = True
        for session in sessions:
            session.abort()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._index.close()
                self._backends.keep(())
                os.close(self._lock_file)
