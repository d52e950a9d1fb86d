"""The manifest's frames and structs, shared by writer, reader and check.

Byte table: `docs/design/chunkstore.md`, Manifest.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec
from blake3 import blake3

from rubackup.chunkstore import _zstd
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt, Invalid

MAGIC: Final = b"RBMANIF\1"
"""The last byte is the version."""
END: Final = b"RBMEND\0\1"
FOOTER: Final = struct.Struct("<Q8s")

FRAME: Final = struct.Struct("<1sBHIIIQ32s")
FRAME_BYTES: Final = FRAME.size
SUM_BYTES: Final = 32
"""The end of a frame's header: the sum of the rest of it and of the payload."""
_SUMMED = 24

ROW: Final = struct.Struct("<32sI")
SEGMENT_ROWS: Final = 1820
"""Rows in one R frame; only the last of a segment is shorter."""

SEGMENT: Final = struct.Struct("<QQQIIII")
SEGMENTS_PER_FRAME: Final = 1024

BLOCK_BYTES: Final = 64 << 10
"""Raw size at which a frame of the names index is ended."""
INDEX_ROWS: Final = 16
"""A frame of the index holds at least so many rows before it is ended, so that very long paths do not pile up levels."""
MAX_BLOCK_BYTES: Final = 4 << 20
MAX_SEALED_BYTES: Final = MAX_BLOCK_BYTES + 1024
"""Of a payload with what a cipher adds."""
MAX_HEADER_BYTES: Final = 64 << 10
MAX_ENTRY_BYTES: Final = 2 << 20
MAX_PATH_BYTES: Final = 64 << 10
MAX_NAME_BYTES: Final = 4 << 10
MAX_LEVELS: Final = 8
LEVEL: Final = 1
"""zstd level of entries and index."""
_NO_PARENT: Final = "0" * 32


class FrameCipher(Protocol):
    """Encrypts what names files: the payloads of E and I frames, after compression."""

    number: int
    """Which cipher it is, 1 to 65,535; stands in each frame."""

    def seal(self, kind: bytes, raw: bytes) -> bytes:
        """The payload as it is stored, at most 1,024 bytes longer."""

    def open(self, kind: bytes, data: Buffer) -> bytes:
        """What `seal` was given; Corrupt when it does not fit."""


class EntryType(IntEnum):
    """Kinds of entries."""

    FILE = 0
    FOLDER = 1
    SYMLINK = 2
    FIFO = 3
    SOCKET = 4
    CHAR = 5
    BLOCK = 6


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One name in a folder. Fields are only ever added at the end, with a default.

    Nothing in it can refer to it, so the collector of cycles need not look at each.
    """

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
    """Absolute path of the first name of the same inode in this copy: this entry is another name of it, with the same rows."""
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
    """Of the key that entries and index are encrypted with; '' when they are not."""


class Summary(msgspec.Struct, array_like=True):
    """How the copy went; sizes are of files."""

    files: int = 0
    files_failed: int = 0
    folders: int = 0
    size_bytes: int = 0


class IndexRow(msgspec.Struct, array_like=True):
    """The first entry of what a row stands for, and where that is.

    On level 0 a segment: its offset, the length of its E frame, its first row and number of rows.
    Above a frame of the index: its offset and length.
    """

    path: bytes
    first: int
    """Number of the entry in its folder."""
    name: bytes
    offset: int
    length: int
    first_row: int = 0
    rows: int = 0


class SegmentRow(NamedTuple):
    """A segment in the table of segments."""

    offset: int
    first_row: int
    """Number of its first row in the whole chunk table."""
    row_bytes: int
    """Sum of the lengths of its rows that are no holes."""
    rows: int
    entries: int
    length: int
    """Of its E frame."""
    reserved: int = 0

    @property
    def entries_at(self) -> int:
        """Offset of its E frame."""
        return self.offset + rows_length(self.rows)

    @property
    def end(self) -> int:
        """Where the next segment begins."""
        return self.entries_at + self.length


def rows_length(rows: int) -> int:
    """What the R frames of a segment with so many rows take."""
    return rows * ROW.size + -(-rows // SEGMENT_ROWS) * FRAME_BYTES


class Trailer(msgspec.Struct, array_like=True):
    """What a reader needs before anything else."""

    summary: Summary
    rows: int
    row_bytes: int
    """Sum of the lengths of all rows that are no holes."""
    segments: int
    entries: int
    segments_at: int
    """Offset of the first S frame."""
    root_at: int
    root_length: int
    levels: int
    """Levels of the index; 0 when there is no segment."""


class Frame(NamedTuple):
    """A checked frame."""

    kind: bytes
    codec: int
    raw_bytes: int
    payload_bytes: int
    items: int
    number: int
    cipher: int = 0

    @property
    def total_bytes(self) -> int:
        """Header and payload."""
        return FRAME_BYTES + self.payload_bytes


_T = TypeVar("_T")
encoder: Final = msgspec.msgpack.Encoder()
_headers = msgspec.msgpack.Decoder(Header)
trailers: Final = msgspec.msgpack.Decoder(Trailer)
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


def encode_header(header: Header) -> bytes:
    """As it is stored: as long with a parent as without, so that another record and parent move nothing behind it."""
    return encoder.encode(header if header.parent else msgspec.structs.replace(header, parent=_NO_PARENT))


def decode_header(raw: Buffer) -> Header:
    """The header of an H frame."""
    header = decode(_headers, raw, len(MAGIC))
    return msgspec.structs.replace(header, parent="") if header.parent == _NO_PARENT else header


def pack_frame(
    kind: bytes,
    raw: bytes,
    *,
    count: int = 0,
    number: int = 0,
    level: int | None = LEVEL,
    cipher: FrameCipher | None = None,
) -> bytes:
    """A frame as it is written."""
    codec, payload = _zstd.pack(raw, level)
    if cipher is not None:
        payload = cipher.seal(kind, payload)
    marks = (cipher.number if cipher else 0, len(raw), len(payload), count, number, bytes(32))
    front = FRAME.pack(kind, codec, *marks)[:_SUMMED]
    return b"".join((front, blake3(front).update(payload).digest(), payload))


def parse_front(data: Buffer, offset: int) -> Frame:
    """The header of the frame at `offset` of the manifest; sizes are bounded, the sum is not checked yet."""
    if len(data) < FRAME_BYTES:
        raise Corrupt(f"The manifest is cut off at byte {offset}.")
    kind, codec, cipher, raw_bytes, payload_bytes, count, number, _ = FRAME.unpack_from(data)
    longest = min(raw_bytes + 1024, MAX_SEALED_BYTES) if cipher else raw_bytes
    if (
        kind not in b"HERIST"
        or codec > 1
        or (cipher and kind not in b"EI")
        or raw_bytes > MAX_BLOCK_BYTES
        or payload_bytes > longest
    ):
        raise Corrupt(f"The manifest is damaged at byte {offset}.")
    return Frame(kind, codec, raw_bytes, payload_bytes, count, number, cipher)


def check_frame(data: Buffer, offset: int, kind: bytes) -> tuple[Frame, memoryview]:
    """The frame that is exactly `data`, its sum checked, and its payload as it is stored; Corrupt names the offset."""
    frame = parse_front(data, offset)
    view = memoryview(data)
    total = bytes(view[_SUMMED:FRAME_BYTES])
    if (
        frame.kind != kind
        or len(view) != frame.total_bytes
        or blake3(view[:_SUMMED]).update(view[FRAME_BYTES:]).digest() != total
    ):
        raise Corrupt(f"The manifest is damaged at byte {offset}.")
    return frame, view[FRAME_BYTES:]


def unpack_frame(data: Buffer, offset: int, kind: bytes, cipher: FrameCipher | None = None) -> tuple[Frame, memoryview]:
    """As `check_frame`, with its raw content; Invalid when it is encrypted and there is no cipher for it."""
    frame, payload = check_frame(data, offset, kind)
    if frame.cipher:
        if cipher is None or cipher.number != frame.cipher:
            raise Invalid("The manifest is encrypted, and the key is not here.")
        payload = memoryview(cipher.open(kind, payload))
    elif cipher is not None and kind in b"EI":  # who forges names would leave them in clear
        raise Corrupt(f"The manifest is in clear at byte {offset}, where it must be encrypted.")
    return frame, _zstd.unpack(payload, frame.codec, frame.raw_bytes)


def decode(decoder: msgspec.msgpack.Decoder[_T], raw: Buffer, offset: int) -> _T:
    """A frame's struct; Corrupt names the offset."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"The manifest is damaged at byte {offset}: {error}.") from error
