"""Packs and manifests on one block device of fixed size, without a file system. Safe for threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from rubackup.chunkstore.backends.base import Capabilities, Item, Space
from rubackup.chunkstore.backends.block import layout, records
from rubackup.chunkstore.backends.block.device import Device, FileDevice
from rubackup.chunkstore.backends.block.file import Blocks, OpenFile
from rubackup.chunkstore.backends.block.journal import Journal
from rubackup.chunkstore.backends.block.layout import BLOCK
from rubackup.chunkstore.backends.block.prepare import opened
from rubackup.chunkstore.backends.block.records import Change, Entry
from rubackup.chunkstore.backends.block.space import Extent, FreeSpace, gaps
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Conflict, Corrupt, NotFound, RubackupError, StorageFault

log = logging.getLogger(__name__)
_MAX_NAME = 1024


class BlockAppender:
    """A growing file of a device."""

    def __init__(self, backend: BlockBackend, file: OpenFile) -> None:
        self._backend, self._file = backend, file

    @property
    def size_bytes(self) -> int:
        """What was written wholly."""
        return self._file.size_bytes

    @size_bytes.setter
    def size_bytes(self, value: int) -> None:
        self._file.resize(value)

    def write(self, data: Buffer) -> None:
        """Add `data` at the end, wholly or with an error."""
        self._file.write(data)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size."""
        self._file.resize(size_bytes)

    def sync(self) -> None:
        """Make content, length and name durable."""
        self._backend.sync_file(self._file)

    def close(self) -> None:
        """Release the file; twice is fine."""
        self._backend.close_file(self._file)


class BlockBackend:
    """A device that `format_device` made."""

    def __init__(self, device: Device) -> None:
        """Opens it; StorageFault when it carries no data of ours, Corrupt when superblocks or directory are lost."""
        self.label = device.label
        self.capabilities = Capabilities(
            append=True, overwrite=True, publish_syncs=True, must_reopen=lambda: device.failed
        )
        self._device = device
        self._lock = threading.RLock()
        block, loaded = opened(device)
        self.problems = loaded.problems
        """What of the directory was lost, a sentence each; if so, files can be read and deleted but nothing is written."""
        self._directory = loaded.directory
        free, twice = gaps(loaded.directory.extents(), block.data_blocks)
        self.problems += [f"blocks {start} to {start + length - 1} belong to two files" for start, length in twice]
        self._free = FreeSpace(self.label, free)
        self._blocks = Blocks(device, block.data_start, self._free, self._lock)
        self._open: dict[str, OpenFile] = {}
        self._erasing: set[str] = set()
        self._journal = Journal(device, block, loaded, self._lock)
        if self.problems or block.damaged:
            self._close_to_writing(block)

    @classmethod
    def open(cls, path: Path, workers: int = 8) -> BlockBackend:
        """The device at this path, with at most so many threads that read and write at once."""
        device = FileDevice(path, workers)
        try:
            return cls(device)
        except BaseException:
            device.close()
            raise

    @property
    def uuid(self) -> bytes:
        """Of the device, since it was formatted."""
        return self._journal.superblock.uuid

    def set_workers(self, workers: int) -> None:
        """So many threads read and write at once from now on."""
        self._device.set_workers(workers)

    def _close_to_writing(self, block: layout.Superblock) -> None:
        for problem in self.problems:
            log.error("the directory of the device %s: %s", self.label, problem)
        self._free.closed = f"Names on the device {self.label} were lost, so nothing is written to it until it is rebuilt (its log names what)."
        if not block.damaged:
            self._journal.superblock = block._replace(damaged=1)
            with suppress(RubackupError):  # a device that cannot be written to loses nothing more
                for place in block.places:
                    self._device.write(place, layout.encode(self._journal.superblock))
                    self._device.sync()

    # --- names; the lock is held ---

    def _exists(self, name: str) -> bool:
        return name in self._open or name in self._directory

    def _visible(self, name: str) -> OpenFile | Entry:
        file = self._open.get(name)
        found = self._directory.get(name) if file is None else None if file.hidden else file
        if found is None:
            raise NotFound(f"{self.label}/{name} does not exist.")
        return found

    def _create(self, name: str, *, hidden: bool = False) -> OpenFile:
        if self._exists(name):
            raise Conflict(f"{self.label}/{name} exists already.")
        if len(name) > _MAX_NAME:
            raise Conflict(f"The name of a file on {self.label} is longer than {_MAX_NAME} characters.")
        self._journal.check_room(name, 1)
        file = self._open[name] = OpenFile(name, self._blocks, None, hidden=hidden)
        return file

    def _remove(self, name: str) -> tuple[list[Extent], bool]:
        """The blocks of a name that goes, and whether that needs a record."""
        if name in self._erasing:
            raise Conflict(f"{self.label}/{name} is being erased.")
        file = self._open.pop(name, None)
        entry = self._directory.get(name)
        if file is not None:
            return file.drop(), entry is not None
        return list(entry.extents) if entry else [], entry is not None

    def _check_writable(self) -> None:
        """Before anything changes in memory; what fails on its way to the device is found out at the next start."""
        self._device.check(writable=True)
        self._journal.check()

    def _quiet(self, name: str) -> AbstractContextManager[object]:
        """Nobody writes to the blocks of an open file of this name, which are about to be freed."""
        with self._lock:
            file = self._open.get(name)
        return nullcontext() if file is None else file.io

    # --- the contract ---

    def put(self, name: str, data: Buffer) -> None:
        """Create a durable file at once or not at all."""
        self._check_writable()
        with self._lock:
            file = self._create(name, hidden=True)
        try:
            file.write(data)
            self.sync_file(file)
        except BaseException:
            with self._lock:
                if name not in self._directory and self._open.pop(name, None) is file:
                    self._free.give(file.drop())
            raise
        self.close_file(file)

    def append(self, name: str, at: int | None = None) -> BlockAppender:
        """A new file that grows, or with `at` the existing one, cut to that size."""
        self._check_writable()
        if at is None:
            with self._lock:
                return BlockAppender(self, self._create(name))
        with self._lock:
            found = self._visible(name)
            if isinstance(found, Entry):
                found = self._open[name] = OpenFile(name, self._blocks, found)
            found.closed = False
        found.resize(at)
        return BlockAppender(self, found)

    def sync_file(self, file: OpenFile) -> None:
        """Make a file durable as it is."""
        file.flush()
        with self._lock:
            if file.gone or not file.unsynced:
                return
            self._journal.check_room(file.name, len(file.extents))
            entry, rest = file.settle()
            file.hidden = False
            ticket = self._journal.enqueue([Change(file.name, entry)])
        self._journal.wait(ticket)
        self._give(rest)

    def close_file(self, file: OpenFile) -> None:
        """Forget a file that is durable; one that is not stays until the backend is closed."""
        with self._lock:
            self._free.release(file)
            file.closed = True
            if not file.unsynced and self._open.get(file.name) is file:
                del self._open[file.name]

    def _give(self, extents: list[Extent]) -> None:
        with self._lock:
            self._free.give(extents)

    def _move(self, name: str, final: str, *, over: bool) -> None:
        self._check_writable()
        with self._lock:
            found = self._visible(name)
            if over:
                self._visible(final)
            elif self._exists(final):
                raise Conflict(f"{self.label}/{final} exists already.")
        if isinstance(found, OpenFile) and found.unsynced:
            found.flush()
        with self._quiet(final), self._lock:
            if self._visible(name) is not found and self._directory.get(name) != found:
                raise NotFound(f"{self.label}/{name} does not exist.")
            if not over and self._exists(final):
                raise Conflict(f"{self.label}/{final} exists already.")
            if name in self._erasing:
                raise Conflict(f"{self.label}/{name} is being erased.")
            entry, rest = self._settled(found, final)
            freed = self._remove(final)[0] + rest
            if (file := self._open.pop(name, None)) is not None:
                file.name = final
                self._open[final] = file
                if file.closed:
                    del self._open[final]
            ticket = self._journal.enqueue([Change(name, None), Change(final, entry)])
        self._journal.wait(ticket)
        self._give(freed)

    def _settled(self, found: OpenFile | Entry, final: str) -> tuple[Entry, list[Extent]]:
        """What a flushed file is from now on, and the blocks that it does not need; the lock is held."""
        if isinstance(found, Entry):
            return found, []
        if found.unsynced or found.durable is None:
            self._journal.check_room(final, len(found.extents))
            return found.settle()
        return found.durable, []

    def publish(self, name: str, final: str) -> None:
        """Give a file its final name, durably, and its contents too."""
        self._move(name, final, over=False)

    def replace(self, name: str, final: str) -> None:
        """Give a file the name of another, which is gone with that, durably."""
        self._move(name, final, over=True)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        with self._lock:
            found = self._visible(name)
            if offset < 0 or offset + length > found.size_bytes:
                raise Corrupt(f"{self.label}/{name} ends before byte {offset + length}.")
            data, extents = found.read(offset, length) if isinstance(found, OpenFile) else (b"", found.extents)
        if not extents or not length:
            return data
        data = self._blocks.read(extents, offset, length)
        with self._lock:
            if not self._still(name, found):  # its blocks may be another file's by now
                return self.read(name, offset, length)
        return data

    def _still(self, name: str, found: OpenFile | Entry) -> bool:
        """Whether what was read under this name lies where it did."""
        file = self._open.get(name)
        if isinstance(found, OpenFile):
            return not found.gone
        return (file.durable if file is not None else self._directory.get(name)) == found

    def size(self, name: str) -> int:
        """Length of a file; StorageFault when the device is not there any more."""
        self._device.check()
        with self._lock:
            return self._visible(name).size_bytes

    def list(self, folder: str) -> Iterator[Item]:
        """Every file below a folder."""
        with self._lock:
            found = {name: file.size_bytes for name, file in self._open.items() if not file.hidden}
            hidden = {name for name, file in self._open.items() if file.hidden}
            stored = self._directory.sizes()
            items = [Item(name, size) for name, size in stored if name not in found and name.startswith(f"{folder}/")]
        yield from (item for item in items if item.name not in hidden)
        yield from (Item(name, size) for name, size in found.items() if name.startswith(f"{folder}/"))

    def delete(self, name: str) -> None:
        """Remove a file durably; that it is gone already is no error."""
        self._check_writable()
        with self._quiet(name), self._lock:
            if name in self._open and self._open[name].hidden:
                return
            freed, named = self._remove(name)
            ticket = self._journal.enqueue([Change(name, None)]) if named else 0
        if named:
            self._journal.wait(ticket)
        self._give(freed)

    def erase(self, name: str) -> None:
        """Overwrite a file with zeroes, durably, then remove it."""
        with self._lock:
            try:
                found = self._visible(name)
            except NotFound:
                return
            if name in self._erasing:
                raise Conflict(f"{self.label}/{name} is being erased.")
            extents = tuple(found.extents)
            self._erasing.add(name)
        try:
            self._blocks.erase(extents)
        finally:
            with self._lock:
                self._erasing.discard(name)
        self.delete(name)

    def sweep(self, folder: str) -> None:
        """Nothing is ever left unfinished: blocks without a name are free."""

    def space(self) -> Space:
        """What is free, to the block; nothing while names are lost."""
        self._check_writable()
        block = self._journal.superblock
        if layout.parse(self._device.read(0, BLOCK)).uuid != block.uuid:
            raise StorageFault(f"The device {self.label} is lost: another one is there now.", device=self.label)
        with self._lock:
            free = 0 if self._free.closed else self._free.free_blocks - self._free.promised_blocks
        return Space(free * BLOCK, block.data_blocks * BLOCK, block.uuid.hex())

    # --- beyond the contract ---

    @property
    def version(self) -> tuple[int, int]:
        """Another one after each change of the directory."""
        return self._journal.version

    def metafile(self) -> bytes:
        """Superblock and directory: with it `rebuild` finds the files again when the directory is lost."""
        block = self._journal.superblock.next()
        with self._lock:
            listed = records.checkpoint(self._directory.rows(), block.generation, block.epoch)
            return layout.encode(block) + b"".join(listed)

    def checkpoint(self) -> None:
        """Write the directory anew into its other half."""
        self._journal.checkpoint()

    def close(self) -> None:
        """Release the device; what was not synced is gone. Twice is fine."""
        self._device.close()
