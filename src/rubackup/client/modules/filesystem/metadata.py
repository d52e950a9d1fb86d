"""What a manifest records of an entry besides its contents, read from the live file system."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from functools import lru_cache

from rubackup.chunkstore.manifest import EntryType

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
    owner_names.cache_clear()


@lru_cache(NAMES_CACHED // 64)
def owner_names(uids: frozenset[int], gids: frozenset[int]) -> tuple[dict[int, str], dict[int, str]]:
    """Names of users and of groups, those that the host knows; the answer must not be changed."""
    users = {uid: name for uid in uids if (name := user_name(uid))}
    return users, {gid: name for gid in gids if (name := group_name(gid))}


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
