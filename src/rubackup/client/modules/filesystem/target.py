"""Writes entries below one folder, and nowhere else, whatever the manifest or the disk says.

Every name is made in a folder that was reached name by name without following a link,
from the destination's own descriptor. A link that stands where a folder must be is an
error for what lies below it. New entries are made under a temporary name and renamed over
what was there: an existing file, fifo or device is never opened, a link never followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator

from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.client.modules.filesystem.apply import Applier, make_usable
from rubackup.client.modules.filesystem.direct import Direct, Staging
from rubackup.client.modules.filesystem.folders import Folders
from rubackup.client.modules.filesystem.listing import list_names
from rubackup.client.modules.filesystem.metadata import entry_type
from rubackup.client.modules.filesystem.paths import split
from rubackup.client.modules.filesystem.sync import Syncer

TEMPORARY = b".rubackup-restore-"
"""Begin of temporary names. A process that was killed leaves such files; the next attempt of its task removes them."""

WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

UNFIT = (ValueError, OverflowError)
"""What Python raises for a value that the kernel's calls cannot take: an owner beyond 32 bits, a NUL in a link."""
WHY_UNFIT = "the manifest holds a value that no file can have"

Identity = tuple[int, int]
"""Device and inode."""

_NODES = {
    EntryType.FIFO: stat.S_IFIFO,
    EntryType.SOCKET: stat.S_IFSOCK,
    EntryType.CHAR: stat.S_IFCHR,
    EntryType.BLOCK: stat.S_IFBLK,
}


class Temporaries:
    """The temporary names of one task: nobody can guess the next, and no other task has them."""

    def __init__(self, task_id: int, record: str) -> None:
        whose = hashlib.sha256(f"{task_id}/{record}".encode()).hexdigest()[:16]
        self._begin = TEMPORARY + whose.encode() + b"-"
        self._form = re.compile(re.escape(self._begin) + rb"[0-9a-f]{16}")

    def name(self) -> bytes:
        """A fresh one."""
        return self._begin + secrets.token_hex(8).encode()

    def sweep(self, fd: int) -> None:
        """Remove from a folder what an earlier attempt of this task has left there; folders are never removed."""
        for name in list_names(fd):
            if self._form.fullmatch(name):
                with contextlib.suppress(OSError):  # who may write here is told by what is restored
                    os.unlink(name, dir_fd=fd)

    @contextlib.contextmanager
    def used(self, fd: int) -> Iterator[bytes]:
        """A name that is gone afterwards, whether it was used, renamed or neither."""
        name = self.name()
        try:
            yield name
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)


class Target:
    """The destination."""

    def __init__(
        self, folders: Folders, applier: Applier, temporaries: Temporaries, syncer: Syncer | None = None
    ) -> None:
        """`syncer` is told what is written."""
        self._folders = folders
        self.syncer = syncer or Syncer()
        self._applier = applier
        self._temporaries = temporaries
        self.staging = Staging()
        """Of the thread whose target this is."""

    def sweep(self, path: bytes) -> None:
        """Remove what an earlier attempt of the task has left in a folder."""
        self._temporaries.sweep(self._folders.open(path))

    def open(self, path: bytes) -> int:
        """The descriptor of a folder, valid until others were opened; OSError when it is not there, or a link."""
        return self._folders.open(path)

    def look(self, path: bytes) -> os.stat_result | None:
        """What stands at `path` now, None for nothing."""
        folder, name = split(path)
        try:
            return os.stat(name, dir_fd=self._folders.open(folder), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read_link(self, path: bytes) -> bytes:
        """Where the link at `path` points to."""
        folder, name = split(path)
        return os.readlink(name, dir_fd=self._folders.open(folder))

    def make_folder(self, path: bytes, *, usable: bool) -> bool:
        """Whether the folder was made; it may be there already. OSError when something else is.

        `usable`: an existing one of ours is made writable until `finish_folder` sets its mode.
        """
        folder, name = split(path)
        try:
            os.mkdir(name, 0o700, dir_fd=self._folders.open(folder))
        except FileExistsError:
            fd = self._folders.open(path)  # refuses what is no folder
            if usable:
                make_usable(fd)
            self._temporaries.sweep(fd)
            return False
        return True

    def close(self) -> None:
        """Close the descriptors of folders, and give memory back."""
        self._folders.close()
        self.staging.close()

    def finish_folder(self, path: bytes, entry: Entry) -> list[str]:
        """Set a folder's owner, mode, attributes and times; what could not be set."""
        return self._applier.apply(self._folders.open(path), entry)

    def create(self, path: bytes) -> NewFile:
        """Begin a file that will replace what stands at `path`."""
        folder, _ = split(path)
        name = self._temporaries.name()
        return NewFile(path, name, os.open(name, WRITE, 0o600, dir_fd=self._folders.open(folder)))

    def publish(self, file: NewFile, entry: Entry) -> tuple[Identity, list[str]]:
        """Give a written file its metadata and its name."""
        folder, name = split(file.path)
        fd = self._folders.open(folder)
        problems = self._applier.apply(file.fd, entry)
        st = os.fstat(file.fd)
        os.rename(file.temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        self.syncer.wrote(file.fd, st.st_size)
        file.close()
        return (st.st_dev, st.st_ino), problems

    def discard(self, file: NewFile) -> None:
        """Remove a file that was begun."""
        file.close()
        folder, _ = split(file.path)
        with contextlib.suppress(OSError):
            os.unlink(file.temporary, dir_fd=self._folders.open(folder))

    def make_node(self, path: bytes, entry: Entry, *, is_free: bool) -> tuple[Identity, list[str]]:
        """Make a symbolic link, fifo, socket or device with its metadata.

        `is_free`: nothing stands at `path`, FileExistsError when something does; else that is replaced.
        """
        self.syncer.wrote_other()
        folder, name = split(path)
        fd = self._folders.open(folder)
        if is_free:
            return self._make_node(fd, name, entry)
        with self._temporaries.used(fd) as temporary:
            made = self._make_node(fd, temporary, entry)
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        return made

    def _make_node(self, fd: int, name: bytes, entry: Entry) -> tuple[Identity, list[str]]:
        if entry.type == EntryType.SYMLINK:
            os.symlink(entry.target, name, dir_fd=fd)
        else:
            os.mknod(name, _NODES[EntryType(entry.type)] | 0o600, entry.rdev, dir_fd=fd)
        node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        try:
            st = os.fstat(node)
            if entry_type(st.st_mode) != entry.type:
                raise PermissionError(1, "somebody else replaced it while it was restored")
            problems = self._applier.apply_node(node, entry, st)
        except BaseException:
            remove_own(fd, name, node)
            raise
        finally:
            os.close(node)
        return (st.st_dev, st.st_ino), problems

    def link(self, first: bytes, path: bytes, identity: Identity) -> bool:
        """Make `path` another name of `first`; False when `first` is no longer the file that was restored."""
        self.syncer.wrote_other()
        existing = self.look(path)
        if existing is not None and (existing.st_dev, existing.st_ino) == identity:
            return True
        folder, name = split(path)
        source_folder, source = split(first)
        source_fd = os.dup(self._folders.open(source_folder))
        try:
            fd = self._folders.open(folder)
            with self._temporaries.used(fd) as temporary:
                os.link(source, temporary, src_dir_fd=source_fd, dst_dir_fd=fd, follow_symlinks=False)
                st = os.stat(temporary, dir_fd=fd, follow_symlinks=False)
                if (st.st_dev, st.st_ino) != identity:
                    return False
                os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        finally:
            os.close(source_fd)
        return True


def remove_own(folder: int, name: bytes, fd: int) -> None:
    """Remove the name of the open file `fd`, unless it has become that of another."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(fd)):
            os.unlink(name, dir_fd=folder)


class NewFile:
    """A file under its temporary name."""

    def __init__(self, path: bytes, temporary: bytes, fd: int) -> None:
        self.path = path
        self.temporary = temporary
        self.fd = fd
        self.direct: Direct | None = None
        """How its contents are written, where that is past the page cache."""

    @property
    def is_direct(self) -> bool:
        """Whether what is written now goes past the page cache."""
        return self.direct is not None and self.direct.is_on

    def close(self) -> None:
        """Close the descriptor, once."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
