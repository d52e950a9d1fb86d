"""Files of a device that are open in this process, and the blocks of all of them.

A file's first 64 KiB wait in memory, so that small files lie together in whole blocks, and large ones in one run. The
last block of a longer file is kept in memory and written anew, whole, with what follows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final

from rubackup.chunkstore.backends.block.device import Device
from rubackup.chunkstore.backends.block.layout import BLOCK
from rubackup.chunkstore.backends.block.records import Entry
from rubackup.chunkstore.backends.block.space import Extent, FreeSpace, cut_at, joined
from rubackup.chunkstore.identity import Buffer

SMALL_BYTES: Final = 64 << 10
AHEAD_BLOCKS: Final = (34 << 20) // BLOCK
"""More than a pack takes, so that it is one run."""
_ZEROES: Final = bytes(1 << 20)


def blocks_for(size_bytes: int) -> int:
    """Blocks that so many bytes take."""
    return -(-size_bytes // BLOCK)


class Blocks:
    """The device's data area: extents as bytes."""

    def __init__(self, device: Device, start: int, free: FreeSpace, lock: threading.RLock) -> None:
        self._device, self._start = device, start
        self.free = free
        self.lock = lock

    def pieces(self, extents: Iterable[Extent], offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Where on the device the bytes of a file lie: offset and length, in order."""
        for start, blocks in extents:
            size = blocks * BLOCK
            if offset < size and length > 0:
                part = min(length, size - offset)
                yield self._start + start * BLOCK + offset, part
                length -= part
                offset = 0
            elif length > 0:
                offset -= size

    def read(self, extents: Iterable[Extent], offset: int, length: int) -> bytes:
        """These bytes of a file."""
        parts = [self._device.read(*piece) for piece in self.pieces(extents, offset, length)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, extents: Iterable[Extent], offset: int, front: Buffer, data: memoryview) -> None:
        """Write both into a file, from the beginning of a block on; what is left of the last block becomes zeroes."""
        end = bytes(-(len(front) + len(data)) % BLOCK)
        size = len(front) + len(data) + len(end)
        whole = memoryview(b"")
        at = 0
        for place, length in self.pieces(extents, offset, size):
            if length == size:  # one run, as nearly always
                self._device.write(place, front, data, end)
                return
            whole = whole or memoryview(b"".join((front, data, end)))
            self._device.write(place, whole[at : at + length])
            at += length

    def erase(self, extents: Iterable[Extent]) -> None:
        """Zeroes, durably."""
        for start, blocks in extents:
            at, left = self._start + start * BLOCK, blocks * BLOCK
            while left:
                part = min(left, len(_ZEROES))
                self._device.write(at, memoryview(_ZEROES)[:part])
                at, left = at + part, left - part
        self._device.sync()

    def sync(self) -> None:
        """Make what was written durable."""
        self._device.sync()


class OpenFile:
    """A file that grows, or was not synced yet. One thread writes; `blocks.lock` is held for what others see."""

    def __init__(self, name: str, blocks: Blocks, entry: Entry | None, *, hidden: bool = False) -> None:
        self.name = name
        self.hidden = hidden
        """It is being created at once, and not there yet."""
        self.closed = False
        """Nobody writes to it now."""
        self.gone = False
        """It was deleted: what is written goes nowhere."""
        self.durable = entry
        self.size_bytes = entry.size_bytes if entry else 0
        self.extents: list[Extent] = list(entry.extents) if entry else []
        self.io = threading.RLock()
        """Held while blocks are written to, and by who is about to free them; taken before `blocks.lock`."""
        self.unsynced = entry is None
        """Whether contents or name would not survive."""
        self._blocks = blocks
        self._head = bytearray()
        """All of it, while it is small and has no extents."""
        self._promised = 0
        """Blocks, for the head."""
        self._tail = b""
        """What the last block holds, when it is not full."""
        if entry is not None:
            self._learn_tail()

    def _learn_tail(self) -> None:
        part = self.size_bytes % BLOCK if self.extents else 0
        self._tail = self._blocks.read(self.extents, self.size_bytes - part, part) if part else b""

    def write(self, data: Buffer) -> None:
        """Add data at the end, wholly or not at all."""
        view = memoryview(data).cast("B")
        size = self.size_bytes + len(view)
        if not self.extents and size <= SMALL_BYTES:
            with self._blocks.lock:
                self._promise(blocks_for(size))
                self._head += view
                self.size_bytes = size
                self.unsynced = True
            return
        with self.io:
            self._write_through(view, AHEAD_BLOCKS)

    def _promise(self, blocks: int) -> None:
        """Have so many promised; the lock is held."""
        if not self.gone:
            self._blocks.free.promise(blocks - self._promised)
            self._promised = blocks

    def _write_through(self, view: memoryview, ahead: int) -> None:
        front = self._tail if self.extents else bytes(self._head)
        at, size = self.size_bytes - len(front), self.size_bytes + len(view)
        taken = self._take(size, ahead)
        extents = joined([*self.extents, *taken])
        try:
            self._blocks.write(extents, at, front, view)
        except BaseException:
            with self._blocks.lock:
                self._blocks.free.give(taken)
                self._promise(blocks_for(len(self._head)))
            raise
        part = size % BLOCK
        tail = bytes(view[-part:]) if part <= len(view) else (front + bytes(view))[-part:]
        with self._blocks.lock:  # who reads sees the blocks only now that they are written
            self._tail = tail if part else b""
            self.size_bytes = size
            self.unsynced = True
            self._head.clear()
            if self.gone:
                self._blocks.free.give(taken)
            else:
                self.extents = extents

    def _take(self, size: int, ahead: int) -> list[Extent]:
        """The blocks that are missing for so many bytes."""
        with self._blocks.lock:
            missing = blocks_for(size) - sum(blocks for _, blocks in self.extents)
            if self.gone or missing <= 0:
                return []
            promised = self._promised
            self._promise(0)
            try:
                return self._blocks.free.take(self, missing, ahead)
            except BaseException:
                self._promise(promised)
                raise

    def read(self, offset: int, length: int) -> tuple[bytes, tuple[Extent, ...]]:
        """What is in memory of these bytes, or else where they lie; the caller holds the lock."""
        if self.extents:
            return b"", tuple(self.extents)
        return bytes(self._head[offset : offset + length]), ()

    def resize(self, size_bytes: int) -> None:
        """Cut it, or add zeroes. Blocks of what is durable are kept until it is synced."""
        if size_bytes > self.size_bytes:
            while self.size_bytes < size_bytes:
                self.write(memoryview(_ZEROES)[: min(len(_ZEROES), size_bytes - self.size_bytes)])
            return
        if size_bytes == self.size_bytes:
            return
        with self._blocks.lock:
            if not self.extents:
                self._promise(blocks_for(size_bytes))
                del self._head[size_bytes:]
            durable = blocks_for(self.durable.size_bytes) if self.durable else 0
            self.extents, rest = cut_at(self.extents, max(blocks_for(size_bytes), durable))
            self._blocks.free.give(rest)
            self.size_bytes = size_bytes
            self.unsynced = True
        self._learn_tail()

    def flush(self) -> None:
        """Make the contents durable; the name is the caller's."""
        with self.io:
            if self._head:
                self._write_through(memoryview(b""), 0)
        self._blocks.sync()

    def settle(self) -> tuple[Entry, list[Extent]]:
        """What is durable from now on, and the blocks that it does not need any more; the caller holds the lock."""
        kept, rest = cut_at(self.extents, blocks_for(self.size_bytes))
        self.extents = kept
        self.durable = Entry(self.size_bytes, tuple(kept))
        self.unsynced = False
        return self.durable, rest

    def drop(self) -> list[Extent]:
        """Its blocks, as it is deleted; the caller holds the lock and frees them."""
        self._promise(0)
        self.gone = True
        self._blocks.free.release(self)
        extents, self.extents = self.extents, []
        self._head.clear()
        return extents
