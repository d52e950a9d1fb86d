"""What a client does with its own part of a Client defined pool: sessions, verification, cleaning, drops, reports of sealed records.

Manifests that were lost here are taken back from the media server that keeps them, before anything is said of a copy and
before anything is collected; those that the media server lost are sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from rubackup.agent.cleaning import clean_pool
from rubackup.agent.sealing import Call, SealReporter
from rubackup.agent.seals import Note, SealBook
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.agent.verifying import verify
from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.client.kept import KeptOverWire
from rubackup.client.own_channels import OwnBackup, OwnRestore
from rubackup.client.own_pools import OwnPools
from rubackup.domain.errors import Fenced, NotFound, RubackupError, WireFault
from rubackup.domain.lookups import Crypto
from rubackup.wire.data import DataConnection
from rubackup.wire.messages import (
    Ack,
    ClientPool,
    ConfigureClientPools,
    DropRecord,
    LockRecord,
    MediaAddress,
    Message,
    NewTicket,
    PoolStates,
    RenewTicket,
    RunBackup,
    RunClean,
    RunVerify,
)

log = logging.getLogger(__name__)
Connect = Callable[[MediaAddress], DataConnection]


class OwnTasks:
    """Of one client. Needs a running loop when it is made."""

    def __init__(self, pools: OwnPools, seals: SealBook, hwid: str, connect: Connect) -> None:
        self.pools, self._seals, self._hwid, self._connect = pools, seals, hwid, connect
        self.reporter = SealReporter(seals, self._of_note, self._see_kept)
        self._kept: set[Note] = set()
        """Sealed records whose manifests are known to be kept."""

    @contextlib.contextmanager
    def keeper(self, media: MediaAddress | None, ticket: Callable[[], bytes]) -> Iterator[KeptOverWire]:
        """A session with the media server that keeps the manifests."""
        if media is None:
            raise WireFault("The order does not say where the manifest is kept.")
        connection = self._connect(media)
        try:
            session = KeptOverWire(connection, ticket)
            yield session
            with contextlib.suppress(RubackupError, OSError):
                session.close()  # all was answered: a lost farewell changes nothing
        finally:
            connection.close()

    async def answer(self, message: ConfigureClientPools | DropRecord | LockRecord) -> Message:
        """Do what the server that leads says of the pools: which there are, and what is to be forgotten or kept in one."""
        if isinstance(message, ConfigureClientPools):
            await asyncio.to_thread(self.pools.configure, message.pools)
            self.reporter.begin()
            return PoolStates(pools=await asyncio.to_thread(self.pools.states))
        pool = await asyncio.to_thread(self.pools.get, message.pool_id)
        if isinstance(message, LockRecord):
            await asyncio.to_thread(pool.lock, message.record, message.until_ns)
        else:
            await asyncio.to_thread(pool.drop, message.record, zeroing=message.zeroing)
        return Ack()

    # --- sessions ---

    @contextlib.contextmanager
    def backup(self, own: ClientPool, message: RunBackup, task: RunningTask, key_id: str) -> Iterator[OwnBackup]:
        """A session that writes the order's record."""
        pool = self.pools.told(own)

        def keep(sealed: SealedRecord) -> None:
            with self.keeper(message.media, lambda: task.ticket) as keeper:
                _send(pool, sealed.record, keeper)
            self._kept.add(Note(own.id, sealed.record))

        session = pool.begin(
            owner=self._hwid,
            task_id=task.task_id,
            fence=task.fence,
            record=message.record,
            parent=message.parent or None,
            share=False,
            crypto="" if message.crypto == Crypto.NOCRYPT.label else message.crypto,
            key_id=key_id,
        )
        channel = OwnBackup(session, self._seals, own.id, keep)
        try:
            yield channel
        finally:
            channel.close()

    def restore(
        self, own: ClientPool, record: str, media: MediaAddress | None, ticket: Callable[[], bytes]
    ) -> OwnRestore:
        """A session that reads a record; its manifest is taken back when it was lost."""
        pool = self.pools.told(own)
        self._take_back(pool, record, media, ticket)
        return OwnRestore(pool.read(record))

    def _take_back(self, pool: Pool, record: str, media: MediaAddress | None, ticket: Callable[[], bytes]) -> bool:
        """Whether a manifest had to be taken back; one in a storage that is away is left where it is."""
        if not pool.lacks_manifest(record) or pool.away():
            return False
        with self.keeper(media, ticket) as keeper:
            size = keeper.size(record)
            if not size:
                raise NotFound(f"The manifest of record {record} is lost, here and on the media server.")
            pool.take_back(record, size, lambda at, length: keeper.read(record, at, length))
        return True

    # --- tasks ---

    def verify(self, own: ClientPool, order: RunVerify, task: RunningTask) -> Outcome:
        """As a media server verifies; a manifest that is lost on either side is put back, with a line in the task's log."""
        pool = self.pools.told(own)
        if self._take_back(pool, order.record, order.media, lambda: task.ticket):
            task.log("warning", "The manifest was lost, and was taken back from the media server that keeps it.")
        outcome = verify(lambda: self.pools.told(own), order, task)
        if outcome.outcome == "done":
            with self.keeper(order.media, lambda: task.ticket) as keeper:
                if not keeper.size(order.record):
                    _send(pool, order.record, keeper)
                    task.log("warning", "The media server had lost the manifest, and keeps it again.")
        return outcome

    def clean(self, own: ClientPool, order: RunClean, task: RunningTask) -> Outcome:
        """Do RunClean, after every manifest that was lost on one side is there again."""
        pool = self.pools.told(own)
        with self.keeper(order.media, lambda: task.ticket) as keeper:
            self._agree(pool, keeper, task)
        return clean_pool(pool, order, task, self.pools.safety)

    @staticmethod
    def _agree(pool: Pool, keeper: KeptOverWire, task: RunningTask) -> None:
        kept = keeper.records()
        for record in kept:
            task.check()
            if not pool.away() and pool.lacks_manifest(record):
                size = keeper.size(record)
                pool.take_back(record, size, lambda at, length, record=record: keeper.read(record, at, length))  # type: ignore[misc]
                task.log("warning", f"The manifest of record {record} was lost, and was taken back.")
        for sealed in pool.records():
            task.check()
            if sealed.record not in kept:
                _send(pool, sealed.record, keeper)
                task.log("warning", f"The media server had lost the manifest of record {sealed.record}.")

    # --- reports of sealed records ---

    async def _of_note(self, pool_id: int) -> Pool | None:
        if pool_id not in self.pools.ids():
            return None
        return await asyncio.to_thread(self.pools.get, pool_id)

    async def _see_kept(self, note: Note, record: SealedRecord, call: Call) -> bool:
        """Whether the record can be reported: its manifest is kept, or its task has gone on without it."""
        if self._seals.is_sealing(note):
            return False  # its session has the manifest kept just now
        if note in self._kept:
            return True
        try:
            answer = await call(RenewTicket(task_id=record.task_id, fence=record.fence), 10.0, 0.0)
        except Fenced:
            return True  # the server refuses it, or has listed it long ago
        if not isinstance(answer, NewTicket) or answer.media is None:
            raise WireFault("The server answered the request for a ticket with something else.")
        await asyncio.to_thread(self._have_kept, note, answer.media, answer.ticket)
        return True

    def _have_kept(self, note: Note, media: MediaAddress, ticket: bytes) -> None:
        with self.keeper(media, lambda: ticket) as keeper:
            _send(self.pools.get(note.pool_id), note.record, keeper)
        self._kept.add(note)


def _send(pool: Pool, record: str, keeper: KeptOverWire) -> None:
    size, read = pool.sealed_manifest(record)
    keeper.keep(record, size, read)
