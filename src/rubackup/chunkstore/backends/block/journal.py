"""Makes changes of the directory durable, those of several threads with one write and one sync, and checkpoints it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from rubackup.chunkstore.backends.block import layout, records
from rubackup.chunkstore.backends.block.device import Device
from rubackup.chunkstore.backends.block.directory import Directory, Loaded, change_limit
from rubackup.chunkstore.backends.block.layout import BLOCK, Superblock
from rubackup.chunkstore.backends.block.records import CHANGE, Change
from rubackup.domain.errors import StorageFault, StorageFull

_WRITE_BYTES: Final = 1 << 20


class Journal:
    """The active half. A change is enqueued under `lock`, together with the change in memory, and waited for without it."""

    def __init__(self, device: Device, block: Superblock, loaded: Loaded, lock: threading.RLock) -> None:
        self._device, self.superblock = device, block
        self._directory: Directory = loaded.directory
        self._block, self._number, self._limit = loaded.next_block, loaded.next_number, loaded.limit
        self._lock = lock
        self._turn = threading.Lock()
        self._pending: list[bytes] = []
        self._enqueued = self._done = 0
        self._failed: BaseException | None = None

    @property
    def version(self) -> tuple[int, int]:
        """Generation, and number of the next record: another one after each change."""
        return self.superblock.generation, self._number

    def check(self) -> None:
        """StorageFault when a record could not be written: what is durable is not known until the next start."""
        if self._failed is not None:
            raise StorageFault(f"The directory of {self._device.label} could not be written: {self._failed}")

    def check_room(self, name: str, extents: int) -> None:
        """StorageFull unless one more file fits; a checkpoint takes at most twice what its names do."""
        wanted = self._directory.encoded_bytes + records.row_bytes(name, extents)
        if wanted > self.superblock.half_bytes * 3 // 8:
            label = self._device.label
            raise StorageFull(f"There is no room left in the directory of {label}.", folder=label)

    def enqueue(self, changes: Sequence[Change]) -> int:
        """Apply the changes in memory and queue them as one; what `wait` takes. The caller holds the lock."""
        for change in changes:
            self._directory.apply(change)
        self._pending.append(b"".join([change.encode() for change in changes]))
        self._enqueued += 1
        return self._enqueued

    def wait(self, ticket: int) -> None:
        """Return when a change, and all before it, are durable. StorageFault: it may be so or not, after a restart."""
        with self._turn:
            if self._done >= ticket:
                return
            self.check()
            try:
                self._write()
            except BaseException as error:
                self._failed = error
                raise

    def checkpoint(self) -> None:
        """Write the whole directory into the other half and switch to it."""
        with self._turn:
            self.check()
            try:
                self._switch()
            except BaseException as error:
                self._failed = error
                raise

    def _write(self) -> None:
        with self._lock:
            payload, upto = b"".join(self._pending), self._enqueued
            room = self._block + records.blocks_of(len(payload)) <= self._limit
            if room:
                self._pending = []
        if not room:
            self._switch()
            return
        block = self.superblock
        data = records.encode(CHANGE, self._number, payload, block.generation, block.epoch)
        self._device.write(block.half_start + self._block * BLOCK, data)
        self._device.sync()
        self._block += len(data) // BLOCK
        self._number += 1
        self._done = upto

    def _switch(self) -> None:
        """What is in memory is in the checkpoint, also what waits: its files' contents are durable already."""
        new = self.superblock.next()
        with self._lock:
            upto = self._enqueued
            blocks, number = write_checkpoint(self._device, new, self._directory)
            self._pending = []
        self._device.sync()
        write_superblock(self._device, new)
        self.superblock = new
        self._block, self._number, self._limit = blocks, number, change_limit(blocks, new.half_blocks)
        self._done = upto


def write_checkpoint(device: Device, block: Superblock, directory: Directory) -> tuple[int, int]:
    """Write the directory into the half of this superblock, not synced; blocks and records that it took."""
    at, number = block.half_start, 0
    end = at + block.half_bytes
    waiting = bytearray()
    for record in records.checkpoint(directory.rows(), block.generation, block.epoch):
        waiting += record
        number += 1
        if at + len(waiting) > end:
            raise StorageFull(f"There is no room left in the directory of {device.label}.", folder=device.label)
        if len(waiting) >= _WRITE_BYTES:
            device.write(at, waiting)
            at += len(waiting)
            waiting = bytearray()
    device.write(at, waiting)
    at += len(waiting)
    return (at - block.half_start) // BLOCK, number


def write_superblock(device: Device, block: Superblock) -> None:
    """Both copies, one after the other: a loss of power leaves at least one whole."""
    for place in block.places:
        device.write(place, layout.encode(block))
        device.sync()
