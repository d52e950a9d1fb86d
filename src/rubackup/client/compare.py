"""Compares two trees, to see whether a restored one is what the original is.

Everything that a copy records is compared, byte by byte, except access and change times.
Used by the demo and the tests; it goes through deep trees and non-UTF-8 names like a backup.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from dataclasses import dataclass, field

from rubackup.client.modules.filesystem.folders import Folders, Pending, entry_path, open_following, open_noatime
from rubackup.client.modules.filesystem.listing import list_names
from rubackup.client.modules.filesystem.metadata import entry_type, read_xattrs
from rubackup.client.modules.filesystem.paths import join, split
from rubackup.client.modules.filesystem.reader import OPEN
from rubackup.domain.filenames import printable

READ_BYTES = 1 << 20
LISTED = 1000
"""Differences that are spelled out; beyond them they are only counted."""


@dataclass
class Comparison:
    """What was compared and what differs."""

    files: int = 0
    folders: int = 0
    links: int = 0
    others: int = 0
    size_bytes: int = 0
    xattrs: int = 0
    taken_over: int = 0
    """Entries of other owners that an ordinary user restored and that are therefore its own."""
    difference_count: int = 0
    differences: list[str] = field(default_factory=list)
    """The first differences, each with the path below both roots."""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.difference_count

    def differs(self, path: bytes, what: str) -> None:
        """Note a difference."""
        self.difference_count += 1
        if len(self.differences) < LISTED:
            self.differences.append(f"{printable(path)}: {what}")


def compare_trees(left: str | bytes, right: str | bytes, *, ordinary_user: bool = False) -> Comparison:
    """Compare `left` and `right`: two folders, files or links. OSError when one of them is not there.

    With `ordinary_user` the right one was restored by the caller, who is not root: what belongs to
    others on the left must be the caller's on the right, without the set-id bit, and is counted.
    """
    return _Comparer(os.fsencode(left), os.fsencode(right), ordinary_user=ordinary_user).run()


class _Side:
    """One of the two trees; paths are relative to it, `/` being the tree itself."""

    def __init__(self, root: bytes) -> None:
        root = os.path.abspath(root)  # noqa: PTH100 - links stay
        folder, self._name = split(root)
        self._parent = open_following(folder)
        self._folders: Folders | None = None
        if stat.S_ISDIR(self.stat(b"/").st_mode):
            self._folders = Folders(b"/", open_following(root))

    def at(self, path: bytes) -> tuple[int, bytes]:
        if path == b"/":
            return self._parent, self._name or b"."
        assert self._folders is not None
        folder, name = split(path)
        return self._folders.open(folder), name

    def stat(self, path: bytes) -> os.stat_result:
        fd, name = self.at(path)
        return os.stat(name, dir_fd=fd, follow_symlinks=False)

    def names(self, path: bytes) -> list[bytes]:
        assert self._folders is not None
        return list_names(self._folders.open(path))

    def target(self, path: bytes) -> bytes:
        fd, name = self.at(path)
        return os.readlink(name, dir_fd=fd)

    def xattrs(self, path: bytes) -> list[tuple[bytes, bytes]]:
        fd, name = self.at(path)
        problems: list[str] = []
        found = read_xattrs(entry_path(fd, name), problems.append)
        return found + [(b"unreadable", problem.encode()) for problem in problems]

    def contents(self, path: bytes) -> Generator[bytes, None, None]:
        fd, name = self.at(path)
        file = open_noatime(name, OPEN, fd)
        try:
            while data := os.read(file, READ_BYTES):
                yield data
        finally:
            os.close(file)

    def close(self) -> None:
        os.close(self._parent)
        if self._folders:
            self._folders.close()


class _Comparer:
    def __init__(self, left: bytes, right: bytes, *, ordinary_user: bool) -> None:
        self._found = Comparison()
        self._ordinary_user = ordinary_user
        self._groups = {os.getegid(), *os.getgroups()}
        self._left = _Side(left)
        self._right = _Side(right)
        self._pending = Pending()
        self._first_names: tuple[dict[tuple[int, int], bytes], dict[tuple[int, int], bytes]] = ({}, {})

    def run(self) -> Comparison:
        try:
            path: bytes | None = b"/"
            if self._entry(b"/"):
                while path is not None:
                    self._folder(path)
                    path = self._pending.pop()
        finally:
            self._left.close()
            self._right.close()
        return self._found

    def _folder(self, path: bytes) -> None:
        left, right = self._left.names(path), set(self._right.names(path))
        folders = []
        for name in left:
            if name not in right:
                self._found.differs(join(path, name), "is missing on the right")
            elif self._entry(join(path, name)):
                folders.append(name)
        for name in sorted(right.difference(left)):
            self._found.differs(join(path, name), "is missing on the left")
        self._pending.push(path, folders)

    def _entry(self, path: bytes) -> bool:
        """Compare one entry; whether both are folders."""
        left, right = self._left.stat(path), self._right.stat(path)
        kinds = entry_type(left.st_mode), entry_type(right.st_mode)
        if kinds[0] != kinds[1]:
            self._found.differs(
                path, f"is a {kinds[0].name.lower()} on the left, a {kinds[1].name.lower()} on the right"
            )
            return False
        self._inode(path, left, right)
        self._attributes(path)
        self._names(path, left, right)
        self._content(path, left, right)
        return stat.S_ISDIR(left.st_mode)

    def _inode(self, path: bytes, left: os.stat_result, right: os.stat_result) -> None:
        """Mode, owner and time."""
        mode, uid, gid = stat.S_IMODE(left.st_mode), left.st_uid, left.st_gid
        if self._ordinary_user:
            if uid != os.geteuid():
                uid, mode = os.geteuid(), mode & ~stat.S_ISUID
            if gid not in self._groups and right.st_gid in self._groups:
                gid, mode = right.st_gid, mode & ~stat.S_ISGID
            self._found.taken_over += (uid, gid) != (left.st_uid, left.st_gid)
        for name, expected, found in (
            ("mode", oct(mode), oct(stat.S_IMODE(right.st_mode))),
            ("owner", f"{uid}:{gid}", f"{right.st_uid}:{right.st_gid}"),
            ("mtime_ns", left.st_mtime_ns, right.st_mtime_ns),
        ):
            if expected != found:
                self._found.differs(path, f"{name} {expected} on the left, {found} on the right")

    def _attributes(self, path: bytes) -> None:
        left, right = dict(self._left.xattrs(path)), dict(self._right.xattrs(path))
        self._found.xattrs += len(left)
        for name in sorted(left.keys() | right.keys()):
            if left.get(name) != right.get(name):
                self._found.differs(path, f"extended attribute {printable(name)} differs")

    def _names(self, path: bytes, left: os.stat_result, right: os.stat_result) -> None:
        """Two names are the same file on the left exactly when they are on the right."""
        if stat.S_ISDIR(left.st_mode) or (left.st_nlink == 1 and right.st_nlink == 1):
            return
        firsts = [
            known.setdefault((st.st_dev, st.st_ino), path)
            for known, st in zip(self._first_names, (left, right), strict=True)
        ]
        if firsts[0] != firsts[1]:
            names = [("alone" if first == path else f"the same as {printable(first)}") for first in firsts]
            self._found.differs(path, f"as a file is {names[0]} on the left, {names[1]} on the right")

    def _content(self, path: bytes, left: os.stat_result, right: os.stat_result) -> None:
        mode = left.st_mode
        if stat.S_ISDIR(mode):
            self._found.folders += 1
        elif stat.S_ISREG(mode):
            self._found.files += 1
            self._found.size_bytes += left.st_size
            self._bytes(path)
        elif stat.S_ISLNK(mode):
            self._found.links += 1
            if self._left.target(path) != self._right.target(path):
                self._found.differs(path, "points elsewhere")
        else:
            self._found.others += 1
            if left.st_rdev != right.st_rdev:
                self._found.differs(path, "is another device")

    def _bytes(self, path: bytes) -> None:
        left, right = self._left.contents(path), self._right.contents(path)
        offset = 0
        while True:
            one, two = next(left, b""), next(right, b"")
            if one != two:
                common = min(len(one), len(two))
                at = next((i for i in range(common) if one[i] != two[i]), common)
                self._found.differs(path, f"contents differ from byte {offset + at}")
                left.close()
                right.close()
                return
            if not one:
                return
            offset += len(one)
