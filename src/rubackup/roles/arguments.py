"""What command lines give, read the same way by every program: paths and whole numbers."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NAME_BYTES, _PATH_BYTES = 255, 4095
"""What Linux takes: for one name of a path, and for all of it."""


def path_fault(text: str) -> str:
    """Why a text is no path of a file or folder; '' when it is one. An empty one would be the current folder."""
    if not text:
        return "must be the path of a file or folder, not an empty text; the current folder is written as a dot."
    if "\0" in text:
        return "must be the path of a file or folder, and such a path has no NUL in it."
    return ""


def length_fault(path: str | Path) -> str:
    """Why a path of this host is too long to be one; '' when it is not."""
    name = os.fsencode(path)
    if len(name) > _PATH_BYTES or any(len(part) > _NAME_BYTES for part in name.split(b"/")):
        return f"is too long for a path: {_NAME_BYTES} bytes for each name in it, {_PATH_BYTES} in all."
    return ""


def path(text: str) -> Path:
    """A path, for argparse, which names the argument."""
    if fault := path_fault(text) or length_fault(text):
        raise argparse.ArgumentTypeError(fault)
    return Path(text)


def number(text: str) -> int | None:
    """A whole number in plain digits, else None; int() would take 1_0, +1 and the digits of other scripts."""
    return int(text) if _WHOLE.fullmatch(text) else None


def whole(text: str) -> int:
    """The same for argparse."""
    found = number(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}.")
    return found
