"""The folder for packs of pools without room: `emergency_storage_local_catalog`, in it one folder a media server, in that one a pool.

It may lie below /tmp, where every user of the host can make names: nothing is used that another user made or could
replace, and no link is followed. Media servers of several installations may share the folder, on one host or a network
file system.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from rubackup.agent.folders import Ground, check_folder, pool_of
from rubackup.domain.errors import RubackupError, StorageFault
from rubackup.domain.pools import cleared

log = logging.getLogger(__name__)
OWNER_DIGITS = 16
"""So much of a media server's hardware id names its folder."""


def emergency_folder(
    base: str, owner: str, pool: str, storages: Callable[[], list[str]], ground: Ground
) -> Callable[[bool], Path | None]:
    """What `Pool.open` wants: gives the pool's folder below that of `owner`, this media server, and makes them when it is told to.

    A pool whose packs lie where earlier versions put them, directly below `base`, goes on there until they are back.
    `storages` gives the folders that this media server serves. StorageFault when the folder cannot be trusted.
    """

    def folder(make: bool) -> Path | None:
        former = Path(base, pool)
        path = former if pool_of(former) == pool else Path(base, owner, pool)
        if not make and not os.path.lexists(path):
            return None
        if make and not os.path.lexists(path) and (danger := cleared(base)):
            log.warning("the emergency storage %s is made. %s", path, danger)
        try:
            _own(Path(base), make=make)
            if path is not former:
                _own(path.parent, make=make)
            if make:
                check_folder(str(path), pool, storages(), ground)
            _own(path, make=False)
        except OSError as error:
            raise StorageFault(f"The emergency folder {path} cannot be used: {error.strerror}.") from error
        except StorageFault:
            raise
        except RubackupError as error:
            raise StorageFault(f"The emergency folder {path} {error.message}") from error
        return path

    return folder


def _own(folder: Path, *, make: bool) -> None:
    """Return when a folder is this user's alone, and nobody else can put another in its place; with `make` it is made."""
    if os.path.realpath(folder.parent) != str(folder.parent):
        raise StorageFault(f"The emergency folder {folder} is reached over a symbolic link.")
    if make:
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            os.chmod(folder, 0o700)  # noqa: PTH101 - as the umask may have taken more
    for parent in folder.parents:
        found = parent.lstat()
        if found.st_uid not in {0, os.geteuid()} or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
            raise StorageFault(f"The emergency folder {folder} lies in {parent}, which others can change.")
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StorageFault(f"The emergency folder {folder} is a link or a file, not a folder.")
    if found.st_uid != os.geteuid():
        raise StorageFault(
            f"The emergency folder {folder} belongs to the user {found.st_uid}, not to the media server."
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise StorageFault(
            f"The emergency folder {folder} is open to others (mode {mode:o}); take that away: chmod 700."
        )
