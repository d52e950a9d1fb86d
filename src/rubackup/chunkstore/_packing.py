"""A session's packs: the open one, those that are being closed, and what waits to be told to the index.

Every session has packs of its own, so sessions never wait for each other's disk. A full pack is
synced and named by a thread of the session (sent to an object storage by two) while the next one fills. Chunks reach the index only
after their pack was closed or synced, in the order of the packs, and only from the session's calls.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.hashes import Gathered, Hashes, digests_of
from rubackup.chunkstore.identity import Buffer
from rubackup.chunkstore.index import Batch, Index, PackRow, Place
from rubackup.chunkstore.pack import PackHeader, PackWriter
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import RubackupError, StorageFault, StorageFull

MAX_PENDING: Final = 65_536
CLOSING: Final = 2
"""Packs of one session that may wait for their disk; with one more the session waits. 0 closes them one by one."""


@dataclass
class _Open:
    """A pack whose chunks the index does not have yet, or not all."""

    writer: PackWriter
    storage: Storage
    number: int
    chunks: dict[bytes, Place] = field(default_factory=dict)
    """Those that came since the last transaction."""
    hashes: Hashes | None = None
    gathered: Gathered = field(default_factory=Gathered)
    """What the pool records of the pack's chunks."""

    @property
    def is_full(self) -> bool:
        """Whether it is to be closed."""
        return self.writer.size_bytes >= pack.TARGET_BYTES or self.gathered.is_full

    def close(self) -> None:
        """Close the pack; the file of hashes beside it is there before the index knows that it is closed."""
        self.writer.close()
        if self.hashes is not None:
            self.hashes.write(self.writer.backend, self.writer.id, self.gathered)

    @property
    def size_bytes(self) -> int:
        """Of the closed pack, and of what lies beside it."""
        return self.writer.size_bytes + (self.gathered.size_bytes if self.hashes else 0)

    def row(self, *, closed: bool) -> PackRow:
        """How the index names the pack as it is now."""
        return PackRow(self.number, self.writer.id, self.storage.id, closed, self.writer.size_bytes)


class Packing:
    """Takes groups; the session's lock is held by the caller."""

    def __init__(
        self,
        index: Index,
        storages: Callable[[], Storages],
        abandon: Callable[[Storage, bytes], None],
        written: set[bytes],
        *,
        pool: bytes,
        owner: str,
        key_id: str = "",
        task_id: int,
        hashes: Hashes | None = None,
    ) -> None:
        self._task_id, self._hashes = task_id, hashes
        self._index, self._storages, self._abandon = index, storages, abandon
        self._written = written
        self._pool, self._owner_name = pool, owner
        self.owner = index.owner(owner)
        self.space = index.space(owner, key_id)
        """Of everything that this session stores."""
        self.pending: set[bytes] = set()
        """New chunks that the index does not have yet."""
        self.grants: set[bytes] = set()
        """Stored chunks that are the owner's from the next transaction on."""
        self.stored_bytes = 0
        self._open: _Open | None = None
        self._closing: deque[tuple[_Open, Future[None]]] = deque()
        self._closer: ThreadPoolExecutor | None = None

    def add(self, data: Buffer, received: Group | Head, new: set[bytes]) -> None:
        """Store a group; `new` are those of its chunks that get their place here."""
        self._tell_closed(CLOSING)
        current = self._pack_for(len(data))
        writer = current.writer
        try:
            offset = writer.add(data, len(received.ids))
        except StorageFault as error:
            current.storage.failed(error)
            raise
        if self._hashes is not None:
            current.gathered.add(offset, digests_of(received))
        self.stored_bytes += len(data)
        for position, (name, length) in enumerate(zip(received.ids, received.lengths, strict=True)):
            if name in new:
                current.chunks[name] = Place(current.number, offset, len(data), position, length, self.owner)
        self.pending |= new
        if current.is_full:
            self._start_closing()
        elif len(self.pending) > MAX_PENDING:
            if current.storage.backend.capabilities.append:
                self.checkpoint()
            else:
                self._start_closing()

    def grant(self, names: Iterable[bytes]) -> None:
        """The owner showed to hold these stored chunks."""
        self.grants.update(names)
        if len(self.grants) > MAX_PENDING:
            self._commit([], {})

    def _pack_for(self, size_bytes: int) -> _Open:
        """The open pack, or a new one in the first storage that has room."""
        room = size_bytes + pack.HEADER_BYTES
        storages = self._storages()
        if self._open is not None:
            if storages.has_room(self._open.storage, room):
                return self._open
            self.close()
        storage = storages.room_for(room)
        self._written.add(storage.id)
        name = os.urandom(16)
        try:
            writer = PackWriter(storage.backend, PackHeader(self._pool, name, self._owner_name))
        except BaseException as error:
            storage.failed(error)
            self._abandon(storage, name)
            raise
        self._open = _Open(writer, storage, self._index.new_pack_number(), hashes=self._hashes)
        return self._open

    def checkpoint(self) -> None:
        """Return when all that came is durable, and the index knows what others may build on.

        Where a storage takes only whole files, the open pack is on this host's disk: no record may need it, so the index
        does not know it before it is closed. Recovery finds it.
        """
        self._tell_closed(0)
        current = self._open
        if current is None or current.writer.empty:
            self._commit([], {})
            return
        try:
            current.writer.sync()
            if current.storage.backend.capabilities.append:
                self._tell(current, closed=False)
            else:
                self._commit([], {})
        except BaseException as error:
            self._open = None
            self._failed(current, error)
            raise

    def close(self) -> None:
        """Return when all packs are closed and the index knows them."""
        current = self._open
        if current is not None and current.writer.empty:
            self._open = None
            current.writer.abandon()
            current.storage.backend.delete(pack.open_name(current.writer.id))
        elif current is not None:
            self._start_closing()
        self._tell_closed(0)
        self._commit([], {})

    def give_up(self) -> None:
        """Keep what is whole; what cannot be closed and told now is left to recovery. No thread is left behind."""
        while True:
            with suppress(RubackupError):  # what ended the session is told already
                self.close()
            if self._open is None and not self._closing:
                break
        self.finish()

    def finish(self) -> None:
        """Let the thread go; there is nothing left to close."""
        if self._closer is not None:
            self._closer.shutdown()
            self._closer = None

    # --- closing ---

    def _start_closing(self) -> None:
        """Let the open pack be closed beside what comes next; at most CLOSING wait."""
        current, self._open = self._open, None
        if current is None:
            return
        if self._closer is None and CLOSING:
            # A pack that has to be sent waits for the other side: the next one is sent meanwhile.
            threads = 1 if current.storage.backend.capabilities.append else CLOSING
            self._closer = ThreadPoolExecutor(threads, "close-pack")
        done: Future[None] = Future()
        if self._closer is not None:
            try:
                done = self._closer.submit(current.close)
            except RuntimeError as error:  # the system gives no more threads, or the process ends
                done.set_exception(error)
        else:
            try:
                current.close()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)
        self._closing.append((current, done))
        self._tell_closed(CLOSING)

    def _tell_closed(self, left: int) -> None:
        """Tell the index of packs that are closed; wait until at most `left` are not. Raises what went wrong with one."""
        while self._closing and (len(self._closing) > left or self._closing[0][1].done()):
            current, done = self._closing.popleft()
            try:
                done.result()
                current.storage.count(current.size_bytes)
                self._tell(current, closed=True)
            except BaseException as error:
                self._failed(current, error)
                raise

    def _failed(self, current: _Open, error: BaseException) -> None:
        """The pack is left as it is."""
        self.pending.difference_update(current.chunks)
        current.storage.failed(error)
        current.writer.abandon()
        # Without room it is whole up to here and can be closed later. After any other error, a failed fsync above
        # all, nobody knows what reached the disk: the next opening of the pool reads it anew. What has to be sent from
        # a spool is read and checked when it is sent, so it is tried again as soon as the storage answers.
        if isinstance(error, StorageFull) or not current.storage.backend.capabilities.append:
            self._abandon(current.storage, current.writer.id)

    def _tell(self, current: _Open, *, closed: bool) -> None:
        self._commit([current.row(closed=closed)], current.chunks)
        self.pending.difference_update(current.chunks)
        current.chunks = {}

    def _commit(self, rows: list[PackRow], chunks: dict[bytes, Place]) -> None:
        if rows or chunks or self.grants:
            if self.space:
                chunks = {name + self.space: place for name, place in chunks.items()}
            self._index.commit(Batch(self.owner, rows, chunks, self.grants, self._task_id))
            self.grants = set()
