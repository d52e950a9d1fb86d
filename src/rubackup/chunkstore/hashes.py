"""The hashes that a Block device pool records of its chunks in clear: one file beside each closed pack.

They never decide what a chunk is; a verification computes them again and compares. The file is made from the pack,
so it can be made anew whenever it is missing or damaged. Design and byte table: `docs/design/pools.md`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.oserrors import is_bad_sector
from rubackup.chunkstore.digests import DigestSpec, usable
from rubackup.chunkstore.group import Group, Head
from rubackup.domain.errors import Corrupt, StorageFault

MAGIC: Final = b"RBHASH\0\0"
VERSION: Final = 1
_HEADER = struct.Struct("<8sBxH16s16sII")
_ROW = struct.Struct("<II")
_SUM_BYTES: Final = 32
FULL_BYTES: Final = 8 << 20
"""A pack is closed when its file has this length: many small chunks need more room for hashes than for contents."""
MAX_BYTES: Final = 4 * FULL_BYTES
"""A longer file is none of ours."""


def hashes_name(pack_id: bytes) -> str:
    """Name of the file beside a pack."""
    return pack.closed_name(pack_id).removesuffix(".pack") + pack.HASHES


class Recorded(NamedTuple):
    """A file of hashes, its sum checked."""

    spec: DigestSpec
    spans: dict[int, tuple[int, int]]
    """By offset of the group: where its hashes begin and end in `data`; nothing between for an encrypted one."""
    data: bytes

    def of(self, offset: int) -> bytes | None:
        """The hashes of a group, one after the other; None when the file does not have the group."""
        span = self.spans.get(offset)
        return None if span is None else self.data[slice(*span)]


class Gathered:
    """The hashes of a pack that is being written."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, bytes]] = []
        self.size_bytes = _HEADER.size + _SUM_BYTES

    def add(self, offset: int, digests: bytes) -> None:
        """The hashes of the group at this offset; b'' of an encrypted one."""
        self.rows.append((offset, digests))
        self.size_bytes += _ROW.size + len(digests)

    @property
    def is_full(self) -> bool:
        """Whether the pack must be closed."""
        return self.size_bytes >= FULL_BYTES


class Hashes:
    """Of one pool."""

    def __init__(self, spec: DigestSpec) -> None:
        """Invalid when this host cannot run it."""
        self.spec = spec
        self._run = usable(*spec).run
        self._bytes = spec.bits // 8

    def of(self, chunks: Group) -> bytes:
        """The hashes of all chunks of a group, one after the other."""
        return b"".join([self._run(chunks.chunk(number)) for number in range(len(chunks.ids))])

    def differing(self, chunks: Group, recorded: bytes) -> list[int]:
        """Positions of the chunks that have another hash than was recorded; Corrupt when there is not one for each."""
        size = self._bytes
        if len(recorded) != size * len(chunks.ids):
            raise Corrupt("there is not one hash for each chunk")
        return [
            number
            for number in range(len(chunks.ids))
            if self._run(chunks.chunk(number)) != recorded[number * size : (number + 1) * size]
        ]

    def write(self, backend: Backend, pack_id: bytes, gathered: Gathered) -> None:
        """Make the file of a closed pack, durably."""
        backend.put(hashes_name(pack_id), self._encode(pack_id, gathered.rows))

    def _encode(self, pack_id: bytes, rows: Iterable[tuple[int, bytes]]) -> bytes:
        rows = sorted(rows)
        table = b"".join([_ROW.pack(offset, len(digests) // self._bytes) for offset, digests in rows])
        digests = b"".join([digests for _, digests in rows])
        name = self.spec.name.encode()
        head = _HEADER.pack(MAGIC, VERSION, self._bytes, name, pack_id, len(rows), len(digests) // self._bytes)
        return b"".join((head, table, digests, blake3(head).update(table).update(digests).digest()))

    def read(self, backend: Backend, pack_id: bytes) -> Recorded:
        """What is recorded of a pack; NotFound, Corrupt when it is damaged, another pack's or made with another hash."""
        found = read(backend, pack_id)
        if found.spec != self.spec:
            raise Corrupt(f"it was made with {found.spec.name} of {found.spec.bits} bit")
        return found

    def make(self, backend: Backend, pack_id: bytes) -> int:
        """Make the file of a closed pack anew from its chunks, in the place of what is there; its length.

        A group that is damaged is left out.
        """
        gathered, name = Gathered(), pack.closed_name(pack_id)
        for offset, data in _groups(backend, name):
            try:
                gathered.add(offset, self.of_stored(data))
            except Corrupt:
                continue
        backend.delete(hashes_name(pack_id))
        self.write(backend, pack_id, gathered)
        return gathered.size_bytes

    def of_stored(self, data: bytes) -> bytes:
        """The hashes of a stored group, b'' of an encrypted one; Corrupt when it is damaged or an id is false."""
        if group.check_stored(data).cipher:
            return b""
        chunks = group.decode(data)
        chunks.check()
        return self.of(chunks)


def read(backend: Backend, pack_id: bytes) -> Recorded:
    """What is recorded of a pack, by whatever hash; NotFound, Corrupt when it is damaged or another pack's."""
    name = hashes_name(pack_id)
    size = backend.size(name)
    if not _HEADER.size + _SUM_BYTES <= size <= MAX_BYTES:
        raise Corrupt(f"it cannot have {size} bytes")
    return parse(backend.read(name, 0, size), pack_id)


def parse(data: bytes, pack_id: bytes) -> Recorded:
    """A file of hashes of this pack; Corrupt."""
    end = len(data) - _SUM_BYTES
    if end < _HEADER.size or blake3(memoryview(data)[:end]).digest() != data[end:]:
        raise Corrupt("it does not match its sum")
    magic, version, size, name, owner, groups, chunks = _HEADER.unpack_from(data)
    at = _HEADER.size + _ROW.size * groups
    if magic != MAGIC or version != VERSION or not size or at + size * chunks != end:
        raise Corrupt("it does not begin with the header of such a file")
    if owner != pack_id:
        raise Corrupt(f"it is that of pack {owner.hex()}")
    spans: dict[int, tuple[int, int]] = {}
    for offset, count in _ROW.iter_unpack(memoryview(data)[_HEADER.size : at]):
        spans[offset] = (at, at + count * size)
        at += count * size
    if at != end or len(spans) != groups:
        raise Corrupt("its rows do not fit its header")
    return Recorded(DigestSpec(name.rstrip(b"\0").decode(errors="replace"), size * 8), spans, data)


def is_of(head: bytes, name: str) -> bool:
    """Whether the front of a file, of at least 52 bytes, is that of the hashes that `name` promises."""
    magic, version, _, _, owner, _, _ = _HEADER.unpack_from(head)
    return magic == MAGIC and version == VERSION and name == hashes_name(owner)


def recorded_spec(backend: Backend) -> DigestSpec | None:
    """With which hash the files of a storage were made, by the first that is whole; None when there is none."""
    if not backend.capabilities.append:  # an object storage: its pools record none, and a list of it is dear
        return None
    for item in backend.list("packs"):
        path = PurePosixPath(item.name)
        if path.suffix == pack.HASHES:
            try:
                return read(backend, bytes.fromhex(path.stem)).spec
            except (Corrupt, ValueError):
                continue
    return None


def _groups(backend: Backend, name: str) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of the groups of a closed pack; what cannot be read is left out."""
    try:
        extents = pack.read_extents(backend, name)
    except Corrupt:
        extents = [extent for extent, _ in pack.scan(backend, name)]
    for extent in extents:
        try:
            yield extent.offset, backend.read(name, extent.offset, extent.length)
        except (Corrupt, StorageFault) as error:
            if isinstance(error, StorageFault) and not is_bad_sector(error):
                raise


def digests_of(received: Group | Head) -> bytes:
    """The hashes that came with a group as it was received; b'' of an encrypted one."""
    return received.digests if isinstance(received, Group) else b""
