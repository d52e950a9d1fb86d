"""Groups: about 1 MiB of chunks compressed as one, under a header that describes itself.

The header alone says which chunks there are, so an index can be rebuilt from packs.
Bytes given to `decode` may be hostile: nothing is allocated beyond the limits here.
Byte table: `docs/design/chunkstore.md`, Group.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.chunkstore import _zstd
from rubackup.chunkstore.identity import HOLE, MAX_CHUNK_BYTES, Buffer, chunk_id
from rubackup.domain.errors import Corrupt

TARGET_BYTES: Final = 1 << 20
"""Raw size at which a writer should end a group."""
MAX_RAW_BYTES: Final = 4 << 20
MAX_CHUNKS: Final = 4096

MAGIC: Final = b"RBGR"
VERSION: Final = 0
STORED: Final = 0
ZSTD: Final = 1

_FIXED = struct.Struct("<4sBBHIII32s32s")
_SUMMED = 52  # bytes of the fixed part that the header's sum covers, beside the rows
_ROW = struct.Struct("<32sI")
HEAD_BYTES: Final = _FIXED.size
ROW_BYTES: Final = _ROW.size
MAX_GROUP_BYTES: Final = HEAD_BYTES + ROW_BYTES * MAX_CHUNKS + MAX_RAW_BYTES
"""No stored group is longer: data that does not shrink is stored as it is."""


class Head(NamedTuple):
    """What a group's header says; its own sum was right."""

    ids: list[bytes]
    lengths: list[int]
    codec: int
    raw_bytes: int
    head_bytes: int
    payload_bytes: int
    payload_sum: bytes

    @property
    def total_bytes(self) -> int:
        """Length of header and payload together."""
        return self.head_bytes + self.payload_bytes


class Group:
    """Chunks side by side in one buffer."""

    __slots__ = ("_offsets", "ids", "lengths", "raw")

    def __init__(self, ids: list[bytes], lengths: list[int], raw: memoryview) -> None:
        self.ids = ids
        self.lengths = lengths
        self.raw = raw
        self._offsets = list(accumulate(lengths, initial=0))

    def chunk(self, position: int) -> memoryview:
        """The bytes of one chunk; a view, not a copy."""
        return self.raw[self._offsets[position] : self._offsets[position + 1]]

    def wrong(self) -> list[int]:
        """Positions of the chunks whose content is not what their id says."""
        return [i for i, name in enumerate(self.ids) if chunk_id(self.chunk(i)) != name]

    def check(self) -> None:
        """Hash every chunk again; Corrupt names the first id that is false."""
        for position in self.wrong():
            raise Corrupt(f"Chunk {self.ids[position].hex()} does not have the content that its id names.")


def encode(chunks: Sequence[tuple[bytes, Buffer]], level: int | None) -> bytes:
    """A group of these chunks (id, content); `level` is zstd's, None stores as it is.

    ValueError for an empty group or one beyond MAX_CHUNKS or MAX_RAW_BYTES.
    """
    raw = b"".join([data for _, data in chunks])
    if not 1 <= len(chunks) <= MAX_CHUNKS or len(raw) > MAX_RAW_BYTES:
        raise ValueError(f"a group cannot hold {len(chunks)} chunks of {len(raw)} bytes")
    if any(not len(data) or name == HOLE for name, data in chunks):
        raise ValueError("a chunk has no bytes, or the id of a hole")
    codec, payload = _zstd.pack(raw, level)
    rows = b"".join([_ROW.pack(name, len(data)) for name, data in chunks])
    unsummed = _FIXED.pack(
        MAGIC, VERSION, codec, 0, len(chunks), len(raw), len(payload), blake3(payload).digest(), bytes(32)
    )[:_SUMMED]
    return b"".join((unsummed, blake3(unsummed).update(rows).digest(), rows, payload))


def stored_length(front: Buffer) -> int:
    """The length of a group from its first HEAD_BYTES; unchecked but bounded by MAX_GROUP_BYTES."""
    magic, _, _, _, count, _, payload_bytes, _, _ = _FIXED.unpack_from(front)
    length = HEAD_BYTES + ROW_BYTES * count + payload_bytes
    if magic != MAGIC or length > MAX_GROUP_BYTES:
        raise Corrupt("A group does not begin with the header of a group.")
    return int(length)


def head_sum(data: Buffer) -> bytes:
    """The sum in the header, which covers the header, the rows and, by the payload's sum, the payload."""
    return bytes(memoryview(data)[_SUMMED:HEAD_BYTES])


def read_head(data: Buffer) -> Head:
    """The header at the front of `data`, checked by its own sum; the payload may be missing."""
    view = memoryview(data)
    if len(view) < HEAD_BYTES:
        raise Corrupt("A group is cut off within its header.")
    magic, version, codec, zero, count, raw_bytes, payload_bytes, payload_sum, head_sum = _FIXED.unpack_from(view)
    if magic != MAGIC or version != VERSION or zero or codec not in {STORED, ZSTD}:
        raise Corrupt("A group does not begin with the header of a group.")
    if not 1 <= count <= MAX_CHUNKS or raw_bytes > MAX_RAW_BYTES or payload_bytes > raw_bytes:
        raise Corrupt("A group's header names impossible sizes.")
    head_bytes = HEAD_BYTES + ROW_BYTES * count
    if len(view) < head_bytes:
        raise Corrupt("A group is cut off within its rows.")
    rows = view[HEAD_BYTES:head_bytes]
    if blake3(view[:_SUMMED]).update(rows).digest() != head_sum:
        raise Corrupt("A group's header does not match its sum.")
    ids: list[bytes] = []
    lengths: list[int] = []
    for name, length in _ROW.iter_unpack(rows):
        ids.append(name)
        lengths.append(length)
    if sum(lengths) != raw_bytes or not all(0 < n <= MAX_CHUNK_BYTES for n in lengths) or HOLE in ids:
        raise Corrupt("A group's rows do not fit its header.")
    return Head(ids, lengths, codec, raw_bytes, head_bytes, payload_bytes, payload_sum)


def check_stored(data: Buffer) -> Head:
    """The header of a whole group, both sums checked, nothing decompressed; Corrupt otherwise."""
    head = read_head(data)
    if len(data) != head.total_bytes:
        raise Corrupt("A group is not as long as its header says.")
    if blake3(memoryview(data)[head.head_bytes :]).digest() != head.payload_sum:
        raise Corrupt("A group's content does not match its sum.")
    return head


def decode(data: Buffer) -> Group:
    """The chunks of a stored group; Corrupt when it is not whole. Ids are checked by `Group.check`."""
    head = check_stored(data)
    payload = memoryview(data)[head.head_bytes :]
    return Group(head.ids, head.lengths, _zstd.unpack(payload, head.codec, head.raw_bytes))
