"""A session that writes one record: it answers what is known, takes groups and the manifest, and seals.

Order of writing: `docs/design/chunkstore.md`. The client at the other end may be hostile: nothing it
says is believed, and nothing it sends is kept beyond the bounds.
"""

from __future__ import annotations

import hmac
import os
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Protocol

from blake3 import blake3

from rubackup.chunkstore import seals
from rubackup.chunkstore._beside import Beside, is_taken
from rubackup.chunkstore._early_check import WORTH_BYTES, EarlyCheck
from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore._hash_check import HashCheck
from rubackup.chunkstore._packing import Packing
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore._presence import Presence
from rubackup.chunkstore._taken import Taken
from rubackup.chunkstore._wholeness import packs_in
from rubackup.chunkstore.admission import Encryption
from rubackup.chunkstore.backends.base import Appender
from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.hashes import Hashes
from rubackup.chunkstore.identity import HOLE, ID_BYTES, Buffer, possession_proof, split_ids
from rubackup.chunkstore.index import Index, Place, RecordRow
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.check import check_manifest
from rubackup.chunkstore.read import StoredManifest
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.chunkstore.verify import Verification, VerifyResult
from rubackup.domain.errors import Corrupt, Fenced, Invalid, NotFound, RubackupError, StorageFault

MAX_IDS: Final = 65_536
SEND, YOURS, PROVE = 0, 1, 2
_ROW = struct.Struct("<32s4s")
_SPOT_BYTES: Final = 12
"""Pack, offset and length of the group, at the front of a place in the index."""
_LENGTH: Final = slice(16, 20)
"""Where the chunk's length stands in a place, as in a row of a manifest."""


class Host(Protocol):
    """What a session needs of its pool."""

    def changes(self) -> int:
        """Rises whenever packs are condemned or groups moved."""

    def parent_packs(self, session: WriteSession) -> PackSet | None:
        """The packs of the session's parent; None when it was dropped or has lost chunks since the session began."""

    def doubt_parent(self, session: WriteSession) -> None:
        """A manifest with segments of the session's parent was refused: the parent is read through before it is used again."""

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

        Fenced when the session is stale. False when packs were condemned or groups moved since `changes`, or when
        the parent is needed and is gone.
        """

    def abandon(self, storage: Storage, pack: bytes) -> None:
        """A pack was left behind for recovery."""

    def forget(self, session: WriteSession) -> None:
        """The session has ended."""

    def now_ns(self) -> int:
        """Unix time."""


class WriteSession:
    """Writes one record. Safe for threads; after an error other than Invalid or Corrupt it is over."""

    def __init__(
        self,
        host: Host,
        index: Index,
        storages: Callable[[], Storages],
        groups: GroupReader,
        *,
        pool: bytes,
        owner: str,
        task_id: int,
        fence: int,
        record: str,
        parent: str,
        parent_manifest: StoredManifest | None,
        share: bool,
        crypto: str = "",
        key_id: str = "",
        block_bytes: int = 0,
        hashes: Hashes | None = None,
    ) -> None:
        self._encryption = Encryption(crypto, key_id, block_bytes=block_bytes, hashes=hashes)
        self.block_bytes, self._hashes = block_bytes, hashes
        self.record, self.parent, self.owner, self.task_id, self.fence = record, parent, owner, task_id, fence
        self.stale = False
        """Set by the pool when the task was begun again."""
        self.lost = ""
        """Set by the pool when a storage went away in which the session wrote: why it cannot go on."""
        self.written: set[bytes] = set()
        """Storages in which it wrote."""
        self.turn = 0
        """When the session was begun, among the pool's sessions and marks; set by the pool."""
        self.parent_bytes = parent_manifest.size_bytes if parent_manifest else 0
        self._parent_manifest = parent_manifest
        self._host, self._index, self._storages, self._groups = host, index, storages, groups
        self._share = share
        self._nonce = os.urandom(32)
        self._lock = threading.RLock()
        self._over = False
        self._sealed: SealedRecord | None = None
        self._presence = Presence(index, storages)
        self._packing = Packing(
            index,
            storages,
            host.abandon,
            self.written,
            pool=pool,
            owner=owner,
            key_id=key_id,
            task_id=task_id,
            hashes=hashes,
        )
        self._space = self._packing.space
        self._manifest: Appender | None = None
        self._manifest_storage: Storage | None = None
        self._manifest_sum = blake3()
        self._taken = Taken(parent_manifest) if parent_manifest else None
        self._packs = PackSet()
        self._trusted = False
        self._beside: Beside | None = None
        self._early: EarlyCheck | None = None
        """Until the manifest is checked for the first time."""

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One operation: refused when the session is over; a failing storage ends it."""
        with self._lock:
            if self.stale:
                raise Fenced(f"Task {self.task_id} was begun again by another worker.")
            if self._over:
                raise Invalid("The session is over.")
            if self.lost:
                self.abort()
                raise StorageFault(self.lost)
            try:
                yield
            except (Invalid, Corrupt):
                raise
            except NotFound as error:  # what was just written is gone: its disk is
                self.abort()
                raise StorageFault(f"A storage of the pool went away: {error.message}") from error
            except BaseException:
                self.abort()
                raise

    def read_parent(self, offset: int, length: int) -> bytes:
        """A range of the parent's manifest, cut at its end; Invalid when there is no usable parent."""
        if self._parent_manifest is None:
            raise Invalid("The session has no parent.")
        return self._parent_manifest.read(offset, length)

    # --- what is known ---

    def query(self, ids: bytes) -> tuple[bytes, bytes]:
        """One state a chunk (0 send, 1 stored and yours, 2 prove it), and the nonce when there is a 2."""
        with self._working():
            names = _names(ids)
            states = self._states(names)
            return states, self._nonce if PROVE in states else b""

    def ask(self, ids: bytes) -> Callable[[], tuple[bytes, bytes]]:
        """As `query`, for callers that ask ahead: the answer is there at once."""
        answer = self.query(ids)
        return lambda: answer

    def _states(self, names: list[bytes]) -> bytes:
        holds = self._presence.holds
        pending, granted = self._packing.pending, self._packing.grants
        found = {name: place for name, place in self._index.lookup(names, self._space).items() if holds(place)}
        foreign = self._index.not_owned(found, self._packing.owner, self._space)
        other = PROVE if self._share else SEND
        return bytes(
            [
                YOURS
                if name in pending or name in granted
                else (SEND if name not in found else other if name in foreign else YOURS)
                for name in names
            ]
        )

    def take_over(self, names: Collection[bytes]) -> set[bytes]:
        """Make stored chunks the owner's; those that are not stored, and have to be put.

        Only for chunks that a sealed record of this owner names, in whatever pool: it showed there to have them.
        """
        with self._working():
            names = [name for name in names if name not in self._packing.pending]
            held = self._presence.holds
            found = {name: place for name, place in self._index.lookup(names, self._space).items() if held(place)}
            if foreign := self._index.not_owned(found, self._packing.owner, self._space):
                self._packing.grant(foreign)
            return {name for name in names if name not in found}

    def prove(self, ids: bytes, proofs: bytes) -> bytes:
        """One state a chunk: 1 the proof is right and the chunk is yours now, 0 send it."""
        with self._working():
            names = _names(ids)
            given = _names(proofs)
            if len(given) != len(names):
                raise Invalid("There must be one proof a chunk.")
            states = bytearray(len(names))
            if self._share and not self._space:
                right = self._proved(names, given)
                for i, name in enumerate(names):
                    states[i] = name in right
                self._packing.grant(right)
            return bytes(states)

    def _proved(self, names: list[bytes], proofs: list[bytes]) -> set[bytes]:
        """The chunks whose proof is right; each group is read once."""
        found = self._index.lookup(names)
        wanted: defaultdict[Spot, list[tuple[bytes, bytes, int]]] = defaultdict(list)
        for name, proof in zip(names, proofs, strict=True):
            if name in found:
                place = Place.decode(found[name])
                wanted[Spot(place.pack, place.offset, place.group_bytes)].append((name, proof, place.position))
        right: set[bytes] = set()
        for spot in sorted(wanted):
            try:
                stored = self._groups.decoded(spot)
            except Corrupt:  # noted by the reader; the chunk is sent again
                continue
            for name, proof, position in wanted[spot]:
                if position < len(stored.ids) and stored.ids[position] == name:
                    expected = possession_proof(stored.chunk(position), self._nonce)
                    if hmac.compare_digest(expected, proof):
                        right.add(name)
        return right

    # --- what is sent ---

    def put_group(self, *parts: Buffer) -> None:
        """Take a group, whose parts follow one another: stored when at least one of its chunks is new, all become the owner's.

        Corrupt when it is damaged or an id is false (the session goes on); StorageFull ends the session.
        """
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.admit(data, self.examine(data))

    def examine(self, data: Buffer) -> Group | Head:
        """A group, every chunk hashed where that can be; Corrupt when it is damaged, an id is false, or the session takes no such.

        Any thread may call it.
        """
        return self._encryption.received(data)

    def admit(self, data: Buffer, received: Group | Head) -> None:
        """Take a group that `examine` returned for the same bytes."""
        with self._working():
            new = {name for name in received.ids if name not in self._packing.pending}
            found = self._index.lookup(new, self._space)
            if foreign := self._index.not_owned(found, self._packing.owner, self._space):
                self._packing.grant(foreign)
            new.difference_update(found)
            if new:
                self._packing.add(data, received, new)

    def checkpoint(self) -> None:
        """Make everything sent so far durable and known: a later session of this owner need not send it."""
        with self._working():
            self._packing.checkpoint()

    def put_manifest(self, data: Buffer) -> None:
        """Append to the record's manifest."""
        with self._working():
            self._put_manifest(data)

    def copy_parent(self, first: int, count: int) -> None:
        """Append whole segments of the parent's manifest to the record's: numbers `first` to `first + count`.

        Invalid when there is no parent, it does not have them, or an earlier call went as far.
        """
        with self._working():
            if self._taken is None:
                raise Invalid("The session has no parent.")
            at = self._manifest.size_bytes if self._manifest else 0
            for data in self._taken.take(first, count, at):
                self._put_manifest(data)

    def _put_manifest(self, data: Buffer) -> None:
        if self._manifest is None:
            self._manifest_storage = self._storages().room_for(len(data))
            self.written.add(self._manifest_storage.id)
            backend = self._manifest_storage.backend
            backend.delete(seals.open_name(self.record))
            self._manifest = backend.append(seals.open_name(self.record))
        assert self._manifest_storage is not None
        self._storages().check_room(self._manifest_storage, len(data))
        try:
            self._manifest.write(data)
        except StorageFault as error:
            self._manifest_storage.failed(error)
            raise
        self._manifest_sum.update(data)
        size = self._manifest.size_bytes
        if self._early is None and size >= WORTH_BYTES and self._taken and self._parent_manifest:
            read_at = partial(self._manifest_storage.backend.read, seals.open_name(self.record))
            self._early = EarlyCheck(read_at, self._parent_manifest, self._taken, opaque=bool(self._encryption.key_id))
        if self._early is not None:
            self._early.grew(size)

    # --- the end ---

    def read_back(self, progress: Callable[[int, int], None], check: Callable[[], None]) -> VerifyResult:
        """Make all of it durable, then read and hash every chunk that the manifest names, as `Pool.verify` does.

        Chunks that were found damaged count as unknown from then on, so `take_over` asks for them again.
        """
        with self._working():
            if self._manifest is None or self._manifest_storage is None:
                raise Invalid("There is no manifest.")
            self._packing.close()
            backend, name, size = (
                self._manifest_storage.backend,
                seals.open_name(self.record),
                self._manifest.size_bytes,
            )
        # Outside the lock: a newer attempt of the task must be able to end this session meanwhile.
        reader = ManifestReader(lambda at, length: backend.read(name, at, length), size)
        hashes = HashCheck(self._hashes, self._groups) if self._hashes else None
        return Verification(reader, self._index, self._groups, progress, check, space=self._space, hashes=hashes).run()

    def seal(self, files: int, files_failed: int, size_bytes: int) -> SealedRecord:
        """Check the manifest, make it durable and publish the record; repeating it gives the same answer.

        Invalid when the manifest is not whole, contradicts these numbers, or names a chunk the owner does not own.
        """
        with self._lock:
            if self._sealed is not None:
                return self._sealed
            with self._working():
                try:
                    self._sealed = self._seal(fmt.Summary(files, files_failed, 0, size_bytes))
                except (Invalid, Corrupt):
                    for (
                        storage
                    ) in self._storages().all:  # what is missing went away with it: another attempt sends it again
                        storage.check_bound()
                    self.abort()
                    raise
                self._finish()
                return self._sealed

    def _seal(self, told: fmt.Summary) -> SealedRecord:
        if self._manifest is None or self._manifest_storage is None:
            raise Invalid("There is no manifest.")
        self._packing.close()
        size = self._manifest.size_bytes
        changes = self._host.changes()
        header = self._check_manifest(size, told)
        sealed = SealedRecord(
            record=self.record,
            parent=header.parent,
            owner=self.owner,
            task_id=self.task_id,
            fence=self.fence,
            resource_type=header.resource_type,
            resource=header.resource,
            backup_type=header.backup_type,
            files=told.files,
            files_failed=told.files_failed,
            size_bytes=told.size_bytes,
            stored_bytes=self._packing.stored_bytes + size,
            sealed_at_ns=self._host.now_ns(),
            key_id=self._encryption.key_id,
            crypto=self._encryption.crypto,
        )
        self._manifest.write(seals.seal_bytes(sealed, size, self._manifest_sum.digest()))
        self._manifest.sync()
        row = RecordRow(sealed, size, self._manifest_storage.id, self._manifest.size_bytes)
        # Garbage collection may have moved what was checked, or the parent was dropped: look again, as it is now.
        storage = self._manifest_storage
        while not self._host.publish(self, storage, row, self._packs, changes, needs_parent=self._trusted):
            changes = self._host.changes()
            self._check_manifest(size, told)
        return sealed

    def _check_manifest(self, size: int, told: fmt.Summary) -> fmt.Header:
        assert self._manifest_storage is not None
        self._presence = Presence(self._index, self._storages)  # looks at every pack once more
        backend, name = self._manifest_storage.backend, seals.open_name(self.record)
        self._packs = PackSet()
        parent = self._host.parent_packs(self) if self._taken else None
        self._trusted = parent is not None
        try:
            early = self._early if parent is not None else None
            if early is not None:
                header, trailer, common = self._checked_early(early)
            else:
                header, trailer, common = self._check_whole(partial(backend.read, name), size)
        except (Corrupt, Invalid) as error:
            if self._trusted or (self._taken and self._taken.any):
                self._host.doubt_parent(self)
            raise Invalid(f"The manifest is refused: {error.message}") from error
        finally:
            self._end_early()
        if (header.record, header.client_hwid) != (self.record, self.owner):
            raise Invalid("The manifest is of another record or client.")
        if header.key_id != self._encryption.key_id:
            raise Invalid("The manifest is encrypted with another key than the session, or only one of them is.")
        if header.parent not in {"", self.parent}:
            raise Invalid("The manifest names another parent.")
        if self._taken and self._taken.any and header.key_id != self._taken.key_id:
            raise Invalid("The manifest takes parts of its parent over, and is encrypted with another key.")
        self._trusted = bool(self._taken and self._taken.any) or common
        self._trusted &= parent is not None
        if self._trusted and parent is not None:
            self._packs.merge(parent)
        summary = trailer.summary
        if (summary.files, summary.files_failed, summary.size_bytes) != (
            told.files,
            told.files_failed,
            told.size_bytes,
        ):
            raise Invalid("The manifest's summary is not what the client told.")
        return header

    def _check_whole(self, read_at: Callable[[int, int], bytes], size: int) -> tuple[fmt.Header, fmt.Trailer, bool]:
        """Header, trailer, and whether anything is as in the parent."""
        self._beside = None
        if self._trusted and self._parent_manifest is not None:
            self._beside = Beside(self._parent_manifest.reader(), opaque=bool(self._encryption.key_id))
        header, trailer = check_manifest(
            read_at,
            size,
            self._check_rows,
            known=partial(is_taken, self._taken, self._beside) if self._taken else None,
            known_run=self._beside.has_run if self._beside else None,
        )
        return header, trailer, self._beside is not None and self._beside.common

    def _checked_early(self, early: EarlyCheck) -> tuple[fmt.Header, fmt.Trailer, bool]:
        """As `_check_whole`, by what was found while the manifest came."""
        for rows in early.unknown():
            self._look_up(map(_ROW.unpack, rows))
        return early.result()

    def _end_early(self) -> None:
        if self._early is not None:
            self._early.end()
            self._early = None

    def _check_rows(self, raw: memoryview, known: bool) -> None:
        """Every chunk of these rows must be readable, owned, and as long as the row says.

        That is so of rows that stand in a parent that is whole.
        """
        if known and self._trusted:
            return
        if self._beside is None:
            self._look_up(_ROW.iter_unpack(raw))
        else:
            self._look_up(map(_ROW.unpack, self._beside.unknown(raw)))

    def _look_up(self, told: Iterable[tuple[bytes, bytes]]) -> None:
        """Every chunk of these rows must be readable, owned, and as long as its row says."""
        rows = [row for row in told if row[0] != HOLE]
        # What was told to be stored may be condemned since: it is there until this session ends.
        found = self._index.lookup({name for name, _ in rows}, self._space, condemned=True)
        foreign = self._index.not_owned(found, self._packing.owner, self._space)
        lost = {spot for spot in {value[:_SPOT_BYTES] for value in found.values()} if not self._presence.holds(spot)}
        for name, length in rows:
            value = found.get(name)
            if value is not None and lost and value[:_SPOT_BYTES] in lost:
                raise Corrupt(f"Chunk {name.hex()} is not in its pack any more; a new backup sends it again.")
            if value is None or name in foreign:
                raise Invalid(f"The manifest names chunk {name.hex()}, which this client did not show to have.")
            if value[_LENGTH] != length:
                self._groups.check_length(name, Place.decode(value))
                raise Invalid(f"The manifest gives chunk {name.hex()} a wrong length.")
        self._packs.update(packs_in(found.values()))

    def abort(self) -> None:
        """End the session; chunks that arrived whole stay, for a later session. Twice is fine."""
        with self._lock:
            if self._over:
                return
            self._packing.give_up()
            self._finish()
            if self._manifest_storage is not None:
                # What cannot be removed now is removed when the pool is opened.
                with suppress(RubackupError):
                    self._manifest_storage.backend.delete(seals.open_name(self.record))

    def _finish(self) -> None:
        self._over = True
        self._end_early()
        self._packing.finish()
        if self._manifest is not None:
            self._manifest.close()
        self._host.forget(self)


def _names(ids: bytes) -> list[bytes]:
    if len(ids) > MAX_IDS * ID_BYTES:
        raise Invalid(f"At most {MAX_IDS} chunks can be asked for at once.")
    try:
        return split_ids(ids)
    except ValueError as error:
        raise Invalid("Chunk ids have 32 bytes each.") from error
