"""Rows of the index, and what one transaction adds to it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from rubackup.chunkstore.seals import SealedRecord

PLACE: Final = struct.Struct("<6I")
"""A place as it stands in the index."""


class Place(NamedTuple):
    """Where a chunk is."""

    pack: int
    offset: int
    group_bytes: int
    position: int
    chunk_bytes: int
    owner: int

    def encode(self) -> bytes:
        """The value in the index."""
        return PLACE.pack(*self)

    @classmethod
    def decode(cls, value: bytes) -> Place:
        """The place a value names."""
        return cls(*PLACE.unpack(value))


class PackRow(NamedTuple):
    """A pack the index knows."""

    number: int
    id: bytes
    storage: bytes
    closed: bool
    indexed_bytes: int
    """The groups before this offset are durable and in the index."""


class RecordRow(msgspec.Struct, array_like=True, frozen=True):
    """A sealed record and where its manifest is."""

    sealed: SealedRecord
    stream_bytes: int
    storage: bytes
    file_bytes: int


_records = msgspec.msgpack.Decoder(RecordRow)


def record_row(key: bytes, value: bytes) -> RecordRow:
    """The sealed record of a row; ValueError when it cannot be read or names another: LMDB's pages have no sums."""
    try:
        row = _records.decode(value)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if row.sealed.record != key.hex():
        raise ValueError(f"that of {key.hex()} names {row.sealed.record!r}")
    return row


@dataclass
class Batch:
    """What one transaction adds for one owner; places carry that owner."""

    owner: int
    packs: list[PackRow] = field(default_factory=list)
    chunks: dict[bytes, Place] = field(default_factory=dict)
    """By id and space."""
    grants: set[bytes] = field(default_factory=set)
    """Chunks in clear that the index has, and that the owner showed to hold."""
    task_id: int = 0
    """The task that wrote the packs, which pins them; 0 for none."""
