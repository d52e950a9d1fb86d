"""What agents and the API say to the server, and what is done about it.

Each report is one service call; a report of an older fence changes nothing and is
answered with Fenced or in the list of tasks to drop.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable

import msgspec

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, Refused, WireFault
from rubackup.domain.pools import OWNERS_ONLY, kept_folder
from rubackup.domain.tasks import Verb
from rubackup.queue.ports import Beat
from rubackup.server.client_pools import client_pool
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.monitoring import Monitor
from rubackup.server.orders import address, media_address
from rubackup.server.registry import Registry
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import TOOL_MESSAGES, ClientTools
from rubackup.server.workers import Workers
from rubackup.services import api_hosts, client_pools, dispatch, presence, records
from rubackup.services.api_hosts import ApiSigner
from rubackup.wire.control import ControlPeer
from rubackup.wire.framing import decode, encode
from rubackup.wire.messages import (
    Ack,
    AnyMessage,
    AskElements,
    AskHeldPools,
    AskPools,
    AskRecords,
    AskStorage,
    CheckDestinations,
    CheckDevice,
    CheckFolder,
    DropKept,
    EnrolGranted,
    FormatDevice,
    ListBlockDevices,
    ListEncrypted,
    ListFilesystem,
    ListRecord,
    ListResources,
    Message,
    NewTicket,
    ProbeBucket,
    Progress,
    ProgressAnswer,
    ReadEncryptedFile,
    ReadRecordFile,
    RecordSealed,
    Relay,
    Relayed,
    RenewCertificate,
    RenewTicket,
    ReportFinished,
    ReportKeys,
    ReportLog,
    ReportMonitoring,
    ReportProgress,
    ReportSessions,
    ScanTape,
    SealVerdict,
    SessionsAnswer,
)

RELAYED = (
    AskHeldPools,
    AskRecords,
    ListFilesystem,
    CheckDestinations,
    ListRecord,
    ReadEncryptedFile,
    ReadRecordFile,
    CheckFolder,
    CheckDevice,
    FormatDevice,
    ProbeBucket,
    AskPools,
    AskStorage,
    ScanTape,
    AskElements,
    ListBlockDevices,
    ListResources,
    ListEncrypted,
)
"""What the API may ask of hosts; everything else goes through the queue."""
RELAY_SECONDS = 9.0
ABOUT_POOLS = (AskHeldPools, CheckFolder, CheckDevice, FormatDevice, ProbeBucket, AskStorage)
"""Answered from what the media server was told of its pools, so it is told the newest first."""
TELL_SECONDS = 3.0
SESSIONS = 4096
"""More sessions than a media server can have."""
VERBS = {"execution": Verb.EXECUTE, "transmission": Verb.TRANSMIT}


class Reports:
    """Handles every Call that reaches the server."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        heartbeats: Heartbeats,
        tickets: TicketOffice,
        monitor: Monitor,
        tools: ClientTools,
        tell_pools: Callable[[str], Awaitable[None]] | None = None,
        signer: ApiSigner | None = None,
    ) -> None:
        """`tell_pools` returns when the media server of this hwid knows its pools; `signer` renews certificates of APIs."""
        self._signer = signer
        self._tell_pools = tell_pools
        self._database = database
        self._registry = registry
        self._heartbeats = heartbeats
        self._tickets = tickets
        self._monitor = monitor
        self._tools = tools
        self._phases: dict[tuple[int, int], str] = {}
        self._workers = Workers(database)

    async def handle(self, peer: ControlPeer, message: Message) -> Message:
        """The answer to one message."""
        role = peer.identity.role
        if role == "client" and isinstance(message, TOOL_MESSAGES):
            return await self._tools.handle(peer, message)
        match message:
            case Relay() if role == "api":
                return await self._relay(message)
            case RenewCertificate() if role == "api" and self._signer is not None:
                who, csr = peer.identity, message.csr_pem
                return EnrolGranted(await api_hosts.renew(self._database, self._signer, who, peer.address, csr))
            case ReportProgress() if role in {"client", "media"}:
                return await self._progress(peer, message)
            case ReportLog() if role in {"client", "media"}:
                return await self._log(peer, message)
            case ReportFinished() if role in {"client", "media"}:
                return await self._finished(peer, message)
            case RenewTicket() if role in {"client", "media"}:
                return await self._renew(peer, message)
            case ReportKeys() if role == "client":
                await presence.client_keys(self._database, peer.identity.hwid, message.key_ids)
                return Ack()
            case RecordSealed() if role in {"client", "media"}:
                return await self._sealed(peer, message)
            case ReportSessions() if role == "media":
                held = {(one.task_id, one.fence) for one in message.sessions[:SESSIONS]}
                return SessionsAnswer(over=await dispatch.attempts_over(self._database, held))
            case ReportMonitoring() if role == "media":
                return self._monitor.report(peer.identity.hwid, message.samples)
        raise WireFault("The server does not take this message from this host.")

    async def _progress(self, peer: ControlPeer, message: ReportProgress) -> ProgressAnswer:
        """A host speaks for its own tasks alone: a beat of another's would take that from its worker."""
        own = await self._workers.own(peer, [progress.task_id for progress in message.tasks])
        tasks = [progress for progress in message.tasks if progress.task_id in own]
        for progress in tasks:
            await self._phase(progress)
        beats = [
            Beat(
                task_id=p.task_id,
                fence=p.fence,
                files_done=p.files_done,
                files_total=p.files_total,
                bytes_done=p.bytes_done,
                bytes_total=p.bytes_total,
                bytes_sent=p.bytes_sent,
            )
            for p in tasks
        ]
        strange = [progress.task_id for progress in message.tasks if progress.task_id not in own]
        lost = await self._heartbeats.add(beats) if beats else []
        return ProgressAnswer(drop=[*lost, *strange])

    async def _phase(self, progress: Progress) -> None:
        """Move the task when its worker went over to another phase."""
        key = (progress.task_id, progress.fence)
        if self._phases.get(key) == progress.phase or progress.phase not in VERBS:
            return
        await dispatch.phase(self._database, progress.task_id, progress.fence, VERBS[progress.phase])
        self._phases[key] = progress.phase

    async def _log(self, peer: ControlPeer, message: ReportLog) -> Ack:
        """Lines of a task that is not in the queue any more, or is another host's, are dropped."""
        if await self._workers.own(peer, [message.task_id]):
            lines = [(line.at_ns, line.level, line.text) for line in message.lines]
            role = peer.identity.role
            await dispatch.add_log(self._database, message.task_id, role, message.fence, message.first, lines)
        return Ack()

    async def _finished(self, peer: ControlPeer, message: ReportFinished) -> Ack:
        self._phases.pop((message.task_id, message.fence), None)
        self._workers.forget(message.task_id)
        failed = await dispatch.finished(
            self._database,
            message.task_id,
            message.fence,
            source=peer.identity.role,
            hwid=peer.identity.hwid,
            outcome=message.outcome,
            message=message.message,
            damaged=message.damaged,
            figures=(message.files_done, message.bytes_done) if message.outcome in {"done", "error"} else None,
            bytes_sent=message.bytes_sent,
        )
        return Ack(failed=failed)

    async def _renew(self, peer: ControlPeer, message: RenewTicket) -> NewTicket:
        job = await dispatch.job_of(self._database, message.task_id, message.fence)
        worker = job.client_hwid if job.executor == "client" else job.media_hwid
        if (peer.identity.role, peer.identity.hwid) != (job.executor, worker):
            raise Refused("The task belongs to another host.")
        source = address(job.source_endpoint, job.source_media_hwid, job.source_media_key) if job.source_uuid else None
        return NewTicket(ticket=self._tickets.issue(job), media=source or media_address(job))

    async def _sealed(self, peer: ControlPeer, message: RecordSealed) -> SealVerdict:
        """The decision about a record; of one in a client's own pool that is refused the kept manifest goes before the answer."""
        own = peer.identity.role == "client"
        keep = await records.seal(
            self._database,
            records.Sealed(
                task_id=message.task_id,
                fence=message.fence,
                pool_id=message.pool_id,
                media_hwid="" if own else peer.identity.hwid,
                record=message.record,
                parent=message.parent,
                client_hwid=peer.identity.hwid if own else message.client_hwid,
                resource_type=message.resource_type,
                resource=message.resource,
                backup_type=message.backup_type,
                files=message.files,
                files_failed=message.files_failed,
                size_bytes=message.size_bytes,
                stored_bytes=message.stored_bytes,
                sealed_at=dt.datetime.fromtimestamp(message.sealed_at_ns / 1e9, dt.UTC),
                key_id=message.key_id,
                emergency=message.emergency,
                emergency_bytes=message.emergency_bytes,
                emergency_reason=message.emergency_reason,
            ),
        )
        if own and not keep:
            await self._forget_kept(peer.identity.hwid, message)
        return SealVerdict(keep=keep)

    async def _forget_kept(self, hwid: str, message: RecordSealed) -> None:
        """Nobody needs the manifest of a record that the catalogue does not have; Unavailable when it cannot be dropped now."""
        found = await client_pools.keeper_of(self._database, message.pool_id)
        if found is not None:
            media_hwid, pool_uuid, epoch = found
            order = DropKept(epoch=epoch, folder=kept_folder(pool_uuid, hwid), record=message.record)
            await self._registry.get("media", media_hwid).call(order, RELAY_SECONDS)

    async def _with_ticket(
        self, asked: ListEncrypted | ReadEncryptedFile, client_hwid: str
    ) -> ListEncrypted | ReadEncryptedFile:
        """The question with what the client needs to read its record; NotFound when it is not this client's."""
        found = await records.whereabouts(self._database, asked.pool_id, asked.record, client_hwid)
        client, media = (client_hwid, found.client_key), address(found.endpoint, found.media_hwid, found.media_key)
        own = await client_pools.of(self._database, asked.pool_id)
        if own is not None and isinstance(asked, ReadEncryptedFile):
            raise Conflict(OWNERS_ONLY)
        if own is not None:
            ticket = self._tickets.issue_kept(client, media.hwid, own, asked.record)
            return msgspec.structs.replace(asked, media=media, ticket=ticket, own=client_pool(own))
        ticket = self._tickets.issue_listing(client, media.hwid, asked.pool_id, asked.record)
        return msgspec.structs.replace(asked, media=media, ticket=ticket)

    async def _relay(self, message: Relay) -> Relayed:
        inner = decode(message.body, AnyMessage)
        if not isinstance(inner, RELAYED):
            raise Refused("This message is not relayed.")
        if isinstance(inner, ListEncrypted | ReadEncryptedFile):
            inner = await self._with_ticket(inner, message.hwid)
        peer, until = self._registry.get(message.role, message.hwid), asyncio.get_running_loop().time() + RELAY_SECONDS
        if isinstance(inner, ABOUT_POOLS) and self._tell_pools is not None:
            with contextlib.suppress(TimeoutError):  # a pool that takes longer to open need not matter for the question
                await asyncio.wait_for(self._tell_pools(message.hwid), TELL_SECONDS)
        return Relayed(body=encode(await peer.call(inner, until - asyncio.get_running_loop().time())))
