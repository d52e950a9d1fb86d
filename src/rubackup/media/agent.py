"""The media server's side of the control connection: pools, verification, lists, seals, tape devices.

Blocking work of the chunk store runs in threads; the loop only talks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rubackup.agent.tasks import TaskRunner
from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.domain.errors import Busy, NotFound, RubackupError, WireFault
from rubackup.media.cleaning import clean
from rubackup.media.copying import Copier
from rubackup.media.devices import check_device
from rubackup.media.files import FileDesk
from rubackup.media.listing import list_folder, list_records
from rubackup.media.pools import PoolKeeper
from rubackup.media.seals import Note, SealBook
from rubackup.media.tape.host import TapeHost
from rubackup.media.verifying import verify
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    Ack,
    AskElements,
    AskPools,
    AskRecords,
    AskStorage,
    AskUnavailable,
    CheckDevice,
    CheckFolder,
    ConfigurePools,
    DropRecord,
    FormatDevice,
    KeepKey,
    ListRecord,
    LockRecord,
    Message,
    PoolStates,
    ProbeBucket,
    ReadRecordFile,
    RecordListing,
    RecordSealed,
    Revoked,
    RunClean,
    RunCopy,
    RunVerify,
    ScanTape,
    SealVerdict,
    UnavailableRecords,
    Welcome,
)
from rubackup.wire.tickets import public_key_of

log = logging.getLogger(__name__)

SEAL_RETRY_SECONDS = 2.0
POOLS_SECONDS = 10.0
"""How long an order waits for the pools to be opened."""

Call = Callable[[Message, float, float], Awaitable[Message]]


class MediaAgent:
    """Answers the servers' orders."""

    def __init__(
        self,
        pools: PoolKeeper,
        seals: SealBook,
        runner: TaskRunner,
        tape: TapeHost,
        copier: Copier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._revoke: Callable[[list[str]], None] = lambda _serials: None
        self._pools = pools
        self._seals = seals
        self._runner = runner
        self._tape = tape
        self._copier = copier
        self._files = FileDesk(pools)
        self._clock = clock
        self._keys: dict[str, tuple[Any, float]] = {}
        self._configured = asyncio.Event()
        self._sealed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._sealed.set)

        seals.on_sealed(wake)

    def on_revoked(self, revoke: Callable[[list[str]], None]) -> None:
        """Call `revoke` with the serials of revoked certificates whenever a server sends them."""
        self._revoke = revoke

    def server_keys(self) -> dict[str, Any]:
        """Public keys of the servers whose tickets are honoured now, by hwid."""
        now = self._clock()
        return {hwid: key for hwid, (key, until) in self._keys.items() if now < until}

    async def connected(self, peer: ControlPeer, welcome: Welcome) -> None:
        """Nothing yet: a server's tickets count once it has said whose certificates are revoked."""
        log.debug("%s leads in epoch %d", peer, welcome.epoch)

    async def handle(self, peer: ControlPeer, message: Message) -> Message:
        """The answer to one order."""
        match message:
            case ConfigurePools():
                self._runner.check_epoch(message.epoch)
                await asyncio.to_thread(self._pools.configure, message.pools, message.terms)
                self._configured.set()
                self._sealed.set()
                return PoolStates(pools=await asyncio.to_thread(self._pools.states))
            case DropRecord():
                self._runner.check_epoch(message.epoch)
                pool = await asyncio.to_thread(self._pools.to_delete_from, message.pool_id)
                await asyncio.to_thread(pool.drop, message.record, zeroing=message.zeroing)
                return Ack()
            case LockRecord():
                self._runner.check_epoch(message.epoch)
                pool = await self._pool(message.pool_id)
                await asyncio.to_thread(pool.lock, message.record, message.until_ns)
                return Ack()
            case Revoked():
                await asyncio.to_thread(self._revoke, message.serials)
                self._keep_key(peer, message.key_seconds)
                return Ack()
            case KeepKey():
                if peer.identity.hwid in self._keys:
                    self._keep_key(peer, message.key_seconds)
                return Ack()
            case RunCopy():
                await self._wait_for_pools()
                self._runner.start(message.order, lambda task: self._copier.run(message, task))
                return Ack()
            case RunClean():
                await self._wait_for_pools()
                self._runner.start(message.order, lambda task: clean(self._pools, message, task))
                return Ack()
            case RunVerify():
                await self._wait_for_pools()
                self._runner.start(message.order, lambda task: verify(self._pools, message, task))
                return Ack()
        return await self._answer(message)

    async def _answer(self, message: Message) -> Message:
        """The answer to a question: what changes nothing of a pool; places that are to become a storage are tried, or made ready."""
        match message:
            case AskPools():
                await asyncio.to_thread(self._pools.meet_again, message.contacts)
                return PoolStates(pools=await asyncio.to_thread(self._pools.states))
            case AskStorage():
                return await asyncio.to_thread(self._pools.need, message.pool_id, message.storage_id)
            case CheckFolder() | CheckDevice() | FormatDevice() | ProbeBucket():
                return await asyncio.to_thread(self._try_place, message)
            case AskUnavailable():
                pool, limit = await self._pool(message.pool_id), max(1, min(message.limit, 1000))
                found, after = await asyncio.to_thread(pool.list_unavailable, message.after, limit)
                return UnavailableRecords(records=found, after=after)
            case AskRecords():
                return await asyncio.to_thread(list_records, await self._pool(message.pool_id), message)
            case ListRecord():
                return await asyncio.to_thread(self._list, message)
            case ReadRecordFile():
                return await asyncio.to_thread(self._files.read, message)
            case ScanTape():
                return await asyncio.to_thread(self._tape.scan)
            case AskElements():
                return await asyncio.to_thread(self._tape.elements, message)
        raise WireFault("A media server does not take this order.")

    async def _pool(self, pool_id: int) -> Pool:
        """The open pool; asking for it may take a moment."""
        return await asyncio.to_thread(self._pools.get, pool_id)

    def _try_place(self, message: CheckFolder | CheckDevice | FormatDevice | ProbeBucket) -> Message:
        match message:
            case CheckFolder():
                self._pools.check_folder(message.path, message.pool)
                return Ack()
            case CheckDevice():
                return check_device(message.path, message.taken)
            case FormatDevice():
                return self._pools.places.format_device(message)
            case ProbeBucket():
                return self._pools.places.probe_bucket(message)

    def _keep_key(self, peer: ControlPeer, seconds: float) -> None:
        self._keys[peer.identity.hwid] = (public_key_of(peer.certificate), self._clock() + seconds)

    async def _wait_for_pools(self) -> None:
        """Return once the server has said which pools there are: after a start, tasks may be quicker than that."""
        try:
            await asyncio.wait_for(self._configured.wait(), POOLS_SECONDS)
        except TimeoutError as error:
            raise Busy("The media server has not been told its pools yet.") from error

    async def report_seals(self, call: Call) -> None:
        """Tell a server of each sealed record until it has decided; runs until cancelled."""
        await self._configured.wait()
        while True:
            self._sealed.clear()
            try:
                for note in await asyncio.to_thread(self._seals.notes):
                    await self._report(call, note)
            except RubackupError as error:
                log.warning("a sealed record could not be reported yet: %s", error)
                await asyncio.sleep(SEAL_RETRY_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sealed.wait(), 10 * SEAL_RETRY_SECONDS)

    async def _report(self, call: Call, note: Note) -> None:
        if note.pool_id not in self._pools.ids():
            return
        pool = await self._pool(note.pool_id)
        try:
            record = await asyncio.to_thread(pool.sealed, note.record)
        except NotFound:
            # Its session is sealing it just now, or died before it could; the latter is forgotten.
            if not self._seals.is_sealing(note):
                self._seals.settle(note)
            return
        verdict = await call(sealed_message(note.pool_id, record), 15.0, 0.0)
        if not isinstance(verdict, SealVerdict):
            raise WireFault("The server answered a seal with something else.")
        if not verdict.keep:
            log.warning("the server refused record %s: it gets a tombstone", note.record)
            await asyncio.to_thread(pool.drop, note.record)
        self._seals.settle(note)

    def _list(self, message: ListRecord) -> RecordListing:
        pool = self._pools.get(message.pool_id)
        return list_folder(pool, message.record, message.path, message.page, message.limit)


def sealed_message(pool_id: int, record: SealedRecord) -> RecordSealed:
    """What the server must know of a record."""
    return RecordSealed(
        task_id=record.task_id, fence=record.fence, pool_id=pool_id, record=record.record, parent=record.parent,
        client_hwid=record.owner, resource_type=record.resource_type, resource=record.resource,
        backup_type=record.backup_type, files=record.files, files_failed=record.files_failed,
        size_bytes=record.size_bytes, stored_bytes=record.stored_bytes, sealed_at_ns=record.sealed_at_ns,
        crypto=record.crypto, key_id=record.key_id,
    )  # fmt: skip
