"""What the pool adds to a manifest when it is sealed, the lock of a record, and the tombstone of a dropped one.

Byte tables: `docs/design/chunkstore.md`, Manifest and Lock.
"""

from __future__ import annotations

import re
import struct
from typing import Final

import msgspec
from blake3 import blake3

from rubackup.chunkstore.backends.base import Backend, add_durably
from rubackup.domain.errors import Corrupt, Invalid, NotFound

_END = b"RBSEAL\0\0"
_FOOTER = struct.Struct("<I4s32s8s")
_MAX_SEAL_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 4 << 20
_LOCK = struct.Struct("<Q32s")
_RECORD = re.compile(r"[0-9a-f]{32}")


class SealedRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A record that can be restored. `record` and `parent` are uuids in hex, parent may be ''."""

    record: str
    parent: str
    owner: str
    task_id: int
    fence: int
    resource_type: str
    resource: str
    backup_type: str
    files: int
    files_failed: int
    size_bytes: int
    """Sum of the sizes of all files."""
    stored_bytes: int
    """What this record added to the pool."""
    sealed_at_ns: int
    key_id: str = ""
    """Of an encrypted record: which key of its client opens it, 32 hex digits."""
    crypto: str = ""
    """Name of its cipher."""
    lost_parts: int = 0
    """Parts of the manifest that were given up when it was made anew; the copy is not whole for ever."""


class _Seal(msgspec.Struct, array_like=True, frozen=True):
    record: SealedRecord
    stream_bytes: int
    stream_sum: bytes


_seals = msgspec.msgpack.Decoder(_Seal)


def check_record_id(record: str) -> str:
    """The id itself; Invalid unless it is a uuid as 32 hex digits."""
    if not _RECORD.fullmatch(record):
        raise Invalid("A record's id must be 32 lower-case hex digits.")
    return record


def open_name(record: str) -> str:
    """Name of a manifest that is being received."""
    return f"manifests/{record}.open"


def manifest_name(record: str) -> str:
    """Name of a sealed manifest."""
    return f"manifests/{record}.manifest"


def tombstone_name(record: str) -> str:
    """Name of a dropped record's tombstone."""
    return f"manifests/{record}.tombstone"


def lock_name(record: str) -> str:
    """Name of the file that says until when a record cannot be dropped."""
    return f"manifests/{record}.lock"


def read_lock(backend: Backend, record: str) -> int:
    """Until when (Unix time) a record is locked; 0 when it never was, Corrupt when nothing of its lock is whole."""
    name = lock_name(record)
    try:
        data = backend.read(name, 0, backend.size(name))
    except NotFound:
        return 0
    found = [until for until, total in _LOCK.iter_unpack(data[: len(data) // _LOCK.size * _LOCK.size])
             if total == _lock_sum(record, until)]  # fmt: skip
    if not found:
        raise Corrupt(f"{backend.label}/{name} is damaged.")
    return max(found, default=0)


def write_lock(backend: Backend, record: str, until_ns: int) -> None:
    """Add a row to a record's lock, durably; earlier rows stay, so a crash in between takes nothing back."""
    name = lock_name(record)
    row = _LOCK.pack(until_ns, _lock_sum(record, until_ns))
    try:
        at = backend.size(name) // _LOCK.size * _LOCK.size
    except NotFound:
        backend.put(name, row)  # at once: a lock of which nothing is whole keeps its record until somebody has looked
        return
    add_durably(backend, name, at, row)


def _lock_sum(record: str, until_ns: int) -> bytes:
    return blake3(bytes.fromhex(record) + until_ns.to_bytes(8, "little")).digest()


def seal_bytes(record: SealedRecord, stream_bytes: int, stream_sum: bytes) -> bytes:
    """What follows the client's stream in a sealed manifest."""
    seal = msgspec.msgpack.encode(_Seal(record, stream_bytes, stream_sum))
    return seal + _FOOTER.pack(len(seal), bytes(4), blake3(seal).digest(), _END)


def read_seal(backend: Backend, name: str) -> tuple[SealedRecord, int, int]:
    """The sealed record of a manifest file, the length of the client's stream, and that of the file."""
    seal, size = _read(backend, name)
    return seal.record, seal.stream_bytes, size


def stream_sum(backend: Backend, name: str) -> bytes:
    """The sum of the client's stream as the seal tells it; b'' when the seal is damaged."""
    try:
        return _read(backend, name)[0].stream_sum
    except Corrupt:
        return b""


def check_stream(backend: Backend, name: str) -> SealedRecord:
    """The sealed record of a manifest file, whose content is what its seal says; Corrupt otherwise."""
    seal, _ = _read(backend, name)
    total = blake3()
    for at in range(0, seal.stream_bytes, _PIECE_BYTES):
        total.update(backend.read(name, at, min(_PIECE_BYTES, seal.stream_bytes - at)))
    if total.digest() != seal.stream_sum:
        raise Corrupt(f"{backend.label}/{name} is not what its seal says.")
    return seal.record


def _read(backend: Backend, name: str) -> tuple[_Seal, int]:
    size = backend.size(name)
    if size < _FOOTER.size:
        raise Corrupt(f"{backend.label}/{name} has no seal.")
    length, reserved, total, end = _FOOTER.unpack(backend.read(name, size - _FOOTER.size, _FOOTER.size))
    if end != _END or length > min(_MAX_SEAL_BYTES, size - _FOOTER.size):
        raise Corrupt(f"{backend.label}/{name} has no seal.")
    data = backend.read(name, size - _FOOTER.size - length, length)
    if blake3(data).digest() != total or any(reserved):
        raise Corrupt(f"{backend.label}/{name} has a damaged seal.")
    try:
        seal = _seals.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"{backend.label}/{name} has a damaged seal.") from error
    if not _RECORD.fullmatch(seal.record.record):
        raise Corrupt(f"{backend.label}/{name} has a damaged seal.")
    if seal.stream_bytes < 0 or seal.stream_bytes + length + _FOOTER.size != size:
        raise Corrupt(f"{backend.label}/{name} is not as long as its seal says.")
    return seal, size
