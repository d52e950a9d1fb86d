"""A wrapper that fails on purpose: every operation asks a script first.

Tests use it to crash, fill or break any backend at a chosen step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rubackup.chunkstore.backends.base import Appender, Backend, Item, Space
from rubackup.chunkstore.identity import Buffer

Script = Callable[[str, str, bool], None]
"""Called with operation, file name and whether the operation is done; raises to make it fail."""


class FaultyAppender:
    """A growing file under a script; a write that the script stops before is half done."""

    def __init__(self, inner: Appender, name: str, script: Script) -> None:
        self._inner, self._name, self._script = inner, name, script

    @property
    def size_bytes(self) -> int:
        """What was written wholly."""
        return self._inner.size_bytes

    @size_bytes.setter
    def size_bytes(self, value: int) -> None:
        self._inner.size_bytes = value

    def write(self, data: Buffer) -> None:
        """Add `data`, or half of it when the script says so."""
        try:
            self._script("write", self._name, False)
        except BaseException:
            before = self._inner.size_bytes
            self._inner.write(memoryview(data)[: len(data) // 2])
            self._inner.size_bytes = before
            raise
        self._inner.write(data)
        self._script("write", self._name, True)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file."""
        self._script("truncate", self._name, False)
        self._inner.truncate(size_bytes)
        self._script("truncate", self._name, True)

    def sync(self) -> None:
        """Make it durable."""
        self._script("sync", self._name, False)
        self._inner.sync()
        self._script("sync", self._name, True)

    def close(self) -> None:
        """Never fails."""
        self._inner.close()


class FaultyBackend:
    """A backend under a script."""

    def __init__(self, inner: Backend, script: Script) -> None:
        self.inner = inner
        self.script = script
        self.label = inner.label
        self.capabilities = inner.capabilities

    def put(self, name: str, data: Buffer) -> None:
        """As the inner one."""
        self.script("put", name, False)
        self.inner.put(name, data)
        self.script("put", name, True)

    def append(self, name: str, at: int | None = None) -> FaultyAppender:
        """As the inner one; the file is under the script too."""
        self.script("append", name, False)
        file = FaultyAppender(self.inner.append(name, at), name, self.script)
        self.script("append", name, True)
        return file

    def publish(self, name: str, final: str) -> None:
        """As the inner one."""
        self.script("publish", name, False)
        self.inner.publish(name, final)
        self.script("publish", final, True)

    def replace(self, name: str, final: str) -> None:
        """As the inner one."""
        self.script("replace", name, False)
        self.inner.replace(name, final)
        self.script("replace", final, True)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """As the inner one."""
        self.script("read", name, False)
        return self.inner.read(name, offset, length)

    def size(self, name: str) -> int:
        """As the inner one."""
        return self.inner.size(name)

    def list(self, folder: str) -> Iterator[Item]:
        """As the inner one."""
        return self.inner.list(folder)

    def delete(self, name: str) -> None:
        """As the inner one."""
        self.script("delete", name, False)
        self.inner.delete(name)
        self.script("delete", name, True)

    def erase(self, name: str) -> None:
        """As the inner one."""
        self.script("erase", name, False)
        self.inner.erase(name)
        self.script("erase", name, True)

    def sweep(self, folder: str) -> None:
        """As the inner one."""
        self.inner.sweep(folder)

    def space(self) -> Space:
        """As the inner one."""
        return self.inner.space()

    def close(self) -> None:
        """As the inner one."""
        self.inner.close()
