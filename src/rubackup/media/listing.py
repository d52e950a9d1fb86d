"""A folder of a copy that lies here in clear."""

from __future__ import annotations

import logging
import time
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from rubackup.agent import record_listing
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.domain.errors import Conflict, RubackupError
from rubackup.wire.messages import AskRecords, PoolRecord, PoolRecords, RecordListing

log = logging.getLogger(__name__)
_LOCKS_SECONDS: Final = 60.0
_known_locks: WeakKeyDictionary[Pool, tuple[float, set[str]]] = WeakKeyDictionary()
_RECORDS = 1000
_RECORD_BYTES = 256 << 10
"""Records, and bytes of what they are of, in one answer."""


def list_records(pool: Pool, asked: AskRecords) -> PoolRecords:
    """The records of a pool behind `after`, in the order of their ids; as many as fit into an answer."""
    behind = sorted((one for one in pool.records() if one.record > asked.after), key=lambda one: one.record)
    found: list[PoolRecord] = []
    size = 0
    locks = _with_locks(pool)
    for one in behind[: max(1, min(asked.limit, _RECORDS))]:
        until = _locked_until(pool, one.record) if one.record in locks else 0
        found.append(msgspec.structs.replace(pool_record(one), locked_until_ns=until))
        size += len(one.resource)
        if size > _RECORD_BYTES:
            break
    return PoolRecords(records=found, more=len(found) < len(behind))


def _with_locks(pool: Pool) -> set[str]:
    """The records that have a lock; storages are listed once for all pages of an answer."""
    now = time.monotonic()
    at, known = _known_locks.get(pool, (-_LOCKS_SECONDS, set()))
    if now - at >= _LOCKS_SECONDS:
        known = pool.with_locks()
        _known_locks[pool] = now, known
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
