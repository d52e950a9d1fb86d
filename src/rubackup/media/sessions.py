"""Data sessions of clients, and of media servers that copy a record: a ticket opens one, and names all it can reach.

Runs in a thread of its own over a blocking connection. Whatever a client sends is
checked by the chunk store before it is admitted. Protocol: `docs/design/wire.md`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rubackup import __version__
from rubackup.agent.seals import SealBook
from rubackup.chunkstore.pool import ReadSession, WriteSession
from rubackup.domain.errors import Corrupt, Refused, RubackupError, WireFault
from rubackup.media.ingest import Ingest, examiners
from rubackup.media.kept import KeptDesk, KeptSession
from rubackup.media.pools import PoolKeeper
from rubackup.wire.data import DataConnection, Frame
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    Ack,
    BackupOpened,
    Bye,
    Checkpoint,
    Checkpointed,
    CopySegments,
    Groups,
    Known,
    Message,
    OpenBackup,
    OpenKept,
    OpenRestore,
    Prove,
    Proved,
    Query,
    ReadChunks,
    ReadManifest,
    Renew,
    RestoreOpened,
    Seal,
    Sealed,
)
from rubackup.wire.tickets import Ticket, verify

log = logging.getLogger(__name__)

MANIFEST_READ_BYTES = 4 << 20
"""The longest range of a manifest in one answer."""
RUNS_LIMIT = 65_536
"""Runs of chunks in one request."""

DAMAGE_TOLD = 4
"""Damaged places that one answer names."""


class DataSessions:
    """Opens sessions for hosts whose tickets a known server has signed."""

    def __init__(
        self,
        hwid: str,
        pools: PoolKeeper,
        seals: SealBook,
        server_keys: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hwid = hwid
        self._pools = pools
        self._seals = seals
        self._kept = KeptDesk(pools)
        self._server_keys = server_keys
        self._clock = clock
        self._examiners = examiners()
        self._lock = threading.Lock()
        self._live: dict[DataConnection, Ticket | None] = {}
        """Every session, and the ticket that opened it."""
        self._revoked: frozenset[str] = frozenset()

    def serve(self, connection: DataConnection) -> None:
        """One session, from its first message to its end; what ended it is logged and goes to the client."""
        with self._lock:
            self._live[connection] = None
        try:
            self._refuse_revoked(connection)
            self._serve(connection)
        except RubackupError as error:
            log.warning("session of %s ended: %s", connection.identity, error)
            raise
        finally:
            with self._lock:
                del self._live[connection]

    def revoke(self, serials: Iterable[str]) -> None:
        """End the sessions of these certificates and open none for them any more."""
        with self._lock:
            self._revoked = frozenset(serials)
            dead = [connection for connection in self._live if connection.identity.serial in self._revoked]
        for connection in dead:
            log.warning("session of %s is ended: its certificate was revoked", connection.identity)
            connection.abort()

    def _refuse_revoked(self, connection: DataConnection) -> None:
        if connection.identity.serial in self._revoked:
            raise Refused("The certificate was revoked.")

    def _serve(self, connection: DataConnection) -> None:
        if connection.identity.role not in {"client", "media"}:
            raise Refused("Only clients and media servers open data sessions.")
        opening = connection.receive()
        if isinstance(opening, OpenBackup) and connection.identity.role != "client":
            raise Refused("Only clients write copies; a media server reads one that it copies.")
        if isinstance(opening, OpenBackup):
            ticket = self._admit(connection, opening.version, opening.ticket, "backup")
            self._backup(connection, ticket, opening.key_id)
        elif isinstance(opening, OpenRestore):
            ticket = self._admit(connection, opening.version, opening.ticket, "restore")
            self._restore(connection, ticket)
        elif isinstance(opening, OpenKept):
            self._kept_session(connection, self._admit(connection, opening.version, opening.ticket, "kept"))
        else:
            raise WireFault("A data session begins with OpenBackup, OpenRestore or OpenKept.")

    def _admit(self, connection: DataConnection, version: int, data: bytes, mode: str) -> Ticket:
        if not OLDEST_PROTOCOL_VERSION <= version <= PROTOCOL_VERSION:
            raise Refused(
                f"This media server is of version {__version__} and speaks {OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION} of the"
                f" protocol, not {version}: upgrade {'it' if version > PROTOCOL_VERSION else 'the other side'}."
            )
        ticket = verify(
            data,
            self._server_keys(),
            client=(connection.identity.hwid, connection.identity.key),
            media_hwid=self._hwid,
            now=self._clock(),
        )
        if ticket.mode != mode:
            what = "kept manifests" if ticket.mode == "kept" else f"a {ticket.mode}"
            raise Refused(f"The ticket is for {what}.")
        with self._lock:
            self._live[connection] = ticket
        return ticket

    def attempts(self) -> list[tuple[int, int]]:
        """Task and fence of each session of a task; a listing's is of none."""
        with self._lock:
            tickets = {(one.task_id, one.fence) for one in self._live.values() if one is not None and one.task_id}
        return sorted(tickets)

    def end(self, fence: int) -> None:
        """End the sessions of an attempt that is over: what they hold is free at once."""
        with self._lock:
            dead = [found for found, ticket in self._live.items() if ticket is not None and ticket.fence == fence]
        for connection in dead:
            log.warning("session of %s is ended: its task is over", connection.identity)
            connection.abort()

    def _renewed(self, connection: DataConnection, old: Ticket, data: bytes) -> Ticket:
        new = self._admit(connection, PROTOCOL_VERSION, data, old.mode)
        if (new.task_id, new.fence, new.record) != (old.task_id, old.fence, old.record):
            raise Refused("The ticket is for another session.")
        connection.send(Ack())
        return new

    def _check(self, ticket: Ticket) -> None:
        if ticket.expires_at < self._clock():
            raise Refused("The ticket has expired.")

    def _backup(self, connection: DataConnection, ticket: Ticket, key_id: str) -> None:
        pool = self._pools.wait_for(ticket.pool_id)
        session = pool.begin(
            owner=ticket.client_hwid,
            task_id=ticket.task_id,
            fence=ticket.fence,
            record=ticket.record,
            parent=ticket.parent or None,
            share=ticket.share,
            crypto=ticket.crypto,
            key_id=key_id,
        )
        ingest = Ingest(session, connection, self._examiners)
        sealed = False
        try:
            connection.send(BackupOpened(parent_bytes=session.parent_bytes, block_bytes=session.block_bytes))
            while True:
                item = connection.receive()
                self._check(ticket)
                if isinstance(item, Frame) and item.type is FrameType.GROUP:
                    ingest.put(item)
                    continue
                if isinstance(item, Frame):
                    store_manifest(session, item)
                    continue
                if isinstance(item, CopySegments):
                    session.copy_parent(item.first, item.count)
                    continue
                ingest.drain()
                if isinstance(item, ReadManifest):
                    parent = session.read_parent(item.offset, min(item.length, MANIFEST_READ_BYTES))
                    connection.send_frame(FrameType.DATA, parent)
                elif isinstance(item, Renew):
                    ticket = self._renewed(connection, ticket, item.ticket)
                elif isinstance(item, Seal):
                    self._seal(connection, session, ticket, item)
                    sealed = True
                elif isinstance(item, Bye):
                    return
                else:
                    connection.send(answer_backup(session, item))
        finally:
            ingest.end()
            if not sealed:
                session.abort()

    def _seal(self, connection: DataConnection, session: WriteSession, ticket: Ticket, seal: Seal) -> None:
        """Publish the record; the note that the server must hear of it is durable before the record is."""
        with self._seals.sealing(ticket.pool_id, ticket.record):
            record = session.seal(seal.files, seal.files_failed, seal.size_bytes)
        connection.send(Sealed(record=record.record, stored_bytes=record.stored_bytes))

    def _restore(self, connection: DataConnection, ticket: Ticket) -> None:
        # A media server copies for the record's owner; a client may be another one, to which the copy is restored.
        reader = connection.identity.hwid if connection.identity.role == "client" else ""
        session = self._pools.wait_for(ticket.pool_id).read(ticket.record, reader)
        connection.send(
            RestoreOpened(manifest_bytes=session.manifest_bytes, crypto=session.crypto, key_id=session.key_id)
        )
        while True:
            item = connection.receive()
            self._check(ticket)
            if isinstance(item, ReadManifest):
                data = session.read_manifest(item.offset, min(item.length, MANIFEST_READ_BYTES))
                connection.send_frame(FrameType.DATA, data)
            elif isinstance(item, ReadChunks):
                send_groups(connection, session, item)
            elif isinstance(item, Renew):
                ticket = self._renewed(connection, ticket, item.ticket)
            elif isinstance(item, Bye):
                return
            else:
                raise WireFault("This message does not belong into a restore session.")

    def _kept_session(self, connection: DataConnection, ticket: Ticket) -> None:
        session = KeptSession(self._kept, connection, ticket)
        connection.send(Ack())
        while True:
            item = connection.receive()
            self._check(session.ticket)
            if isinstance(item, Renew):
                session.ticket = self._renewed(connection, session.ticket, item.ticket)
            elif isinstance(item, Bye):
                return
            else:
                session.answer(item)


def store_manifest(session: WriteSession, frame: Frame) -> None:
    """A piece of the manifest."""
    if frame.type is not FrameType.MANIFEST:
        raise WireFault("This frame does not belong into a backup session.")
    session.put_manifest(bytes(frame.data))


def answer_backup(session: WriteSession, message: Message) -> Message:
    """The answer to one message of a backup session."""
    match message:
        case Query():
            states, nonce = session.query(message.ids)
            return Known(states=states, nonce=nonce)
        case Prove():
            return Proved(states=session.prove(message.ids, message.proofs))
        case Checkpoint():
            session.checkpoint()
            return Checkpointed()
    raise WireFault("This message does not belong into a backup session.")


def send_groups(connection: DataConnection, session: ReadSession, request: ReadChunks) -> None:
    """Every group that holds a wanted chunk, once; damaged ones are left out and named at the end."""
    if len(request.runs) > RUNS_LIMIT:
        raise WireFault(f"At most {RUNS_LIMIT} runs of chunks can be asked for at once.")
    count = 0
    damage: list[str] = []
    groups = session.groups(request.runs)
    while True:
        try:
            group = next(groups)
        except StopIteration:
            break
        except Corrupt as error:
            damage.append(str(error))
            continue
        connection.send_frame(FrameType.GROUP, group)
        count += 1
    if damage:
        log.error("a record is damaged in %d places, the first: %s", len(damage), damage[0])
    connection.send(Groups(count=count, problem=" ".join(damage[:DAMAGE_TOLD])))
