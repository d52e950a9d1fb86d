"""Groups: about 1 MiB of chunks compressed as one, under a header that describes itself.

The header alone says which chunks there are, so an index can be rebuilt from packs. The payload of an encrypted group
can be opened with its client's key only (`open_group`); ids, lengths and sums are in clear.
Bytes given to `decode` may be hostile: nothing is allocated beyond the limits here.
Byte table: `docs/design/chunkstore.md`, Group.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.chunkstore import _zstd
from rubackup.chunkstore.ciphers import CLEAR, MAX_OVERHEAD, Suite, by_number, usable
from rubackup.chunkstore.identity import HOLE, MAX_CHUNK_BYTES, Buffer, chunk_id
from rubackup.chunkstore.keys import SALT_BYTES, Keys, MasterKey, keyed_id
from rubackup.domain.errors import Conflict, Corrupt

TARGET_BYTES: Final = 1 << 20
"""Raw size at which a writer should end a group."""
MAX_RAW_BYTES: Final = 4 << 20
MAX_CHUNKS: Final = 4096

PROBED_BYTES: Final = 32 << 10
"""From this size of its chunks on, on average, a group is probed before it is compressed."""
SAMPLE_BYTES: Final = 4 << 10

MAGIC: Final = b"RBGR"
VERSION: Final = 1
STORED: Final = 0
ZSTD: Final = 1

_FIXED = struct.Struct("<4sBBBxIII32s32s")
_SUMMED = 52  # bytes of the fixed part that the header's sum covers, beside extension and rows
_AUTHENTICATED = 20  # bytes of the fixed part before the sums
_EXTENSION = struct.Struct("<16s32sQ")
_ROW = struct.Struct("<32sI")
HEAD_BYTES: Final = _FIXED.size
EXTENSION_BYTES: Final = _EXTENSION.size
ROW_BYTES: Final = _ROW.size
MAX_GROUP_BYTES: Final = HEAD_BYTES + EXTENSION_BYTES + ROW_BYTES * MAX_CHUNKS + MAX_RAW_BYTES + MAX_OVERHEAD
"""No stored group is longer: data that does not shrink is stored as it is."""
SALT_GROUPS: Final = 1 << 31
"""After so many groups a new salt is taken."""


class Head(NamedTuple):
    """What a group's header says; its own sum was right."""

    ids: list[bytes]
    lengths: list[int]
    codec: int
    raw_bytes: int
    head_bytes: int
    payload_bytes: int
    payload_sum: bytes
    cipher: int = CLEAR
    key_id: bytes = b""
    """Of an encrypted group; with salt and number it tells the key, and the nonce."""
    salt: bytes = b""
    number: int = 0

    @property
    def total_bytes(self) -> int:
        """Length of header and payload together."""
        return self.head_bytes + self.payload_bytes


class Group:
    """Chunks side by side in one buffer."""

    __slots__ = ("_id_key", "_offsets", "digests", "ids", "lengths", "raw")

    def __init__(self, ids: list[bytes], lengths: list[int], raw: memoryview, id_key: bytes = b"") -> None:
        """`id_key` is that of an encrypted group."""
        self.ids = ids
        self.lengths = lengths
        self.raw = raw
        self._id_key = id_key
        self.digests = b""  # what the pool records beside the ids, one after the other; see `hashes`
        self._offsets = list(accumulate(lengths, initial=0))

    def chunk(self, position: int) -> memoryview:
        """The bytes of one chunk; a view, not a copy."""
        return self.raw[self._offsets[position] : self._offsets[position + 1]]

    def wrong(self) -> list[int]:
        """Positions of the chunks whose content is not what their id says."""
        raw, key = self.raw, self._id_key
        bounds = zip(self.ids, self._offsets, self._offsets[1:], strict=False)  # one offset is behind the last
        if key:
            return [i for i, (name, at, end) in enumerate(bounds) if keyed_id(raw[at:end], key) != name]
        return [i for i, (name, at, end) in enumerate(bounds) if blake3(raw[at:end]).digest() != name]

    def identify(self, data: Buffer) -> bytes:
        """The id that a chunk of this content has in such a group."""
        return keyed_id(data, self._id_key) if self._id_key else chunk_id(data)

    def check(self) -> None:
        """Hash every chunk again; Corrupt names the first id that is false."""
        for position in self.wrong():
            raise Corrupt(f"Chunk {self.ids[position].hex()} does not have the content that its id names.")


class Sealer:
    """Encrypts the groups of one upload: a salt of its own, and a number for each group. Safe for threads."""

    def __init__(
        self, key: MasterKey, suite: Suite, first: int = 0, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        """Invalid when this host cannot run the cipher."""
        self.key, self.suite = key, usable(suite)
        self.id_key = key.id_key(suite)
        self._lock = threading.Lock()
        self._numbers = itertools.count(first)
        self._random = random
        self._salt = random(SALT_BYTES)

    def next(self) -> tuple[bytes, int]:
        """A salt and a number that were never used together."""
        with self._lock:
            number = next(self._numbers)
            if number >= SALT_GROUPS:
                self._numbers, self._salt = itertools.count(1), self._random(SALT_BYTES)
                number = 0
            return self._salt, number

    def identify(self, data: Buffer) -> bytes:
        """The id of a chunk."""
        return keyed_id(data, self.id_key)


def encode(chunks: Sequence[tuple[bytes, Buffer]], level: int | None, sealer: Sealer | None = None) -> bytes:
    """A group of these chunks (id, content), encrypted with a `sealer`; `level` is zstd's, None stores as it is.

    ValueError for an empty group or one beyond MAX_CHUNKS or MAX_RAW_BYTES.
    """
    return b"".join(encode_parts(chunks, level, sealer))


def encode_parts(
    chunks: Sequence[tuple[bytes, Buffer]], level: int | None, sealer: Sealer | None = None
) -> list[Buffer]:
    """As `encode`, in parts that follow one another: chunks that are stored as they are are not copied."""
    size = sum([len(data) for _, data in chunks])
    if not 1 <= len(chunks) <= MAX_CHUNKS or size > MAX_RAW_BYTES:
        raise ValueError(f"a group cannot hold {len(chunks)} chunks of {size} bytes")
    if any(not len(data) or name == HOLE for name, data in chunks):
        raise ValueError("a chunk has no bytes, or the id of a hole")
    codec, payload = _payload([data for _, data in chunks], size, level)
    rows = b"".join([_ROW.pack(name, len(data)) for name, data in chunks])
    cipher, length = CLEAR, sum(map(len, payload))
    if sealer is not None:
        salt, number = sealer.next()
        cipher, length = sealer.suite.number, length + sealer.suite.overhead
        rows = _EXTENSION.pack(sealer.key.id, salt, number) + rows
    front = _FIXED.pack(MAGIC, VERSION, codec, cipher, len(chunks), size, length, bytes(32), bytes(32))
    front = front[:_AUTHENTICATED]
    if sealer is not None:
        whole = payload[0] if len(payload) == 1 else b"".join(payload)
        payload = [sealer.key.group_box(sealer.suite, salt).seal(number, whole, front + rows)]
    total = blake3()
    for part in payload:
        total.update(part)
    unsummed = front + total.digest()
    return [b"".join((unsummed, blake3(unsummed).update(rows).digest(), rows)), *payload]


def _payload(chunks: list[Buffer], size: int, level: int | None) -> tuple[int, list[Buffer]]:
    """Codec and payload. Large chunks are only compressed when a sample of one of them shrinks."""
    if level is None or (size >= len(chunks) * PROBED_BYTES and not any(map(_shrinks, chunks))):
        return STORED, chunks
    codec, packed = _zstd.pack(b"".join(chunks), level)
    return codec, [packed]


def _shrinks(chunk: Buffer) -> bool:
    """Whether the front or the middle of a chunk can be compressed."""
    view, middle = memoryview(chunk), len(chunk) // 2
    return _zstd.shrinks(view[:SAMPLE_BYTES]) or _zstd.shrinks(view[middle : middle + SAMPLE_BYTES])


def stored_length(front: Buffer) -> int:
    """The length of a group from its first HEAD_BYTES; unchecked but bounded by MAX_GROUP_BYTES."""
    magic, _, _, cipher, count, _, payload_bytes, _, _ = _FIXED.unpack_from(front)
    length = HEAD_BYTES + (EXTENSION_BYTES if cipher else 0) + ROW_BYTES * count + payload_bytes
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
    magic, version, codec, cipher, count, raw_bytes, payload_bytes, payload_sum, head_sum = _FIXED.unpack_from(view)
    suite = by_number(cipher)
    if (
        magic != MAGIC
        or version != VERSION
        or codec not in {STORED, ZSTD}
        or view[7]
        or (suite is None) != (not cipher)
    ):
        raise Corrupt("A group does not begin with the header of a group.")
    overhead, extension_bytes = (suite.overhead, EXTENSION_BYTES) if suite else (0, 0)
    if (
        not 1 <= count <= MAX_CHUNKS
        or raw_bytes > MAX_RAW_BYTES
        or not overhead <= payload_bytes <= raw_bytes + overhead
    ):
        raise Corrupt("A group's header names impossible sizes.")
    rows_at = HEAD_BYTES + extension_bytes
    head_bytes = rows_at + ROW_BYTES * count
    if len(view) < head_bytes:
        raise Corrupt("A group is cut off within its rows.")
    if blake3(view[:_SUMMED]).update(view[HEAD_BYTES:head_bytes]).digest() != head_sum:
        raise Corrupt("A group's header does not match its sum.")
    ids: list[bytes]
    lengths: list[int]
    ids, lengths = map(list, zip(*_ROW.iter_unpack(view[rows_at:head_bytes]), strict=True))
    if sum(lengths) != raw_bytes or not 0 < min(lengths) <= max(lengths) <= MAX_CHUNK_BYTES or HOLE in ids:
        raise Corrupt("A group's rows do not fit its header.")
    sealed = (cipher, *_EXTENSION.unpack_from(view, HEAD_BYTES)) if suite else ()
    return Head(ids, lengths, codec, raw_bytes, head_bytes, payload_bytes, payload_sum, *sealed)


def _whole_head(data: Buffer) -> Head:
    """The header, checked by its own sum, of a group that is as long as it says."""
    head = read_head(data)
    if len(data) != head.total_bytes:
        raise Corrupt("A group is not as long as its header says.")
    return head


def check_stored(data: Buffer) -> Head:
    """The header of a whole group, both sums checked, nothing decompressed; Corrupt otherwise."""
    head = _whole_head(data)
    if blake3(memoryview(data)[head.head_bytes :]).digest() != head.payload_sum:
        raise Corrupt("A group's content does not match its sum.")
    return head


def decode(data: Buffer) -> Group:
    """The chunks of a stored group in clear; Corrupt when it is not whole, or encrypted. `Group.check` checks ids."""
    head = check_stored(data)
    if head.cipher:
        raise Corrupt("A group is encrypted where one in clear belongs.")
    return Group(head.ids, head.lengths, _zstd.unpack(memoryview(data)[head.head_bytes :], head.codec, head.raw_bytes))


def open_group(data: Buffer, keys: Keys | None) -> Group:
    """The chunks of a group that a media server sent, encrypted or not; Corrupt when it is not whole, or of another key than it says.

    The sum of the content is left out: who reads from a media server, which has just checked it, holds every chunk it uses against its id.

    Conflict when it is encrypted and its key is not among `keys`. Ids are checked by `Group.check`.
    """
    head = _whole_head(data)
    view = memoryview(data)
    payload: Buffer = view[head.head_bytes :]
    id_key = b""
    if head.cipher:
        if keys is None:
            raise Conflict(f"A group is encrypted with the key {head.key_id.hex()}, which is needed to read it.")
        key, suite = keys.get(head.key_id), usable(by_number(head.cipher))
        associated = bytes(view[:_AUTHENTICATED]) + bytes(view[HEAD_BYTES : head.head_bytes])
        payload = key.group_box(suite, head.salt).open(head.number, payload, associated)
        id_key = key.id_key(suite)
    return Group(head.ids, head.lengths, _zstd.unpack(payload, head.codec, head.raw_bytes), id_key)
