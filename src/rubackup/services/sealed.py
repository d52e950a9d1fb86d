"""What a media server reports of a record that it has sealed."""

from __future__ import annotations

import datetime as dt

import msgspec


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that a media server has made durable. UUIDs as hex, '' for no parent."""

    task_id: int
    fence: int
    pool_id: int
    media_hwid: str
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
