"""A backend in memory that also knows what would survive a loss of power.

It is held to the same suite as the real ones; tests crash it, fill it and damage it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from rubackup.chunkstore.backends.base import Capabilities, Item, Space
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Conflict, Corrupt, NotFound, StorageFull


@dataclass
class _File:
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    named: bool = False
    """Whether the name survives."""


class MemoryAppender:
    """A growing file in memory."""

    def __init__(self, backend: MemoryBackend, file: _File) -> None:
        self._backend, self._file = backend, file
        self.size_bytes = len(file.data)

    def write(self, data: Buffer) -> None:
        """Add `data`; when there is no room, what fits is left behind, as disks do."""
        fits = min(len(data), self._backend.space().free_bytes)
        with self._backend.lock:
            del self._file.data[self.size_bytes :]
            self._file.data += memoryview(data)[:fits]
        if fits < len(data):
            raise StorageFull(f"There is no room left in {self._backend.label}.", folder=self._backend.label)
        self.size_bytes += len(data)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file."""
        with self._backend.lock:
            del self._file.data[size_bytes:]
            self._file.data += bytes(size_bytes - len(self._file.data))
        self.size_bytes = size_bytes

    def sync(self) -> None:
        """From now on content and name survive."""
        self._file.durable = bytes(self._file.data)
        self._file.named = True

    def close(self) -> None:
        """Nothing to release."""


class MemoryBackend:
    """Files in a dictionary."""

    capabilities = Capabilities(append=True, overwrite=True)

    def __init__(self, label: str = "memory", capacity_bytes: int = 1 << 40) -> None:
        self.label = label
        self.capacity_bytes = capacity_bytes
        self.files: dict[str, _File] = {}
        self.lock = threading.Lock()

    def after_power_loss(self, *, torn: bool = False) -> MemoryBackend:
        """A copy with only what was durable; with `torn`, also the first half of what was not."""
        copy = MemoryBackend(self.label, self.capacity_bytes)
        for name, file in self.files.items():
            if file.named or torn:
                data = file.durable
                if torn and len(file.data) > len(data):
                    data = bytes(file.data[: (len(data) + len(file.data)) // 2])
                copy.files[name] = _File(bytearray(data), data, named=True)
        return copy

    def _get(self, name: str) -> _File:
        try:
            return self.files[name]
        except KeyError:
            raise NotFound(f"{self.label}/{name} does not exist.") from None

    def put(self, name: str, data: Buffer) -> None:
        """Create a durable file at once or not at all."""
        if name in self.files:
            raise Conflict(f"{self.label}/{name} exists already.")
        if len(data) > self.space().free_bytes:
            raise StorageFull(f"There is no room left in {self.label}.", folder=self.label)
        with self.lock:
            self.files[name] = _File(bytearray(data), bytes(data), named=True)

    def append(self, name: str, at: int | None = None) -> MemoryAppender:
        """A new file that grows, or with `at` the existing one, cut to that size."""
        if at is not None:
            file = MemoryAppender(self, self._get(name))
            file.truncate(at)
            return file
        if name in self.files:
            raise Conflict(f"{self.label}/{name} exists already.")
        with self.lock:
            self.files[name] = _File()
        return MemoryAppender(self, self.files[name])

    def publish(self, name: str, final: str) -> None:
        """Give a synced file its final name, durably."""
        self._get(name)
        if final in self.files:
            raise Conflict(f"{self.label}/{final} exists already.")
        with self.lock:
            self.files[final] = self.files.pop(name)
            self.files[final].named = True

    def replace(self, name: str, final: str) -> None:
        """Give a synced file the name of another, which is gone with that."""
        self._get(name)
        self._get(final)
        with self.lock:
            self.files[final] = self.files.pop(name)
            self.files[final].named = True

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        data = bytes(self._get(name).data[offset : offset + length])
        if len(data) < length:
            raise Corrupt(f"{self.label}/{name} ends before byte {offset + length}.")
        return data

    def size(self, name: str) -> int:
        """Length of a file."""
        return len(self._get(name).data)

    def list(self, folder: str) -> Iterator[Item]:
        """Every file below a folder."""
        with self.lock:
            found = [Item(name, len(file.data)) for name, file in self.files.items() if name.startswith(f"{folder}/")]
        yield from found

    def delete(self, name: str) -> None:
        """Remove a file; that it is gone already is no error."""
        with self.lock:
            self.files.pop(name, None)

    def erase(self, name: str) -> None:
        """Zeroes, then nothing."""
        with self.lock:
            if (file := self.files.get(name)) is not None:
                file.data[:] = bytes(len(file.data))
                file.durable = bytes(file.data)
        self.delete(name)

    def sweep(self, folder: str) -> None:
        """Nothing is ever left unfinished."""

    def space(self) -> Space:
        """What the files leave of the capacity."""
        with self.lock:
            used = sum(len(file.data) for file in self.files.values())
        return Space(max(0, self.capacity_bytes - used), self.capacity_bytes, self.label)

    def close(self) -> None:
        """Nothing to release."""
