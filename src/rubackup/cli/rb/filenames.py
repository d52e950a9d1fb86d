r"""Names of files, which on Linux are bytes, as the API takes them and as people can type them again.

The API shows a byte that is not UTF-8 as `\xNN`, and takes that form.
"""

from __future__ import annotations


def is_text(name: str) -> bool:
    """Whether a name that was given on the command line is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_listed(name: str) -> str:
    """A name that was given on the command line, as the API takes it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shown(name: str) -> str:
    """A name of the API's on one line: what is not printable byte by byte, so that what is shown can be given again."""
    return "".join(c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in name)
