"""What a media server, or a client of its own pool, reports of a record that was sealed."""

from __future__ import annotations

import datetime as dt

import msgspec


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that was made durable. UUIDs as hex, '' for no parent."""

    task_id: int
    fence: int
    pool_id: int
    media_hwid: str
    """'' when the client reports it, as the copy lies in its own pool."""
    record: str
    parent: str
    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    files: int
    files_failed: int
    size_bytes: int
    stored_bytes: int
    sealed_at: dt.datetime
    key_id: str = ""
    emergency: str = ""
    """The emergency storage in which packs lie that it needs; '' when none does."""
    emergency_bytes: int = 0
    emergency_reason: str = ""
    """Why they lie there."""
