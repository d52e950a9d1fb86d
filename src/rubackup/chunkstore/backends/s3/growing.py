"""Files that grow although objects cannot: open ones on the media server's disk, small ones in memory until they are sent whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rubackup.chunkstore.backends.base import Appender
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import StorageFault

SMALL_BYTES: Final = 64 << 20


class SmallFile:
    """A file of a few rows (a lock, the list of storages): `sync` sends all of it."""

    def __init__(self, name: str, content: bytes, send: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self._name, self._send, self._closed = name, send, closed
        self.content = bytearray(content)

    @property
    def size_bytes(self) -> int:
        """Length."""
        return len(self.content)

    @size_bytes.setter
    def size_bytes(self, value: int) -> None:
        del self.content[value:]

    def write(self, data: Buffer) -> None:
        """Add `data`."""
        if len(self.content) + len(data) > SMALL_BYTES:
            raise StorageFault(f"{self._name} would grow over {SMALL_BYTES} bytes.")
        self.content += data

    def truncate(self, size_bytes: int) -> None:
        """Cut the file."""
        del self.content[size_bytes:]

    def sync(self) -> None:
        """Send it."""
        self._send(bytes(self.content))

    def close(self) -> None:
        """What was not synced is gone."""
        self._closed()


class SpooledManifest:
    """A growing manifest on the local disk; once synced, what is large of it is sent ahead of its publication."""

    def __init__(self, inner: Appender, changed: Callable[[], None], synced: Callable[[], None]) -> None:
        self._inner, self._changed, self._synced = inner, changed, synced

    @property
    def size_bytes(self) -> int:
        """Length."""
        return self._inner.size_bytes

    @size_bytes.setter
    def size_bytes(self, value: int) -> None:
        self._inner.size_bytes = value

    def write(self, data: Buffer) -> None:
        """Add `data`."""
        self._changed()
        self._inner.write(data)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file."""
        self._changed()
        self._inner.truncate(size_bytes)

    def sync(self) -> None:
        """Make it durable, then send it ahead."""
        self._inner.sync()
        self._synced()

    def close(self) -> None:
        """Release the handle."""
        self._inner.close()
