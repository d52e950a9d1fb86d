"""Which mounted file systems hold no data of their own.

A backup crosses mount points of real file systems, as tar, borg and restic do, because
an administrator who names /srv means all of it. It does not enter those of the kernel:
their files have no size, never end, or act when they are read. The mount point itself is
recorded as an empty folder. Naming a folder of such a file system as the resource reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

# fmt: off
KERNEL_TYPES = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fusectl", "hugetlbfs", "mqueue", "nfsd",
    "nsfs", "proc", "pstore", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "sysfs",
    "tracefs",
})
# fmt: on
"""Types of /proc/self/mountinfo that are not entered."""


def _read_mountinfo() -> str:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - no path
            return file.read()
    except OSError:
        return ""


class Mounts:
    """Answers for device numbers; reads the table again when it meets an unknown one."""

    def __init__(self, read: Callable[[], str] = _read_mountinfo) -> None:
        self._read = read
        self._types: dict[int, str] = {}

    def kernel_type(self, device: int) -> str:
        """The type of the file system if it is one of the kernel's, else ''."""
        kind = self.type(device)
        return kind if kind in KERNEL_TYPES else ""

    def type(self, device: int) -> str:
        """The type of the file system, '' where it stands in no table."""
        if device not in self._types:
            self._load()
            # Sub-volumes have device numbers that stand in no table: they are data.
            self._types.setdefault(device, "")
        return self._types[device]

    def _load(self) -> None:
        for line in self._read().splitlines():
            # proc(5): 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
            left, _, right = line.partition(" - ")
            fields, kind = left.split(), right.split()
            if len(fields) > 2 and kind:
                major, _, minor = fields[2].partition(":")
                self._types[os.makedev(int(major), int(minor))] = kind[0]
