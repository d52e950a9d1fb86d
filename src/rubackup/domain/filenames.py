r"""How names of files, which on Linux are bytes, are shown: one to one, so that what is shown leads back to the file.

A byte that is not UTF-8 is `\xNN`. A backslash that would read as the beginning of such an escape is `\x5c`. Logs and
terminals show what cannot be printed byte by byte in the same way; lists of the API leave it to JSON.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_READS_AS_ESCAPE = re.compile(rb"\\(?=x[0-9a-f]{2})")


def listed(name: bytes) -> str:
    """A name or path as lists of the API show it."""
    return _READS_AS_ESCAPE.sub(rb"\\x5c", name).decode("utf-8", "backslashreplace")


def printable(name: bytes) -> str:
    """A name or path on one line."""
    return on_one_line(listed(name))


def on_one_line(shown: str) -> str:
    """What the API shows, with what is not printable byte by byte."""
    if shown.isprintable():
        return shown
    return "".join(
        char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode()) for char in shown
    )


def meant(path: bytes) -> list[bytes]:
    """What somebody may mean who gives this: first what is shown so, then the name as it stands."""
    read = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), path)
    return list(dict.fromkeys((read, path)))
