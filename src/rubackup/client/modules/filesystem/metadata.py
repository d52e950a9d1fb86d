"""What a manifest records of an entry besides its contents, read from the live file system."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from functools import lru_cache

from rubackup.chunkstore.manifest import Entry, EntryType

_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.FOLDER,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFSOCK: EntryType.SOCKET,
    stat.S_IFCHR: EntryType.CHAR,
    stat.S_IFBLK: EntryType.BLOCK,
}

XATTRS_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.ENOSYS})
GONE = frozenset({errno.ENOENT, errno.ESTALE})

NAMES_CACHED = 65_536


def entry_type(mode: int) -> EntryType:
    """The type that st_mode tells."""
    return _TYPES[stat.S_IFMT(mode)]


@lru_cache(NAMES_CACHED)
def user_name(uid: int) -> str:
    """The name of a user, '' when the host knows none."""
    try:
        return _clean(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return ""


@lru_cache(NAMES_CACHED)
def group_name(gid: int) -> str:
    """The name of a group, '' when the host knows none."""
    try:
        return _clean(grp.getgrgid(gid).gr_name)
    except (KeyError, OverflowError):
        return ""


def _clean(name: str) -> str:
    """The name if it is UTF-8, else ''."""
    return name if name.isprintable() else ""


def forget_names() -> None:
    """Ask the host again: users may have been added since the last task."""
    user_name.cache_clear()
    group_name.cache_clear()


def make_entry(
    name: bytes, st: os.stat_result, *, xattrs: list[tuple[bytes, bytes]], target: bytes = b"", size: int | None = None
) -> Entry:
    """The entry for `st`; `size` is what was read where that differs."""
    kind = entry_type(st.st_mode)
    if size is None:
        size = st.st_size if kind is EntryType.FILE else 0
    is_device = kind in {EntryType.CHAR, EntryType.BLOCK}
    return Entry(
        name=name,
        type=kind,
        mode=stat.S_IMODE(st.st_mode),
        uid=st.st_uid,
        gid=st.st_gid,
        user=user_name(st.st_uid),
        group=group_name(st.st_gid),
        size=size,
        mtime_ns=st.st_mtime_ns,
        ctime_ns=st.st_ctime_ns,
        inode=st.st_ino,
        device=st.st_dev,
        links=st.st_nlink,
        rdev=st.st_rdev if is_device else 0,
        target=target,
        xattrs=xattrs,
    )


def read_xattrs(at: int | bytes, problem: Callable[[str], None]) -> list[tuple[bytes, bytes]]:
    """All extended attributes that can be read, ACLs included, by name; `at`: a descriptor or an `entry_path`.

    `problem` is told of each that cannot be read; one that vanished in between is left out.
    """
    follow = isinstance(at, int)
    try:
        names = os.listxattr(at, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in XATTRS_UNSUPPORTED | GONE:
            problem(f"extended attributes cannot be listed: {error.strerror}")
        return []
    found = []
    for name in names:
        try:
            found.append((os.fsencode(name), os.getxattr(at, name, follow_symlinks=follow)))
        except OSError as error:
            if error.errno not in {errno.ENODATA, *GONE}:
                problem(f"extended attribute {name} cannot be read: {error.strerror}")
    found.sort()
    return found
