"""Packs and manifests in a folder of a local file system.

One process at a time (the pool's lock file sees to it), so create-only is a check before the rename.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rubackup.chunkstore.backends._packfile import PackAppender
from rubackup.chunkstore.backends.base import Capabilities, Item, Space
from rubackup.chunkstore.backends.direct_io import FILE_SYSTEMS
from rubackup.chunkstore.backends.oserrors import sync_folder, translated
from rubackup.chunkstore.backends.statfs import copies_on_write, file_system_type
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Conflict, Corrupt

TEMPORARY = ".tmp"
PACKS = "packs/"
_ZEROES = memoryview(bytes(1 << 20))


class LocalAppender:
    """A growing file; writes go to a fixed offset, so a failed one is simply overwritten or cut."""

    def __init__(self, label: str, path: Path, size_bytes: int | None) -> None:
        self._label, self._path = label, path
        self._named = size_bytes is not None
        self.size_bytes = size_bytes or 0
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if self._named else os.O_CREAT | os.O_EXCL)
        self._handle = os.open(path, flags, 0o600)

    def write(self, data: Buffer) -> None:
        """Add `data` at the end, wholly or with an error."""
        view = memoryview(data).cast("B")
        at = self.size_bytes
        with translated(self._label, self._path.name):
            while view:
                written = os.pwrite(self._handle, view, at)
                at += written
                view = view[written:]
        self.size_bytes = at

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size."""
        with translated(self._label, self._path.name):
            os.ftruncate(self._handle, size_bytes)
        self.size_bytes = size_bytes

    def sync(self) -> None:
        """Make content and, the first time, the name durable."""
        with translated(self._label, self._path.name):
            os.fsync(self._handle)
            if not self._named:
                sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        """Release the handle; twice is fine."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class LocalBackend:
    """A folder."""

    def __init__(self, folder: Path, *, cached: bool = False) -> None:
        """`cached`: packs are soon read again, so they are written through the page cache."""
        self._root = folder
        self._direct = not cached and file_system_type(folder) in FILE_SYSTEMS
        self._lock = threading.Lock()
        self._growing: set[PackAppender] = set()
        self.capabilities = Capabilities(append=True, overwrite=not copies_on_write(folder))
        self.label = str(folder)

    def _file(self, name: str) -> Path:
        """The path of a name; its folder is made, durably, when it is missing."""
        path = self._root / name
        missing = []
        folder = path.parent
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
        return path

    def put(self, name: str, data: Buffer) -> None:
        """Create a durable file at once or not at all."""
        with translated(self.label, name):
            path = self._file(name)
            if path.exists():
                raise Conflict(f"{path} exists already.")
            temporary = path.with_name(path.name + TEMPORARY)
            temporary.unlink(missing_ok=True)
            file = LocalAppender(self.label, temporary, None)
            try:
                file.write(data)
                file.sync()
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            finally:
                file.close()
            temporary.rename(path)
            sync_folder(path.parent)

    def append(self, name: str, at: int | None = None) -> LocalAppender | PackAppender:
        """A new file that grows, or with `at` the existing one, cut to that size. What a new pack gets is there when it is synced."""
        with translated(self.label, name):
            path = self._file(name)
            try:
                if at is None and name.startswith(PACKS):
                    return self._grow(PackAppender(self.label, path, direct=self._direct, closed=self._grown))
                file = LocalAppender(self.label, path, at)
            except FileExistsError as error:
                raise Conflict(f"{path} exists already.") from error
        if at is not None:
            file.truncate(at)
        return file

    def _grow(self, pack: PackAppender) -> PackAppender:
        with self._lock:
            self._growing.add(pack)
        return pack

    def _grown(self, pack: PackAppender) -> None:
        with self._lock:
            self._growing.discard(pack)

    def publish(self, name: str, final: str) -> None:
        """Give a synced file its final name, durably."""
        with translated(self.label, name):
            source, target = self._root / name, self._file(final)
            if target.exists():
                raise Conflict(f"{target} exists already.")
            source.rename(target)
            sync_folder(target.parent)
            if source.parent != target.parent:
                sync_folder(source.parent)

    def replace(self, name: str, final: str) -> None:
        """Give a synced file the name of another, which is gone with that."""
        with translated(self.label, name):
            source, target = self._root / name, self._root / final
            target.stat()
            source.replace(target)
            sync_folder(target.parent)
            if source.parent != target.parent:
                sync_folder(source.parent)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        with translated(self.label, name):
            handle = os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                data = os.pread(handle, length, offset)
                while len(data) < length:
                    more = os.pread(handle, length - len(data), offset + len(data))
                    if not more:
                        raise Corrupt(f"{self.label}/{name} ends before byte {offset + length}.")
                    data += more
            finally:
                os.close(handle)
        return data

    def size(self, name: str) -> int:
        """Length of a file."""
        with translated(self.label, name):
            return (self._root / name).stat().st_size

    def list(self, folder: str) -> Iterator[Item]:
        """Every file below a folder; a folder that does not exist has none."""
        with translated(self.label, folder):
            for entry in _files_below(f"{self._root}/{folder}"):
                if not entry.name.endswith(TEMPORARY):
                    try:
                        size = entry.stat().st_size
                    except FileNotFoundError:  # it was deleted, or published, since the folder was read
                        continue
                    yield Item(entry.path[len(str(self._root)) + 1 :], size)

    def delete(self, name: str) -> None:
        """Remove a file durably; that it is gone already is no error."""
        with translated(self.label, name):
            path = self._root / name
            try:
                path.unlink()
            except FileNotFoundError:
                return
            sync_folder(path.parent)

    def erase(self, name: str) -> None:
        """Overwrite a file with zeroes, durably, then remove it."""
        with translated(self.label, name):
            try:
                handle = os.open(self._root / name, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return
            try:
                left = os.fstat(handle).st_size
                while left:
                    left -= os.write(handle, _ZEROES[:left])
                os.fsync(handle)
            finally:
                os.close(handle)
        self.delete(name)

    def sweep(self, folder: str) -> None:
        """Remove what an interrupted `put` left below a folder."""
        with translated(self.label, folder):
            found = [entry.path for entry in _files_below(f"{self._root}/{folder}") if entry.name.endswith(TEMPORARY)]
            for path in found:
                Path(path).unlink(missing_ok=True)

    def space(self) -> Space:
        """How much room an ordinary user has, beside what growing packs will take when it is written."""
        with self._lock:
            waiting = sum(pack.unwritten_bytes for pack in self._growing)
        with translated(self.label, ""):
            found = os.statvfs(self._root)
            device = str(self._root.stat().st_dev)
        return Space(max(0, found.f_bavail * found.f_frsize - waiting), found.f_blocks * found.f_frsize, device)

    def close(self) -> None:
        """Nothing to release."""


def _files_below(folder: str) -> Iterator[os.DirEntry[str]]:
    """What is no folder, one entry at a time: a folder may have millions. One that is not there has none."""
    below: list[str] = []
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if not entry.is_dir():
                yield entry
            elif not entry.is_symlink():
                below.append(entry.path)
    for path in below:
        yield from _files_below(path)
