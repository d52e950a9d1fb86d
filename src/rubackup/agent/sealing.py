"""Tells the servers of sealed records, on media servers and on clients with pools of their own, until they have decided."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from rubackup.agent.seals import Note, SealBook
from rubackup.chunkstore.pool import NOT_SPARED, Pool, SealedRecord, Spared
from rubackup.domain.errors import NotFound, RubackupError, WireFault
from rubackup.wire.messages import Message, RecordSealed, SealVerdict

log = logging.getLogger(__name__)
SEAL_RETRY_SECONDS = 2.0

Call = Callable[[Message, float, float], Awaitable[Message]]
PoolOf = Callable[[int], Awaitable[Pool | None]]
"""The open pool of a number; None when this host is not told of it (yet). StorageFault says why it cannot be used."""
Prepare = Callable[[Note, SealedRecord, Call], Awaitable[bool]]
"""What comes before a record is reported; whether it can be by now."""


async def nothing(_note: Note, _record: SealedRecord, _call: Call) -> bool:
    """A record in a media server's pool can be reported at once."""
    return True


class SealReporter:
    """Of one host."""

    def __init__(self, seals: SealBook, pool_of: PoolOf, prepare: Prepare = nothing) -> None:
        """Needs a running loop."""
        self._seals, self._pool_of, self._prepare = seals, pool_of, prepare
        self._sealed = asyncio.Event()
        self._told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._sealed.set)

        seals.on_sealed(wake)

    def begin(self) -> None:
        """The host knows its pools now, or others than before."""
        self._told.set()
        self._sealed.set()

    async def run(self, call: Call) -> None:
        """Tell a server of each sealed record until it has decided; runs until cancelled."""
        await self._told.wait()
        while True:
            self._sealed.clear()
            failed = False
            for note in await asyncio.to_thread(self._seals.notes):
                try:
                    await self.report(call, note)
                except RubackupError as error:
                    log.warning("record %s could not be reported yet: %s", note.record, error)
                    failed = True
            if failed:
                await asyncio.sleep(SEAL_RETRY_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sealed.wait(), 10 * SEAL_RETRY_SECONDS)

    async def report(self, call: Call, note: Note) -> None:
        """Tell of one record, if there is one, and do what the server decides."""
        pool = await self._pool_of(note.pool_id)
        if pool is None:
            return
        try:
            record = await asyncio.to_thread(pool.sealed, note.record)
        except NotFound:
            # Its session is sealing it just now, or died before it could; the latter is forgotten.
            if not self._seals.is_sealing(note):
                self._seals.settle(note)
            return
        if not await self._prepare(note, record, call):
            return
        spared = await asyncio.to_thread(pool.spared, note.record)
        verdict = await call(sealed_message(note.pool_id, record, spared), 15.0, 0.0)
        if not isinstance(verdict, SealVerdict):
            raise WireFault("The server answered a seal with something else.")
        if not verdict.keep:
            log.warning("the server refused record %s: it gets a tombstone", note.record)
            await asyncio.to_thread(pool.drop, note.record)
        self._seals.settle(note)


def sealed_message(pool_id: int, record: SealedRecord, spared: Spared = NOT_SPARED) -> RecordSealed:
    """What the server must know of a record."""
    return RecordSealed(
        task_id=record.task_id, fence=record.fence, pool_id=pool_id, record=record.record, parent=record.parent,
        client_hwid=record.owner, resource_type=record.resource_type, resource=record.resource,
        backup_type=record.backup_type, files=record.files, files_failed=record.files_failed,
        size_bytes=record.size_bytes, stored_bytes=record.stored_bytes, sealed_at_ns=record.sealed_at_ns,
        crypto=record.crypto, key_id=record.key_id, emergency=spared.path, emergency_bytes=spared.size_bytes,
        emergency_reason=spared.reason,
    )  # fmt: skip
