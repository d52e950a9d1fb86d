"""Finds files again that the directory of a device has lost: by a metafile, and by the headers of packs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, cast

from rubackup.chunkstore import hashes, pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block.device import Device
from rubackup.chunkstore.backends.block.directory import Directory
from rubackup.chunkstore.backends.block.layout import BLOCK, Superblock
from rubackup.chunkstore.backends.block.records import Change, Entry
from rubackup.chunkstore.backends.block.space import Extent, gaps
from rubackup.domain.errors import Corrupt, RubackupError

_SCAN_BYTES: Final = 4 << 20
_LONGEST_BYTES: Final = pack.MAX_BYTES + (1 << 20)


def adopt(device: Device, block: Superblock, directory: Directory, saved: Directory) -> int:
    """Add the files of a metafile that lie in blocks of no file, and are still what their names say."""
    count = 0
    free = _Free(directory, block)
    for name, entry in saved.items():
        if name in directory or not free.holds(entry.extents):
            continue
        if name.startswith("packs/") and not _is_pack(device, block, name, entry):
            continue
        directory.apply(Change(name, entry))
        count += 1
    return count


class _Free:
    """Blocks of no file, looked up by bisection."""

    def __init__(self, directory: Directory, block: Superblock) -> None:
        self.runs = gaps(directory.extents(), block.data_blocks)[0]
        self._starts = [start for start, _ in self.runs]

    def holds(self, extents: tuple[Extent, ...]) -> bool:
        """Whether all of these are free."""
        for start, blocks in extents:
            at = bisect_right(self._starts, start) - 1
            if at < 0 or start + blocks > sum(self.runs[at]):
                return False
        return True


def _is_pack(device: Device, block: Superblock, name: str, entry: Entry) -> bool:
    if not entry.extents:
        return False
    head = device.read(block.data_start + entry.extents[0][0] * BLOCK, pack.HEADER_BYTES)
    if name.endswith(pack.HASHES):
        return hashes.is_of(head, name)
    try:
        found = pack.parse_header(head).pack
    except Corrupt:
        return False
    return name in {pack.closed_name(found), pack.open_name(found)}


def rescue(device: Device, block: Superblock, directory: Directory) -> int:
    """Name each pack whose header lies in a block of no file as open, up to its last whole group; the pool closes it."""
    count = 0
    for start, blocks in _Free(directory, block).runs:
        heads = list(_heads(device, block, start, blocks))
        ends = [at for at, _ in heads[1:]] + [start + blocks]
        for (at, name), end in zip(heads, ends, strict=False):  # without heads there is no pack
            if pack.closed_name(name) in directory or pack.open_name(name) in directory:
                continue
            found = _Found(device, block.data_start + at * BLOCK, min((end - at) * BLOCK, _LONGEST_BYTES))
            groups = [extent for extent, _ in pack.scan(cast("Backend", found), pack.open_name(name))]
            if groups:
                size = max(one.offset + one.length for one in groups)
                directory.apply(Change(pack.open_name(name), Entry(size, ((at, -(-size // BLOCK)),))))
                count += 1
    return count


class _Found:
    """What may be a pack, as far as `pack.scan` asks for it."""

    def __init__(self, device: Device, offset: int, size_bytes: int) -> None:
        self._device, self._offset, self._size_bytes = device, offset, size_bytes

    def size(self, _name: str) -> int:
        return self._size_bytes

    def read(self, _name: str, offset: int, length: int) -> bytes:
        return self._device.read(self._offset + offset, length)


def _heads(device: Device, block: Superblock, start: int, blocks: int) -> Iterator[tuple[int, bytes]]:
    """Blocks in which a pack begins, and its id."""
    step = _SCAN_BYTES // BLOCK
    for at in range(start, start + blocks, step):
        length = min(step, start + blocks - at)
        try:
            data = device.read(block.data_start + at * BLOCK, length * BLOCK)
        except RubackupError:
            continue
        for one in range(length):
            head = data[one * BLOCK : one * BLOCK + pack.HEADER_BYTES]
            if head.startswith(pack.MAGIC):
                try:
                    yield at + one, pack.parse_header(head).pack
                except Corrupt:
                    continue
