"""Users and groups of the installed programs, and giving root up for one of them.

Which user a program has follows from who owns the folder of its keys: packages and rb_init
give it away, and where nobody did, everything belongs to the one who installed it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from pathlib import Path

from rubackup.roles.settings import ConfigurationFault

UMASK = 0o027


def become_owner_of(folder: Path, program: str) -> None:
    """Be the user that owns the folder from now on; ConfigurationFault when that is neither this user nor can root be it."""
    os.umask(UMASK)
    try:
        owner = folder.stat()
    except OSError as error:
        raise ConfigurationFault(f"There is no {folder}; run rb_init first.") from error
    if owner.st_uid == os.geteuid():
        return
    name = _name(owner.st_uid)
    if os.geteuid() != 0:
        raise ConfigurationFault(f"{program} runs as {name}: start it as that user or as root.")
    os.initgroups(name, owner.st_gid)
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
    with contextlib.suppress(KeyError):
        os.environ["HOME"] = pwd.getpwuid(owner.st_uid).pw_dir


def give_to_owner_of(folder: Path, path: Path) -> None:
    """Let the folder's owner own the file, too, where the caller may decide that."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def readable(path: Path) -> bool:
    """Whether this process may read the file."""
    return os.access(path, os.R_OK)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise ConfigurationFault(f"There is no user with the number {uid}, whose keys these are.") from error
