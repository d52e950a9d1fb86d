"""Sets owner, mode, extended attributes, ACLs and times of a restored entry, in the order that keeps them.

Owner first, as changing it clears setuid and capabilities; then attributes, mode, ACLs,
and the times last. An entry whose owner could not be set loses setuid and setgid.

Only root may give files away. For anybody else what the kernel refuses for that reason is
one warning a task and kind; everything else that could not be set makes the entry one that
failed: its contents are there, but it is not what the copy holds.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import time
from functools import lru_cache

from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.client.modules.filesystem.metadata import NAMES_CACHED, XATTRS_UNSUPPORTED
from rubackup.client.modules.filesystem.paths import reason
from rubackup.client.modules.filesystem.report import Report

ACLS = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
OWNED_NAMESPACES = ("user.", "trusted.", "system.posix_acl_")
"""Attributes in these that the copy does not hold are removed: an inherited ACL opens a file to others."""

Owner = tuple[int, int]
"""Numbers of user and group."""

_REFUSED = frozenset({errno.EPERM, errno.EACCES})


@lru_cache(NAMES_CACHED)
def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


@lru_cache(NAMES_CACHED)
def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def forget_ids() -> None:
    """Ask the host again: users may have been added since the last task."""
    _uid.cache_clear()
    _gid.cache_clear()


class Applier:
    """Gives entries their metadata; works on descriptors only, so nothing can be put in an entry's place. For threads."""

    def __init__(self, report: Report, *, numeric_owner: bool) -> None:
        """`numeric_owner`: ids as recorded, else the ids that this host has for the recorded names."""
        self._report = report
        self._numeric_owner = numeric_owner
        self.is_root = os.geteuid() == 0
        self._owners: dict[tuple[str, str, int, int], Owner] = {}

    def owner(self, entry: Entry) -> Owner:
        """Whose the entry becomes."""
        return self.owner_of(entry.user, entry.group, entry.uid, entry.gid)

    def owner_of(self, user: str, group: str, old_uid: int, old_gid: int) -> Owner:
        """Whose an entry with these recorded names ('': unknown) and numbers becomes."""
        key = (user, group, old_uid, old_gid)
        owner = self._owners.get(key)
        if owner is None:
            uid = gid = None
            if not self._numeric_owner:
                uid = _uid(user) if user else None
                gid = _gid(group) if group else None
            owner = (old_uid if uid is None else uid, old_gid if gid is None else gid)
            if len(self._owners) >= NAMES_CACHED:
                self._owners.clear()
            self._owners[key] = owner
        return owner

    def apply(self, fd: int, entry: Entry) -> list[str]:
        """Set everything on an open file or folder; sentences on what could not be set."""
        st = os.fstat(fd)
        return self._apply(fd, entry, (st.st_uid, st.st_gid), st.st_atime_ns)

    def apply_new(self, fd: int, entry: Entry, owner: Owner, *, inherits: bool) -> list[str]:
        """The same for a file that was just made and is `owner`'s; `inherits`: it may have attributes already."""
        return self._apply(fd, entry, owner, time.time_ns(), inherits=inherits)

    def apply_node(self, fd: int, entry: Entry, st: os.stat_result) -> list[str]:
        """The same for an O_PATH descriptor of a link, fifo, socket or device, and what fstat says of it."""
        return self._apply(b"/proc/self/fd/%d" % fd, entry, (st.st_uid, st.st_gid), st.st_atime_ns)

    def _apply(self, at: int | bytes, entry: Entry, owner: Owner, atime_ns: int, *, inherits: bool = True) -> list[str]:
        problems: list[str] = []
        mode = self._set_owner(at, entry, owner, problems)
        if inherits:
            self._remove_attributes(at, entry, problems)
        acls = []
        for raw, value in entry.xattrs:
            name = os.fsdecode(raw)
            if name in ACLS:
                acls.append((name, value))
            else:
                self._set_attribute(at, name, value, problems)
        if entry.type != EntryType.SYMLINK:
            try:
                os.chmod(at, mode)  # noqa: PTH101 - `at` may be a descriptor
            except OSError as error:
                problems.append(f"mode: {reason(error)}")
        for name, value in acls:
            self._set_attribute(at, name, value, problems)
        try:
            os.utime(at, ns=(atime_ns, entry.mtime_ns))
        except OSError as error:
            problems.append(f"time: {reason(error)}")
        return problems

    def _set_owner(self, at: int | bytes, entry: Entry, now: Owner, problems: list[str]) -> int:
        """The mode that may be set afterwards."""
        mode = entry.mode
        uid, gid = self.owner(entry)
        if now == (uid, gid):
            return mode
        try:
            os.chown(at, uid, gid)
            return mode
        except OSError as error:
            if self.is_root or error.errno not in _REFUSED:
                problems.append(f"owner: {reason(error)}")
                return mode & ~(stat.S_ISUID | stat.S_ISGID)
        self._report.warn_once("owner", "Owners of other users are not restored: only root may set them.")
        if now[0] != uid:
            mode &= ~stat.S_ISUID
        if now[1] != gid:
            try:
                os.chown(at, -1, gid)
            except OSError:
                # Not a member of the group: told by the warning above.
                mode &= ~stat.S_ISGID
        return mode

    def _remove_attributes(self, at: int | bytes, entry: Entry, problems: list[str]) -> None:
        try:
            present = os.listxattr(at)
        except OSError as error:
            if error.errno not in XATTRS_UNSUPPORTED:
                problems.append(f"extended attributes: {reason(error)}")
            return
        if not present:
            return
        kept = {os.fsdecode(name) for name, _ in entry.xattrs}
        for name in present:
            if name.startswith(OWNED_NAMESPACES) and name not in kept:
                try:
                    os.removexattr(at, name)
                except OSError as error:
                    if error.errno != errno.ENODATA:
                        problems.append(f"extended attribute {name}: {reason(error)}")

    def _set_attribute(self, at: int | bytes, name: str, value: bytes, problems: list[str]) -> None:
        try:
            os.setxattr(at, name, value)
        except OSError as error:
            namespace = name.partition(".")[0]
            if not self.is_root and error.errno in _REFUSED and namespace in {"trusted", "security"}:
                self._report.warn_once(
                    namespace, f"Extended attributes of {namespace} are not restored: only root may set them."
                )
            else:
                problems.append(f"extended attribute {name}: {reason(error)}")


def inherits_acls(folder: int) -> bool:
    """Whether what is made in an open folder gets an ACL from it."""
    try:
        return "system.posix_acl_default" in os.listxattr(folder)
    except OSError as error:
        return error.errno not in XATTRS_UNSUPPORTED


def process_umask() -> int:
    """The mode bits that new files of this process do not get (proc(5), status)."""
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - reading it by umask(2) would change it for a moment
        return next((int(line.split()[1], 8) for line in file if line.startswith(b"Umask:")), 0o777)


def make_usable(fd: int) -> None:
    """Let the owner write into an existing folder of his; its mode is set again when it is finished."""
    st = os.fstat(fd)
    if os.geteuid() == st.st_uid and st.st_uid and st.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(fd, stat.S_IMODE(st.st_mode) | stat.S_IRWXU)
