"""A session's open pack, and what waits to be told to the index.

Every session has a pack of its own, so sessions never wait for each other's disk. Chunks reach
the index only after their pack was synced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.identity import Buffer
from rubackup.chunkstore.index import Batch, Index, PackRow, Place
from rubackup.chunkstore.pack import PackHeader, PackWriter
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import RubackupError, StorageFull

MAX_PENDING: Final = 65_536


class Packing:
    """Takes groups; the session's lock is held by the caller."""

    def __init__(
        self,
        index: Index,
        storages: Callable[[], Storages],
        abandon: Callable[[Storage, bytes], None],
        *,
        pool: bytes,
        owner: str,
        key_id: str = "",
        task_id: int,
    ) -> None:
        self._task_id = task_id
        self._index, self._storages, self._abandon = index, storages, abandon
        self._pool, self._owner_name = pool, owner
        self.owner = index.owner(owner)
        self.space = index.space(owner, key_id)
        """Of everything that this session stores."""
        self.pending: dict[bytes, Place] = {}
        """New chunks that the index does not have yet."""
        self.grants: set[bytes] = set()
        """Stored chunks that are the owner's from the next transaction on."""
        self.stored_bytes = 0
        self._writer: PackWriter | None = None
        self._storage: Storage | None = None
        self._number = 0

    def add(self, data: Buffer, received: Group | Head, new: set[bytes]) -> None:
        """Store a group; `new` are those of its chunks that get their place here."""
        writer = self._writer_for(len(data))
        offset = writer.add(data, len(received.ids))
        self.stored_bytes += len(data)
        for position, (name, length) in enumerate(zip(received.ids, received.lengths, strict=True)):
            if name in new:
                self.pending[name] = Place(self._number, offset, len(data), position, length, self.owner)
        if writer.size_bytes >= pack.TARGET_BYTES:
            self.close()
        elif len(self.pending) > MAX_PENDING:
            self.checkpoint()

    def grant(self, names: Iterable[bytes]) -> None:
        """The owner showed to hold these stored chunks."""
        self.grants.update(names)
        if len(self.grants) > MAX_PENDING:
            self._commit([])

    def _writer_for(self, size_bytes: int) -> PackWriter:
        """The open pack, or a new one in the first storage that has room."""
        room = size_bytes + pack.HEADER_BYTES
        storages = self._storages()
        if self._writer is not None and self._storage is not None:
            if storages.has_room(self._storage, room):
                return self._writer
            self.close()
        storage = storages.room_for(room)
        name = os.urandom(16)
        try:
            self._writer = PackWriter(storage.backend, PackHeader(self._pool, name, self._owner_name))
        except BaseException:
            self._abandon(storage, name)
            raise
        self._storage = storage
        self._number = self._index.new_pack_number()
        return self._writer

    def checkpoint(self) -> None:
        """Sync the open pack and tell the index."""
        if self._writer is None or self._storage is None or self._writer.empty:
            self._commit([])
            return
        try:
            self._writer.sync()
            self._commit([self._row(self._writer, self._storage, closed=False)])
        except BaseException as error:
            self._failed(self._writer, self._storage, error)
            raise

    def close(self) -> None:
        """Close the open pack and tell the index."""
        writer, storage = self._writer, self._storage
        if writer is None or storage is None:
            self._commit([])
        elif writer.empty:
            self._writer = self._storage = None
            writer.abandon()
            storage.backend.delete(pack.open_name(writer.id))
            self._commit([])
        else:
            try:
                writer.close()
                storage.count(writer.size_bytes)
                self._commit([self._row(writer, storage, closed=True)])
            except BaseException as error:
                self._failed(writer, storage, error)
                raise
            self._writer = self._storage = None

    def give_up(self) -> None:
        """Keep what is whole; what cannot be closed and told now is left to recovery."""
        with suppress(RubackupError):  # what ended the session is told already
            self.close()

    def _failed(self, writer: PackWriter, storage: Storage, error: BaseException) -> None:
        """The pack is left as it is."""
        self._writer = self._storage = None
        self.pending = {}
        writer.abandon()
        # Without room it is whole up to here and can be closed later. After any other error, a failed fsync above
        # all, nobody knows what reached the disk: the next opening of the pool reads it anew.
        if isinstance(error, StorageFull):
            self._abandon(storage, writer.id)

    def _row(self, writer: PackWriter, storage: Storage, *, closed: bool) -> PackRow:
        return PackRow(self._number, writer.id, storage.id, closed, writer.size_bytes)

    def _commit(self, rows: list[PackRow]) -> None:
        if rows or self.pending or self.grants:
            chunks = {name + self.space: place for name, place in self.pending.items()} if self.space else self.pending
            self._index.commit(Batch(self.owner, rows, chunks, self.grants, self._task_id))
            self.pending = {}
            self.grants = set()
