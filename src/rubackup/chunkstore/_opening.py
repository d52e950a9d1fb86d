"""The first steps of opening a pool: the lock that keeps other processes out, and the index."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from rubackup.chunkstore import _index_check
from rubackup.chunkstore._lmdb import is_condemned
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.index import Index
from rubackup.domain.errors import Busy, Corrupt

log = logging.getLogger(__name__)
_T = TypeVar("_T")

KEPT_ASIDE: Final = 2
"""Damaged indexes that stay beside the one that is set aside now, for whoever looks for the cause."""


def take_lock(metadata: Path) -> int:
    """The lock file, held; Busy when another process serves the pool."""
    with translated(str(metadata), "lock"):
        handle = os.open(metadata / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Busy(f"The pool with its metadata in {metadata} is served by another process.") from None
    return handle


def rebuilding(metadata: Path, start: Callable[[], _T]) -> _T:
    """What `start` gives, which opens the pool; where it finds the index damaged it is called again, and another is filled."""
    try:
        return start()
    except Corrupt as error:
        if not is_condemned(metadata / "index"):
            raise
        log.error("%s The pool is opened again.", error.message)
    return start()


def open_index(
    metadata: Path, pool: bytes, map_bytes: int, now_ns: Callable[[], int], steady_ns: Callable[[], int]
) -> Index:
    """The index; one that cannot be used is set aside, and a new one will be filled from the storages."""
    folder = metadata / "index"
    try:
        if not _index_check.is_sound(folder):
            raise Corrupt(f"The index in {folder} cannot be read.")
        return Index(folder, pool, map_bytes, now_ns, steady_ns)
    except Corrupt as error:
        log.error("%s It is rebuilt from the storages.", error.message)
        aside = metadata / f"index.damaged-{time.time_ns()}"
        with translated(str(metadata), "index"):
            for old in sorted(metadata.glob("index.damaged-*"))[:-KEPT_ASIDE]:
                shutil.rmtree(old)
            folder.rename(aside)
        return Index(folder, pool, map_bytes, now_ns, steady_ns)
