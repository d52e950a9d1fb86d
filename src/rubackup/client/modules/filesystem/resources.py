"""The mounted local file systems of this host: what the module `File system` has to offer."""

from __future__ import annotations

import os
from pathlib import Path

from rubackup.client.modules.filesystem.mounts import KERNEL_TYPES
from rubackup.client.modules.filesystem.paths import is_within
from rubackup.client.mounttable import MountEntry, mount_table
from rubackup.client.ports import Found

MEMORY_TYPES = frozenset({"tmpfs", "ramfs", "overlay", "squashfs", "erofs", "iso9660"})
"""Gone with a reboot, or the same as on the medium they came from."""
NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs"}
)
"""They belong to another host."""
NOT_OFFERED = KERNEL_TYPES | MEMORY_TYPES | NETWORK_TYPES


def file_systems(left_out: Path, table: list[MountEntry] | None = None) -> list[Found]:
    """Each mounted file system once, at the mount point of its root where there is one, sorted by path.

    What is mounted below `left_out` does not count.

    The resource of a backup may be any folder, also of the file systems that are left out here.
    """
    found: dict[str, MountEntry] = {}
    for entry in mount_table() if table is None else table:
        if entry.type in NOT_OFFERED or is_within(entry.point, os.fsencode(left_out)):
            continue
        kept = found.setdefault(entry.device, entry)
        if entry.root == b"/" != kept.root:
            found[entry.device] = entry
    return [_found(entry) for entry in sorted(found.values(), key=lambda entry: entry.point)]


def _found(entry: MountEntry) -> Found:
    try:
        st = os.statvfs(entry.point)
    except OSError:
        return Found(resource=entry.shown, kind=entry.type)  # a mount that hangs or is hidden: its size is not known
    return Found(
        resource=entry.shown,
        kind=entry.type,
        size_bytes=st.f_blocks * st.f_frsize,
        used_bytes=(st.f_blocks - st.f_bfree) * st.f_frsize,
    )
