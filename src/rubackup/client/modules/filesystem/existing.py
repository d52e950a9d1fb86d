"""Judges what stands at the destination already."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from enum import Enum

from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.client.modules.filesystem.metadata import entry_type


class Overwrite(Enum):
    """What happens to an entry that exists at the destination."""

    IF_CHANGED = "if_changed"
    ALWAYS = "always"
    NEVER = "never"


def is_same(entry: Entry, st: os.stat_result, owner: tuple[int, int] | None, read_link: Callable[[], bytes]) -> bool:
    """Whether `st` looks like the copy's entry: type, size or target, mtime, mode, and owner if it is given."""
    if entry_type(st.st_mode) != entry.type or st.st_mtime_ns != entry.mtime_ns:
        return False
    if owner is not None and (st.st_uid, st.st_gid) != owner:
        return False
    if entry.type == EntryType.SYMLINK:
        return read_link() == entry.target
    if stat.S_IMODE(st.st_mode) != entry.mode:
        return False
    if entry.type == EntryType.FILE:
        return st.st_size == entry.size
    return entry.type not in {EntryType.CHAR, EntryType.BLOCK} or st.st_rdev == entry.rdev
