"""The media server's side of the control connection: pools, verification, lists, seals, tape devices.

Blocking work of the chunk store runs in threads; the loop only talks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from rubackup.agent.sealing import Call, SealReporter
from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import TaskRunner
from rubackup.agent.verifying import verify
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Busy, WireFault
from rubackup.media.cleaning import clean
from rubackup.media.copying import Copier
from rubackup.media.devices import check_device
from rubackup.media.files import FileDesk
from rubackup.media.kept import KeptDesk
from rubackup.media.listing import list_folder, list_records
from rubackup.media.pools import PoolKeeper
from rubackup.media.tape.host import TapeHost
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    Ack,
    AskElements,
    AskHeldPools,
    AskPools,
    AskRecords,
    AskStorage,
    AskUnavailable,
    CheckDevice,
    CheckFolder,
    ConfigurePools,
    DropKept,
    DropRecord,
    FormatDevice,
    HeldPools,
    KeepKey,
    ListRecord,
    LockRecord,
    Message,
    PoolStates,
    ProbeBucket,
    ReadRecordFile,
    RecordListing,
    Revoked,
    RunClean,
    RunCopy,
    RunVerify,
    ScanTape,
    UnavailableRecords,
    Welcome,
)
from rubackup.wire.tickets import public_key_of

log = logging.getLogger(__name__)

POOLS_SECONDS = 10.0
"""How long an order waits for the pools to be opened."""


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
        self._runner = runner
        self._tape = tape
        self._copier = copier
        self._files = FileDesk(pools)
        self._kept = KeptDesk(pools)
        self._clock = clock
        self._keys: dict[str, tuple[Any, float]] = {}
        self._configured = asyncio.Event()
        self._reporter = SealReporter(seals, self._served)

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
                self._reporter.begin()
                return PoolStates(pools=await asyncio.to_thread(self._pools.states))
            case DropRecord():
                self._runner.check_epoch(message.epoch)
                pool = await asyncio.to_thread(self._pools.to_delete_from, message.pool_id)
                await asyncio.to_thread(pool.drop, message.record, zeroing=message.zeroing)
                return Ack()
            case DropKept():
                self._runner.check_epoch(message.epoch)
                await asyncio.to_thread(self._kept.drop, message.folder, message.record)
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
                self._runner.start(
                    message.order, lambda task: verify(lambda: self._pools.wait_for(message.pool_id), message, task)
                )
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
            case AskHeldPools() | CheckFolder() | CheckDevice() | FormatDevice() | ProbeBucket():
                return await asyncio.to_thread(self._look_at_places, message)
            case AskUnavailable():
                pool, limit = await self._pool(message.pool_id), max(1, min(message.limit, 1000))
                found, after = await asyncio.to_thread(pool.list_unavailable, message.after, limit)
                return UnavailableRecords(records=found, after=after)
            case AskRecords() if message.kept_of:
                return await asyncio.to_thread(self._kept.list_records, message)
            case AskRecords():
                return await asyncio.to_thread(list_records, await self._to_list(message), message)
            case ListRecord() if message.kept:
                return await asyncio.to_thread(self._kept.list_folder, message)
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

    async def _to_list(self, message: AskRecords) -> Pool:
        """The pool whose records are asked for; that it is there is looked at when they are begun with."""
        pool = await self._pool(message.pool_id)
        if not message.after:
            await asyncio.to_thread(pool.must_be_there)
        return pool

    def _look_at_places(
        self, message: AskHeldPools | CheckFolder | CheckDevice | FormatDevice | ProbeBucket
    ) -> Message:
        match message:
            case AskHeldPools():
                return HeldPools(pools=self._pools.held())
            case CheckFolder():
                self._pools.check_folder(message.path, message.pool, existing=message.existing)
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
        await self._reporter.run(call)

    async def _served(self, pool_id: int) -> Pool | None:
        return await self._pool(pool_id) if pool_id in self._pools.ids() else None

    def _list(self, message: ListRecord) -> RecordListing:
        pool = self._pools.get(message.pool_id)
        return list_folder(pool, message.record, message.path, message.page, message.limit)
