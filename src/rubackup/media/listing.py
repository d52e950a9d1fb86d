"""A folder of a copy that lies here in clear."""

from __future__ import annotations

from rubackup.agent import record_listing
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.domain.errors import Conflict
from rubackup.wire.messages import AskRecords, PoolRecord, PoolRecords, RecordListing

_RECORDS = 1000
_RECORD_BYTES = 256 << 10
"""Records, and bytes of what they are of, in one answer."""


def list_records(pool: Pool, asked: AskRecords) -> PoolRecords:
    """The records of a pool behind `after`, in the order of their ids; as many as fit into an answer."""
    behind = sorted((one for one in pool.records() if one.record > asked.after), key=lambda one: one.record)
    found: list[PoolRecord] = []
    size = 0
    for one in behind[: max(1, min(asked.limit, _RECORDS))]:
        found.append(pool_record(one))
        size += len(one.resource)
        if size > _RECORD_BYTES:
            break
    return PoolRecords(records=found, more=len(found) < len(behind))


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
