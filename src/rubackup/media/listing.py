"""A folder of a copy that lies here in clear."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from rubackup.agent import record_listing
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.domain.errors import Conflict, RubackupError
from rubackup.media.time_order import TimeOrders
from rubackup.wire.messages import AskRecords, PoolRecord, PoolRecords, RecordListing

log = logging.getLogger(__name__)
_LOCKS_SECONDS: Final = 60.0
_known_locks: WeakKeyDictionary[Pool, tuple[float, set[str]]] = WeakKeyDictionary()
_listing_locks = threading.Lock()
_in_time = TimeOrders()
_RECORDS = 1000
_RECORD_BYTES = 256 << 10
"""Records, and bytes of what they are of, in one answer."""


def list_records(pool: Pool, asked: AskRecords) -> PoolRecords:
    """The records of a pool behind `after`, in the order of their ids or of time; as many as fit into an answer."""
    limit = max(1, min(asked.limit, _RECORDS))
    if asked.by_time:
        behind, more = _in_time.behind(pool, asked.after_ns, asked.after, limit)
    else:
        behind = pool.records_behind(asked.after, limit + 1)
        behind, more = behind[:limit], len(behind) > limit
    found: list[PoolRecord] = []
    size = 0
    away = pool.away()
    locks = None if pool.locks_are_near else _with_locks(pool)
    for one in behind:
        until = _locked_until(pool, one.record) if locks is None or one.record in locks else 0
        lies_away = bool(away) and pool.lies_away(one.record)
        found.append(msgspec.structs.replace(pool_record(one), locked_until_ns=until, away=lies_away))
        size += len(one.resource)
        if size > _RECORD_BYTES:
            break
    return PoolRecords(records=found, more=more or len(found) < len(behind), away=away)


def _with_locks(pool: Pool) -> set[str]:
    """The records that have a lock; storages are listed once for many pages, by one who asks while others wait."""
    with _listing_locks:
        until, known = _known_locks.get(pool, (0.0, set()))
        begun = time.monotonic()
        if begun >= until:
            known = pool.with_locks()
            now = time.monotonic()
            _known_locks[pool] = now + max(_LOCKS_SECONDS, 20 * (now - begun)), known
        return known


def _locked_until(pool: Pool, record: str) -> int:
    """Until when a record is locked; one whose lock cannot be read is kept by the pool whatever is told of it."""
    try:
        return pool.locked_until_ns(record)
    except RubackupError as error:
        log.error("the lock of record %s cannot be told: %s", record, error)
        return 0


def pool_record(one: SealedRecord) -> PoolRecord:
    """A sealed record as the server is told of it."""
    return PoolRecord(
        record=one.record, parent=one.parent, task_id=one.task_id, client_hwid=one.owner,
        resource_type=one.resource_type, resource=one.resource, backup_type=one.backup_type, files=one.files,
        files_failed=one.files_failed, size_bytes=one.size_bytes, stored_bytes=one.stored_bytes,
        sealed_at_ns=one.sealed_at_ns, crypto=one.crypto, key_id=one.key_id,
    )  # fmt: skip


def list_folder(pool: Pool, record: str, path: str, page: int, limit: int) -> RecordListing:
    """As `record_listing.list_folder`; Conflict for an encrypted copy, which only its client can list."""
    session = pool.read(record)
    if session.key_id:
        raise Conflict(f"The copy is encrypted with the key {session.key_id}, which is not here.")
    reader = ManifestReader(session.read_manifest, session.manifest_bytes)
    return record_listing.list_folder(reader, path, page, limit)
