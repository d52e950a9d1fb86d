"""Manifests of Client defined pools, which this media server keeps in pools of files: taken in, given back, listed, dropped.

Which pool keeps them is configured, and may be changed: what is kept is looked for in all of them.
Design: `docs/design/pools.md`, Client defined pools.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from rubackup.agent import record_listing
from rubackup.chunkstore.kept import KeptManifests, KeptWriting
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Busy, Conflict, Corrupt, NotFound, Refused, RubackupError, WireFault
from rubackup.media.listing import pool_record
from rubackup.media.pools import PoolKeeper
from rubackup.wire.data import DataConnection, Frame
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    Ack,
    AskKept,
    AskRecords,
    Keep,
    KeptRecords,
    KeptSize,
    ListKept,
    ListRecord,
    Message,
    PoolRecords,
    ReadKept,
    RecordListing,
)
from rubackup.wire.tickets import Ticket

log = logging.getLogger(__name__)
LISTED: Final = 1000
"""Records in one answer."""
LISTED_SECONDS: Final = 120.0


class KeptDesk:
    """Of one media server. Safe for threads."""

    def __init__(self, pools: PoolKeeper) -> None:
        self._pools = pools
        self._lock = threading.Lock()
        self._writing: set[tuple[str, str]] = set()
        self._listing = threading.Lock()
        self._listed: dict[tuple[int, str], tuple[float, list[tuple[str, str]]]] = {}

    def find(self, first: int, folder: str, record: str) -> KeptManifests | None:
        """Where the manifest of a record is kept: pool `first` is asked first. None when nobody keeps it."""
        for kept in self.all(first, folder):
            if kept.size(record):
                return kept
        return None

    def all(self, first: int, folder: str) -> Iterator[KeptManifests]:
        """Those of every open pool of folders, pool `first` first."""
        for pool_id in sorted(self._pools.of_folders(), key=lambda pool_id: pool_id != first):
            with contextlib.suppress(RubackupError):  # one that closes just now
                yield self._pools.get(pool_id).kept_manifests(folder)

    def list_folder(self, message: ListRecord) -> RecordListing:
        """A folder of a record that lies with its client; Conflict for an encrypted one, which only that can list."""
        kept = self._needed(message.pool_id, message.kept, message.record)
        sealed, reader = kept.reader(message.record)
        if sealed.key_id:
            raise Conflict(f"The copy is encrypted with the key {sealed.key_id}, which is not here.")
        return record_listing.list_folder(reader, message.path, message.page, message.limit)

    def list_records(self, message: AskRecords) -> PoolRecords:
        """The records of a Client defined pool behind `after`, in order, by the manifests that are kept in this one."""
        pool = self._pools.wait_for(message.pool_id)
        names = self._names(message, pool)
        first = bisect_right(names, message.after, key=lambda one: one[0]) if message.after else 0
        found = names[first : first + max(1, min(message.limit, LISTED))]
        records = []
        for record, folder in found:
            try:
                records.append(pool_record(pool.kept_manifests(folder).sealed(record)))
            except (Corrupt, NotFound) as error:  # dropped just now, or damaged: it tells nothing
                log.warning("the kept manifest of record %s is not listed: %s", record, error)
        return PoolRecords(records=records, more=first + len(found) < len(names), away=pool.away())

    def _names(self, message: AskRecords, pool: Pool) -> list[tuple[str, str]]:
        """Records in order, and their folders: listed when a walk begins, and again when it has taken long."""
        walk = (message.pool_id, message.kept_of)
        with self._listing:
            at, names = self._listed.pop(walk, (0.0, []))
            if not message.after or time.monotonic() - at > LISTED_SECONDS:
                folders = pool.kept_folders(message.kept_of)
                names = sorted(
                    (record, folder) for folder in folders for record in pool.kept_manifests(folder).records()
                )
                at = time.monotonic()
            self._listed = {walk: (at, names)}  # of the last walk alone: it may be long
        return names

    def drop(self, folder: str, record: str) -> None:
        """Keep a record's manifest no more, in whatever pool it is."""
        for kept in self.all(0, folder):
            kept.drop(record)

    def wait_for(self, pool_id: int) -> None:
        """Return once a pool is open; StorageFault says why it is not."""
        self._pools.wait_for(pool_id)

    def _needed(self, first: int, folder: str, record: str) -> KeptManifests:
        self._pools.wait_for(first)
        found = self.find(first, folder, record)
        if found is None:
            raise NotFound(f"The manifest of record {record} is not kept on this media server.")
        return found

    @contextlib.contextmanager
    def writing(self, ticket: Ticket, record: str) -> Iterator[KeptWriting]:
        """Take a manifest in; Busy while another session does."""
        key = (ticket.kept, record)
        with self._lock:
            if key in self._writing:
                raise Busy(f"The manifest of record {record} is being taken in already.")
            self._writing.add(key)
        target = self._pools.wait_for(ticket.pool_id).kept_manifests(ticket.kept).write(record)
        try:
            yield target
        finally:
            target.close()
            with self._lock:
                self._writing.discard(key)


class KeptSession:
    """What a client does with manifests of its own."""

    def __init__(self, desk: KeptDesk, connection: DataConnection, ticket: Ticket) -> None:
        """Refused for a ticket of no Client defined pool."""
        if not ticket.kept.endswith(f"-{ticket.client_hwid}"):
            raise Refused("The ticket is not for manifests of this client.")
        self._desk, self._connection, self.ticket = desk, connection, ticket

    def answer(self, message: Message | Frame) -> None:
        """Do, and answer, what the client asks for."""
        match message:
            case AskKept():
                kept = self._find(message.record)
                self._connection.send(KeptSize(size_bytes=kept.size(message.record) if kept else 0))
            case ReadKept():
                found = self._find(message.record)
                if found is None:
                    raise NotFound(f"The manifest of record {message.record} is not kept on this media server.")
                data = found.read(message.record, message.offset, message.length)
                self._connection.send_frame(FrameType.DATA, data)
            case Keep():
                self._take(message)
            case ListKept():
                self._list(message)
            case _:
                raise WireFault("This message does not belong into a session about kept manifests.")

    def _take(self, message: Keep) -> None:
        """A manifest, whose frames follow."""
        self._check(message.record)
        left = message.size_bytes
        with self._desk.writing(self.ticket, message.record) as target:
            while left > 0:
                frame = self._connection.receive()
                if not isinstance(frame, Frame) or frame.type is not FrameType.MANIFEST or len(frame.data) > left:
                    raise WireFault("A manifest comes in MANIFEST frames, as long as it was said to be.")
                target.add(bytes(frame.data))
                left -= len(frame.data)
            target.keep()
        self._connection.send(Ack())

    def _list(self, message: ListKept) -> None:
        if self.ticket.record:
            raise Refused("The ticket is for one record.")
        names: set[str] = set()
        for kept in self._desk.all(self.ticket.pool_id, self.ticket.kept):
            names.update(record for record in kept.records() if record > message.after)
        found = sorted(names)
        self._connection.send(KeptRecords(records=found[:LISTED], more=len(found) > LISTED))

    def _find(self, record: str) -> KeptManifests | None:
        self._check(record)
        self._desk.wait_for(self.ticket.pool_id)
        return self._desk.find(self.ticket.pool_id, self.ticket.kept, record)

    def _check(self, record: str) -> None:
        if self.ticket.record not in {"", record}:
            raise Refused("The ticket is for another record.")
