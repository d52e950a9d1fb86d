"""Packs: rows of groups between a header and a trailer; immutable once closed.

A pack without a trailer is one that was being written: `scan` finds its whole groups.
Byte table: `docs/design/chunkstore.md`, Pack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.chunkstore import group
from rubackup.chunkstore.backends.base import Appender, Backend
from rubackup.chunkstore.group import Head
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt, RubackupError

TARGET_BYTES: Final = 32 << 20
MAX_BYTES: Final = TARGET_BYTES + 2 * group.MAX_GROUP_BYTES

MAGIC: Final = b"RBPACK\0\0"
VERSION: Final = 1
_END = b"RBPEND\0\0"
_HEADER = struct.Struct("<8sB7x16s16s64s32s")
HEADER_BYTES: Final = _HEADER.size
_ROW = struct.Struct("<III32s")
_TAIL = struct.Struct("<I4xQ32s8s")
_TAIL_SUMMED = 16
MAX_OWNER_BYTES: Final = 64
SEARCH_BYTES: Final = 256 << 20
"""So much is read at most of what looks like groups, behind a damaged one."""
_WINDOW_BYTES: Final = 1 << 20


class PackHeader(NamedTuple):
    """Who wrote the pack, for which pool."""

    pool: bytes
    pack: bytes
    owner: str


class Extent(NamedTuple):
    """Where a group lies in a pack; `sum` is that of the group's header, which covers all of the group."""

    offset: int
    length: int
    chunks: int
    sum: bytes


HASHES: Final = ".hashes"
"""Ends the name of what a pool records beside a closed pack (`hashes`)."""
GONE: Final = ".gone"
"""Ends the name of a pack or manifest that is being overwritten, to be removed."""


def open_name(pack: bytes) -> str:
    """Name of a pack that is being written."""
    text = pack.hex()
    return f"packs/{text[:2]}/{text}.open"


def closed_name(pack: bytes) -> str:
    """Name of a closed pack."""
    text = pack.hex()
    return f"packs/{text[:2]}/{text}.pack"


def _header(header: PackHeader) -> bytes:
    unsummed = _HEADER.pack(MAGIC, VERSION, header.pool, header.pack, header.owner.encode(), bytes(32))[:-32]
    return unsummed + blake3(unsummed).digest()


def parse_header(data: bytes) -> PackHeader:
    """The header at the front of `data`; Corrupt when it is none of ours."""
    if len(data) < HEADER_BYTES:
        raise Corrupt("A pack is cut off within its header.")
    magic, version, pool, pack, owner, total = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or blake3(data[: HEADER_BYTES - 32]).digest() != total:
        raise Corrupt("A pack's header is damaged.")
    return PackHeader(pool, pack, owner.rstrip(b"\0").decode(errors="replace"))


def overhead_bytes(groups: int) -> int:
    """What header and trailer of a pack with so many groups take."""
    return HEADER_BYTES + _ROW.size * groups + _TAIL.size


class PackWriter:
    """A pack that grows. After an error the torn tail is cut off and the pack is only good to be abandoned."""

    def __init__(self, backend: Backend, header: PackHeader) -> None:
        if len(header.owner.encode()) > MAX_OWNER_BYTES:
            raise ValueError(f"an owner's name is longer than {MAX_OWNER_BYTES} bytes")
        self.backend = backend
        self.id = header.pack
        self._head = _header(header)
        self._extents: list[Extent] = []
        self._file: Appender = backend.append(open_name(self.id))
        try:
            self._write(self._head)
        except BaseException:
            self._file.close()
            raise

    @property
    def size_bytes(self) -> int:
        """Bytes in the file."""
        return self._file.size_bytes

    @property
    def empty(self) -> bool:
        """Whether there is no group yet."""
        return not self._extents

    def add(self, data: Buffer, chunks: int) -> int:
        """Append a group; its offset."""
        offset = self._file.size_bytes
        self._write(data)
        self._extents.append(Extent(offset, len(data), chunks, group.head_sum(data)))
        return offset

    def sync(self) -> None:
        """Make every group so far durable."""
        self._file.sync()

    def close(self) -> None:
        """Write the trailer and give the durable pack its final name."""
        self._write(trailer(self._head, self._extents, self._file.size_bytes))
        can = self.backend.capabilities
        if can.append and not can.publish_syncs:  # what does not grow is sent now, and durable where it arrives
            self._file.sync()
        self._file.close()
        self.backend.publish(open_name(self.id), closed_name(self.id))

    def abandon(self) -> None:
        """Release the handle; the file stays for recovery."""
        self._file.close()

    def _write(self, data: Buffer) -> None:
        before = self._file.size_bytes
        try:
            self._file.write(data)
        except BaseException:
            # Recovery would cut the torn tail off too; now it gives the room back. The first error is the one to tell.
            with suppress(RubackupError):
                self._file.truncate(before)
            raise


def check_is(backend: Backend, name: str, pool: bytes, pack: bytes) -> None:
    """Corrupt when a file is another pack than this one of this pool; NotFound. One too short for a group passes.

    A damaged header names nothing: what is read behind it is told by its own sums and by the index.
    """
    size = backend.size(name)
    if size < HEADER_BYTES + group.HEAD_BYTES:
        return
    data = backend.read(name, 0, HEADER_BYTES)
    _, _, found_pool, found, _, _ = _HEADER.unpack(data)
    if (found_pool, found) == (pool, pack):
        return
    if blake3(data[: HEADER_BYTES - 32]).digest() == data[HEADER_BYTES - 32 :]:
        raise Corrupt(f"its file has the header of pack {found.hex()} of pool {found_pool.hex()}.")


def trailer(head: bytes, extents: list[Extent], offset: int) -> bytes:
    """What follows the groups that end at `offset`."""
    rows = b"".join([_ROW.pack(*extent) for extent in extents])
    size = offset + len(rows) + _TAIL.size
    tail = _TAIL.pack(len(extents), size, bytes(32), _END)[:_TAIL_SUMMED]
    return rows + tail + blake3(head).update(rows).update(tail).digest() + _END


def read_extents(backend: Backend, name: str) -> list[Extent]:
    """The groups of a closed pack as its trailer lists them; Corrupt when header or trailer is damaged."""
    size = backend.size(name)
    if size < HEADER_BYTES + _TAIL.size or size > MAX_BYTES * 2:
        raise Corrupt(f"{name} cannot be a pack of {size} bytes.")
    head = backend.read(name, 0, HEADER_BYTES)
    parse_header(head)
    tail = backend.read(name, size - _TAIL.size, _TAIL.size)
    count, total, checksum, end = _TAIL.unpack(tail)
    at = size - _TAIL.size - _ROW.size * count
    if end != _END or total != size or at < HEADER_BYTES:
        raise Corrupt(f"{name} has no whole trailer.")
    rows = backend.read(name, at, _ROW.size * count)
    if blake3(head).update(rows).update(tail[:_TAIL_SUMMED]).digest() != checksum:
        raise Corrupt(f"{name} has a damaged trailer.")
    extents = [Extent(*row) for row in _ROW.iter_unpack(rows)]
    offset = HEADER_BYTES
    for extent in extents:  # a trailer that leaves something out is not the one that was written behind these groups
        if extent.offset != offset:
            raise Corrupt(f"{name} has an impossible trailer.")
        offset += extent.length
    if offset != at:
        raise Corrupt(f"{name} has an impossible trailer.")
    return extents


def read_heads(backend: Backend, name: str, extents: list[Extent]) -> Iterator[tuple[Extent, Head]]:
    """The headers of these groups, contents unread; a damaged one is left out."""
    for extent in extents:
        rows = group.ROW_BYTES * min(extent.chunks, group.MAX_CHUNKS)
        length = min(extent.length, group.HEAD_BYTES + group.EXTENSION_BYTES + rows)
        try:
            data = backend.read(name, extent.offset, length)
            head = group.read_head(data)
        except Corrupt:
            continue
        if head.total_bytes == extent.length and group.head_sum(data) == extent.sum:
            yield extent, head


def scan(backend: Backend, name: str) -> Iterator[tuple[Extent, Head]]:
    """The whole groups of a pack, each read and its sums checked; what is damaged between them is passed over.

    A header that is right tells where the next group begins. Behind one that is damaged the next group is searched: what
    looks like one may be the content of a file, so from there on each group in clear must hold what its ids say.
    The search ends after `SEARCH_BYTES`, as a client may have stored much that looks like groups.
    """
    size = backend.size(name)
    offset, left, sure, searching = HEADER_BYTES, SEARCH_BYTES, True, False
    while offset + group.HEAD_BYTES <= size and left > 0:
        following = length = 0
        try:
            length = group.stored_length(backend.read(name, offset, group.HEAD_BYTES))
            data = backend.read(name, offset, min(length, size - offset))
            following = offset + group.read_head(data).total_bytes
            head = group.check_stored(data)
            if not sure and not head.cipher:
                group.decode(data).check()
        except Corrupt:
            if searching or not following:
                sure, searching = False, True
                left -= length + group.HEAD_BYTES
                following = _next_magic(backend, name, offset + 1, size)
            offset = following
            continue
        yield Extent(offset, length, len(head.ids), group.head_sum(data)), head
        offset, searching = following, False


def _next_magic(backend: Backend, name: str, offset: int, size: int) -> int:
    """Where the next group may begin; the end of the file when nowhere."""
    while offset < size:
        data = backend.read(name, offset, min(_WINDOW_BYTES, size - offset))
        at = data.find(group.MAGIC)
        if at >= 0:
            return offset + at
        if offset + len(data) >= size:
            break
        offset += len(data) - len(group.MAGIC) + 1
    return size


def gaps(extents: Iterable[Extent]) -> list[Extent]:
    """What lies between these groups of a pack, or between its header and the first of them."""
    found, offset = [], HEADER_BYTES
    for extent in extents:
        if extent.offset > offset:
            found.append(Extent(offset, extent.offset - offset, 0, bytes(32)))
        offset = extent.offset + extent.length
    return found


def finish(backend: Backend, pack: bytes, extents: list[Extent]) -> None:
    """Close a pack that a crash left open, behind its last whole group. What lies between groups is listed as one without chunks."""
    name = open_name(pack)
    head = backend.read(name, 0, HEADER_BYTES)
    end = extents[-1].offset + extents[-1].length
    file = backend.append(name, end)
    try:
        file.write(trailer(head, sorted([*extents, *gaps(extents)]), end))
        file.sync()
    finally:
        file.close()
    backend.publish(name, closed_name(pack))
