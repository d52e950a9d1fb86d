"""Names of files, which on Linux are bytes, as they are given on the command line and as the API takes them."""

from __future__ import annotations

import os

from rubackup.domain.filenames import listed


def is_text(name: str) -> bool:
    """Whether a name that was given on the command line is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_listed(name: str) -> str:
    """A name that was given on the command line, as the API takes it."""
    return name if is_text(name) else listed(os.fsencode(name))  # of such a name no list shows the bytes themselves
