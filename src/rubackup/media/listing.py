"""A folder of a copy that lies here in clear."""

from __future__ import annotations

from rubackup.agent import record_listing
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Conflict
from rubackup.wire.messages import RecordListing


def list_folder(pool: Pool, record: str, path: str, page: int, limit: int) -> RecordListing:
    """As `record_listing.list_folder`; Conflict for an encrypted copy, which only its client can list."""
    session = pool.read(record)
    if session.key_id:
        raise Conflict(f"The copy is encrypted with the key {session.key_id}, which is not here.")
    reader = ManifestReader(session.read_manifest, session.manifest_bytes)
    return record_listing.list_folder(reader, path, page, limit)
