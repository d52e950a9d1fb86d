"""Keys and settings of a host that a backup's take the place of: each run keeps them in a folder of its own, beside."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rubackup.domain.errors import SystemFault
from rubackup.wire import pki

FOLDER: Final = "keys/replaced"
"""Below an installation's folder; backups leave it out."""


def keep(root: Path, paths: Iterable[Path]) -> Path:
    """Copy these files of the installation, durably and for their owner alone; the new folder, in which they lie as below `root`."""
    folder = root / FOLDER / f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        for path in paths:
            copy = folder / path.relative_to(root)
            for parent in reversed([copy.parent, *copy.parent.parents]):
                if not parent.is_dir():
                    parent.mkdir(mode=0o700)
                    _sync(parent.parent)
            pki.write_private(copy, path.read_bytes())
    except OSError as error:
        raise SystemFault(f"What is to be replaced cannot be kept in {folder}: {error.strerror}.") from error
    return folder


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
