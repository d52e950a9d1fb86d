"""Why the system does not start, in a sentence an administrator can act on."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from rubackup.domain.errors import RubackupError, SystemFault

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission is missing",
    errno.EPERM: "permission is missing",
    errno.EROFS: "the file system is read-only",
    errno.EEXIST: "something else is in the way",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.ENAMETOOLONG: "the path is too long",
    errno.EADDRINUSE: "the port is in use",
}


class StartupFault(SystemFault):
    """The system cannot start."""

    code = "startup"


def reason(error: OSError) -> str:
    """What an OS error means, as the second half of a sentence."""
    known = _REASONS.get(error.errno or 0, (error.strerror or str(error)).lower())
    return f"{known} ({error.filename})" if error.filename else known


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn OS errors into a StartupFault that begins with `doing`: `Cannot write the state folder`."""
    try:
        yield
    except RubackupError:
        raise
    except OSError as error:
        raise StartupFault(f"{doing}: {reason(error)}.") from error
