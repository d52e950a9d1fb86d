"""The manifest's frames and structs, shared by writer, reader and check.

Byte table: `docs/design/chunkstore.md`, Manifest.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from rubackup.chunkstore import _zstd
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt, Invalid

MAGIC: Final = b"RBMANIF\0"
"""The last byte is the version."""
END: Final = b"RBMEND\0\0"
FOOTER: Final = struct.Struct("<Q8s")

FRAME: Final = struct.Struct("<1sBHIIIQ32s")
FRAME_BYTES: Final = FRAME.size
_SUMMED = 24

ROW: Final = struct.Struct("<32sI")
SEGMENT_ROWS: Final = 1820
OFFSETS_PER_FRAME: Final = 1024

BLOCK_BYTES: Final = 64 << 10
"""Raw size at which a block of entries or of the index is ended."""
INDEX_ROWS: Final = 16
"""A frame of the index holds at least so many rows before it is ended, so that very long paths do not pile up levels."""
MAX_BLOCK_BYTES: Final = 4 << 20
MAX_HEADER_BYTES: Final = 64 << 10
MAX_ENTRY_BYTES: Final = 2 << 20
MAX_PATH_BYTES: Final = 64 << 10
MAX_NAME_BYTES: Final = 4 << 10
LEVEL: Final = 1
"""zstd level of entries and index."""


class EntryType(IntEnum):
    """Kinds of entries."""

    FILE = 0
    FOLDER = 1
    SYMLINK = 2
    FIFO = 3
    SOCKET = 4
    CHAR = 5
    BLOCK = 6


class Entry(msgspec.Struct, array_like=True):
    """One name in a folder. Fields are only ever added at the end, with a default."""

    name: bytes
    type: int
    mode: int
    """Permission bits, 0o7777."""
    uid: int
    gid: int
    user: str
    group: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    links: int
    rdev: int = 0
    target: bytes = b""
    """Of a symlink."""
    xattrs: list[tuple[bytes, bytes]] = []
    """ACLs are the system.posix_acl_* ones."""
    hardlink: bytes = b""
    """Absolute path of the first name of the same inode in this copy: this entry is another name of it."""
    first_row: int = 0
    rows: int = 0


class Header(msgspec.Struct, array_like=True):
    """What the copy is of; `record` and `parent` are uuids in hex, parent may be ''."""

    record: str
    parent: str
    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    created_ns: int
    chunker: tuple[int, int, int, int]
    """Minimum, average, maximum, seed."""
    key_id: str = ""
    """Of an encrypted copy: which key opens it, 32 hex digits."""


class Summary(msgspec.Struct, array_like=True):
    """How the copy went; sizes are of files."""

    files: int = 0
    files_failed: int = 0
    folders: int = 0
    size_bytes: int = 0


class Run(msgspec.Struct, array_like=True):
    """Entries of one folder that follow one another."""

    path: bytes
    first: int
    """Number of the first of them in the folder."""
    entries: list[Entry]


class IndexRow(msgspec.Struct, array_like=True):
    """Where a block is, and its first run's place in the order."""

    path: bytes
    first: int
    name: bytes
    offset: int
    length: int


class Trailer(msgspec.Struct, array_like=True):
    """What a reader needs before anything else."""

    summary: Summary
    rows: int
    row_bytes: int
    """Sum of the lengths of all rows that are no holes."""
    blocks: int
    entries: int
    segments_at: int
    """Offset of the first O frame."""
    root_at: int
    root_length: int
    levels: int
    """Levels of the index; 0 when there is no entry block."""


class Frame(NamedTuple):
    """A checked frame."""

    kind: bytes
    codec: int
    raw_bytes: int
    payload_bytes: int
    items: int
    number: int

    @property
    def total_bytes(self) -> int:
        """Header and payload."""
        return FRAME_BYTES + self.payload_bytes


_T = TypeVar("_T")
encoder: Final = msgspec.msgpack.Encoder()
headers: Final = msgspec.msgpack.Decoder(Header)
trailers: Final = msgspec.msgpack.Decoder(Trailer)
runs: Final = msgspec.msgpack.Decoder(list[Run])
index_rows: Final = msgspec.msgpack.Decoder(list[IndexRow])


def folder_key(path: bytes) -> bytes:
    """Sorts folders as a walk meets them: component by component, a folder before what is below it."""
    return b"" if path == b"/" else path[1:].replace(b"/", b"\0")


def check_path(path: bytes) -> None:
    """Invalid unless it is an absolute, normal path that fits the limits."""
    if not path.startswith(b"/") or len(path) > MAX_PATH_BYTES or b"\0" in path:
        raise Invalid("A path of a manifest is not absolute, or too long.")
    if path != b"/":
        for part in path[1:].split(b"/"):
            check_name(part)


def check_name(name: bytes) -> None:
    """Invalid unless it can be the name of an entry."""
    if not 1 <= len(name) <= MAX_NAME_BYTES or b"/" in name or b"\0" in name or name in {b".", b".."}:
        raise Invalid("A manifest holds a name that no file can have.")


def pack_frame(kind: bytes, raw: bytes, *, count: int = 0, number: int = 0, level: int | None = LEVEL) -> bytes:
    """A frame as it is written."""
    codec, payload = _zstd.pack(raw, level)
    front = FRAME.pack(kind, codec, 0, len(raw), len(payload), count, number, bytes(32))[:_SUMMED]
    return b"".join((front, blake3(front).update(payload).digest(), payload))


def parse_front(data: Buffer, offset: int) -> Frame:
    """The header of the frame at `offset` of the manifest; sizes are bounded, the sum is not checked yet."""
    if len(data) < FRAME_BYTES:
        raise Corrupt(f"The manifest is cut off at byte {offset}.")
    kind, codec, zero, raw_bytes, payload_bytes, count, number, _ = FRAME.unpack_from(data)
    if kind not in b"HERIOT" or codec > 1 or zero or raw_bytes > MAX_BLOCK_BYTES or payload_bytes > raw_bytes:
        raise Corrupt(f"The manifest is damaged at byte {offset}.")
    return Frame(kind, codec, raw_bytes, payload_bytes, count, number)


def unpack_frame(data: Buffer, offset: int, kind: bytes) -> tuple[Frame, memoryview]:
    """The frame that is exactly `data`, its sum checked, and its raw content; Corrupt names the offset."""
    frame = parse_front(data, offset)
    view = memoryview(data)
    total = bytes(view[_SUMMED:FRAME_BYTES])
    if (
        frame.kind != kind
        or len(view) != frame.total_bytes
        or blake3(view[:_SUMMED]).update(view[FRAME_BYTES:]).digest() != total
    ):
        raise Corrupt(f"The manifest is damaged at byte {offset}.")
    return frame, _zstd.unpack(view[FRAME_BYTES:], frame.codec, frame.raw_bytes)


def decode(decoder: msgspec.msgpack.Decoder[_T], raw: Buffer, offset: int) -> _T:
    """A frame's struct; Corrupt names the offset."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"The manifest is damaged at byte {offset}: {error}.") from error
