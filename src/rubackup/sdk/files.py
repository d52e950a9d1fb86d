"""Files of the caller's own: what goes wrong with one is told by its name, as an error of the client's."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from rubackup.sdk.errors import Misused

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What a file system without hard links says, such as that of a memory stick."""

_BLOCK_BYTES: Final = 64 << 10
_ZEROS: Final = bytes(_BLOCK_BYTES)


@contextlib.contextmanager
def ours(file: Path) -> Iterator[None]:
    """Misused, with the name of the file, where the system refuses something."""
    try:
        yield
    except OSError as error:
        raise Misused(f"{file}: {error.strerror or error}.") from error
    except ValueError as error:  # a name with a byte 0 in it
        raise Misused(f"{str(file)!r} is no name of a file: {error}.") from error


def save(pieces: Iterable[bytes], file: Path, *, replace: bool) -> int:
    """Write a file that is there under its name only when it is whole, mode 0600; how many bytes it has.

    Misused where something is there already that is not to be replaced: what is no ordinary file never is.
    """
    with ours(file):
        _refuse_taken(file, replace=replace)
        descriptor, name = tempfile.mkstemp(prefix=".rubackup-", dir=file.parent)
    beside = Path(name)
    try:
        with ours(file), os.fdopen(descriptor, "wb") as opened:
            size = write_sparse(pieces, opened)
        with ours(file):
            _take_name(beside, file, replace=replace)
    finally:
        beside.unlink(missing_ok=True)
    return size


def write_sparse(pieces: Iterable[bytes], file: BinaryIO) -> int:
    """Write to a new, empty file; what is all zeros becomes a hole, where the file system has holes. How many bytes it has."""
    for piece in pieces:
        for begin in range(0, len(piece), _BLOCK_BYTES):
            block = piece[begin : begin + _BLOCK_BYTES]
            if block == _ZEROS[: len(block)]:
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
    return file.truncate()


def _refuse_taken(file: Path, *, replace: bool) -> None:
    try:
        found = file.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise Misused(f"{file} is there already, and is no ordinary file.")
    if not replace:
        raise Misused(f"{file} is there already.")


def _take_name(beside: Path, file: Path, *, replace: bool) -> None:
    if not replace:
        try:
            file.hardlink_to(beside)  # unlike a rename it takes no name that somebody else took meanwhile
        except FileExistsError:
            raise Misused(f"{file} is there already.") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return
    _refuse_taken(file, replace=replace)
    beside.replace(file)
