"""What may be the resource of a backup: a folder, a regular file, or a link to one.

A device, a pipe or a socket has a name and no contents: its copy would end well and be worth nothing, and naming
one is a slip. Below a folder such files are copied, as what they are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final

from rubackup.client.modules.filesystem.paths import reason
from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable

_KINDS: Final = {
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def check_kind(resource: bytes, found: os.stat_result, behind: Callable[[], os.stat_result]) -> None:
    """Return when it may be backed up; Invalid. `found` is what the name is, `behind` looks at what a link leads to."""
    link = stat.S_ISLNK(found.st_mode)
    try:
        mode = behind().st_mode if link else found.st_mode
    except OSError as error:
        raise Invalid(f"The resource {printable(resource)} is a link that leads nowhere: {reason(error)}.") from error
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    kind = f"{'a link to ' if link else ''}{_KINDS.get(stat.S_IFMT(mode), 'of an unknown kind')}"
    raise Invalid(
        f"The resource {printable(resource)} is {kind}; a resource is a folder, a regular file, or a link to one. "
        "To copy what a device holds, back up the folder at which it is mounted."
    )
