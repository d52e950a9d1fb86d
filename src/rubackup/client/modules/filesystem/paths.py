"""Paths as bytes: checking, splitting, ordering.

Names on Linux are bytes; nothing here assumes UTF-8. No function touches the disk.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable

ROOT = b"/"


def absolute(text: str, field: str) -> bytes:
    """The path of a request without trailing and doubled slashes; Invalid names `field` for a relative one."""
    path = os.fsencode(text)
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    if not path.startswith(ROOT) or b"\0" in path or b".." in parts:
        raise Invalid(fields={field: f"must be an absolute path without '..', not {printable(path)!r}."})
    return ROOT + b"/".join(parts)


def join(folder: bytes, name: bytes) -> bytes:
    """The path of `name` in `folder`."""
    return folder + name if folder == ROOT else folder + b"/" + name


def split(path: bytes) -> tuple[bytes, bytes]:
    """The folder that holds `path`, and its name there; the root is (b"/", b"")."""
    folder, _, name = path.rpartition(b"/")
    return folder or ROOT, name


def components(path: bytes) -> list[bytes]:
    """The names from the root down to `path`; none for the root."""
    return [part for part in path.split(b"/") if part]


def ancestors(path: bytes) -> list[bytes]:
    """The folders above `path`, the root first."""
    found = []
    while path != ROOT:
        path, _ = split(path)
        found.append(path)
    return found[::-1]


def order(folder: bytes) -> bytes:
    """A key by which folders sort as a walk in pre-order meets them."""
    return folder.rstrip(b"/").replace(b"/", b"\0")


def is_within(path: bytes, folder: bytes) -> bool:
    """Whether `path` is `folder` or lies below it."""
    return path == folder or path.startswith(folder if folder == ROOT else folder + b"/")


def is_safe_name(name: bytes) -> bool:
    """Whether `name` can only mean an entry of the folder it stands in."""
    return name not in {b"", b".", b".."} and b"/" not in name and b"\0" not in name and len(name) <= 255


def are_safe_names(names: Collection[bytes]) -> bool:
    """Whether each of them is; many names at once."""
    joined = b"\0".join(names)
    return (
        b"/" not in joined
        and joined.count(b"\0") == max(0, len(names) - 1)
        and len(max(names, key=len, default=b"")) <= 255
        and not {b"", b".", b".."}.intersection(names)
    )


def is_safe_folder(path: bytes) -> bool:
    """Whether `path` is absolute, in normal form, and made of safe names."""
    return path == ROOT or (path[:1] == ROOT and all(is_safe_name(name) for name in path[1:].split(b"/")))


def reason(error: OSError) -> str:
    """Why a file could not be read or written, as the end of a log line."""
    return (error.strerror or str(error)).lower()
