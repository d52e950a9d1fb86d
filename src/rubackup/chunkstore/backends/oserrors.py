"""Errors of the operating system as errors of ours, and names made durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rubackup.domain.errors import NotFound, StorageFault, StorageFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def translated(label: str, name: str) -> Iterator[None]:
    """OS errors as errors of ours that name the folder and the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{label}/{name} does not exist.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"There is no room left in {label}: {error.strerror}.", folder=label) from error
        raise StorageFault(f"{label}/{name}: {error.strerror or error}.") from error


def is_bad_sector(error: StorageFault) -> bool:
    """Whether a part of a file could not be read (EIO), as opposed to the folder as a whole."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
