"""Whether a folder of this host can become a storage. Nothing is made for one that is refused.

Design: `docs/design/storage.md`, Folders.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.domain.errors import Conflict, Invalid

_SYSTEM: Final = re.compile(r"/(bin|boot|dev|etc|lib[^/]*|proc|run|sbin|sys|usr)(/.*)?")
"""Folders in which no storage lies."""
_ROOTS: Final = re.compile(r"/|/(home|media|opt|root|tmp|var)|/var/(cache|lib|local|log|mail|opt|run|spool|tmp)")
"""Folders in which storages may lie, but that are none."""
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_KERNEL: Final = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "fusectl", "hugetlbfs", "mqueue", "proc", "pstore", "securityfs", "sysfs", "tracefs",
    }
)  # fmt: skip
_MOUNT_POINT: Final = 4
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
_IGNORED: Final = frozenset({"lost+found"})
"""What a new file system has in its root."""
_PROBE: Final = ".rubackup-probe-"
"""Begins the name of a file that is written to see that one may, and stays when that was killed."""
_MARKER_BYTES: Final = 128
Identity = tuple[int, int]


@dataclass(frozen=True)
class Ground:
    """What a media server or a client knows of its host."""

    own: tuple[Path, ...] = ()
    """Folders with its state and keys."""
    memory: bool = False
    """Whether storages may lie in file systems that a restart empties (MEMORY_STORAGES)."""
    mountinfo: Path = Path("/proc/self/mountinfo")
    host: str = "media server"
    """Whose host it is, for what is told."""


def check_folder(path: str, pool: str, storages: Iterable[str], ground: Ground, *, existing: bool = False) -> None:
    """Return when the folder can become a storage of the pool (its uuid); it is there then, and can be written.

    `existing`: only one that is the folder of a pool already, so that a disk that is not mounted is no new storage. Invalid, or Conflict when it belongs to a pool: `storages` are the folders that this host serves.
    """
    if not path.startswith("/") or any(ord(sign) < 32 or ord(sign) == 127 for sign in path):
        raise Invalid(f"must be an absolute path on the {ground.host}, without control characters.")
    try:
        _check_place(path, ground)
        folder = Path(path)
        there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
        if not there.is_dir():
            raise Invalid(f"{there} is not a folder on the {ground.host}.")
        if existing and (there != folder or _marker(folder) is None):
            raise Invalid(
                f"is the folder of no pool on the {ground.host}: no file `{MARKER}` of a pool is in it. Is its disk mounted?"
            )
        _check_file_system(str(there), ground)
        others = [one for one in storages if one != path]
        _check_apart(folder, there, others)
        if there == folder:
            _check_owner(folder, ground)
            _check_content(folder, pool, others)
        _try(folder, there)
    except OSError as error:
        raise Invalid(f"cannot be used on the {ground.host}: {error.strerror}.") from error


def check_ground(path: str, ground: Ground) -> None:
    """Return when a folder that is there, and belongs to no pool, may have storages in it; Invalid."""
    if not path.startswith("/") or any(ord(sign) < 32 or ord(sign) == 127 for sign in path):
        raise Invalid(f"must be an absolute path on the {ground.host}, without control characters.")
    try:
        _check_place(path, ground)
        folder = Path(path)
        if not folder.is_dir():
            raise Invalid(f"is not a folder on the {ground.host}.")
        _check_file_system(path, ground)
        _check_owner(folder, ground)
    except OSError as error:
        raise Invalid(f"cannot be used on the {ground.host}: {error.strerror}.") from error


def check_fresh(path: str, ground: Ground) -> None:
    """Return when a folder that may not be there yet lies where storages may lie; Invalid. Nothing is made or tried."""
    try:
        _check_place(path, ground)
        folder = Path(path)
        _check_file_system(str(next(one for one in (folder, *folder.parents) if os.path.lexists(one))), ground)
    except OSError as error:
        raise Invalid(f"cannot be used on the {ground.host}: {error.strerror}.") from error


def _check_place(path: str, ground: Ground) -> None:
    real = os.path.realpath(path)
    if real != path:
        raise Invalid(f"leads to {real} on the {ground.host}; only such a path without symbolic links can be given.")
    if _SYSTEM.fullmatch(path) or _ROOTS.fullmatch(path):
        raise Invalid(f"is a folder of the {ground.host}'s system; storages have a folder of their own.")
    folder = Path(path)
    for own in (Path(os.path.realpath(one)) for one in ground.own):
        if folder == own or own in folder.parents or folder in own.parents:
            raise Invalid(f"is, holds or lies in {own}, where the {ground.host} keeps its own state and keys.")


def _check_file_system(place: str, ground: Ground) -> None:
    """The file system that is mounted over all others at this place."""
    point, found = "", ""
    lines = ground.mountinfo.read_text(errors="surrogateescape").splitlines() if ground.mountinfo.exists() else []
    for line in lines:
        mount, _, source = line.partition(" - ")
        here = plain(mount.split(" ")[_MOUNT_POINT])
        if len(here) >= len(point) and f"{place}/".startswith(f"{here.rstrip('/')}/"):
            point, found = here, source.split(" ")[0]
    if found in _KERNEL or (found in _MEMORY and not ground.memory):
        raise Invalid(f"lies in {point}, a file system of the type {found}, which does not keep data.")


def _check_apart(folder: Path, there: Path, storages: list[str]) -> None:
    """By the folders themselves and not by their names: a bind mount has another name."""
    above = {_identity(one): one for one in (there, *there.parents)}
    mine = _identity(folder) if there == folder else None
    for storage in storages:
        try:
            real = Path(os.path.realpath(storage, strict=True))
            its, around = _identity(real), {_identity(one) for one in real.parents}
        except OSError:  # its disk is gone: the catalogue has compared its name
            continue
        if its in above:
            raise Conflict(f"The folder {folder} is, or lies in, the storage {storage}.")
        if mine in around:
            raise Conflict(f"The folder {folder} holds the storage {storage}.")
    for parent in folder.parents:
        if _marker(parent) is not None:
            raise Conflict(f"The folder {folder} lies in {parent}, the folder of a pool.")


def _check_owner(folder: Path, ground: Ground) -> None:
    found = folder.stat()
    if found.st_uid not in {0, os.geteuid()}:
        raise Invalid(f"belongs to the user {found.st_uid} on the {ground.host}; it must be root's or its own.")
    if found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        raise Invalid(f"can be written by its group or by everyone (mode {mode:o}); take that away: chmod go-w.")


def _check_content(folder: Path, pool: str, storages: list[str]) -> None:
    content = _marker(folder)
    if content is not None:
        _check_marker(folder, content, pool, storages)
    elif any(one.name not in _IGNORED and not one.name.startswith(_PROBE) for one in folder.iterdir()):
        raise Invalid("is not empty on the media server; a storage begins in an empty folder.")


def _check_marker(folder: Path, content: bytes, pool: str, storages: list[str]) -> None:
    marker = parse_marker(content)
    if marker is None:
        raise Conflict(f"The folder {folder} carries a damaged marker of a pool: {folder}/{MARKER}.")
    if marker[0].hex() != pool:
        raise Conflict(
            f"The folder {folder} belongs to another pool ({marker[0].hex()}). To take it over after the catalogue was lost, make the "
            "pool with this uuid; if nothing in it is needed any more, empty it on the media server."
        )
    twin = next((one for one in storages if _marker(Path(one)) == content), None)
    if twin is not None:
        raise Conflict(f"The folder {folder} is a copy of the storage {twin}.")


def _marker(folder: Path) -> bytes | None:
    """The folder's marker, whole or damaged; None when it has none."""
    try:
        handle = os.open(folder / MARKER, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # none, a link, or of someone who hides it: what follows tells whether the folder can be used
        return None
    try:
        content = os.read(handle, _MARKER_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)
    return content if content.startswith(b"rubackup pool") else None


def pool_of(folder: Path) -> str:
    """Uuid in hex of the pool whose folder it is; '' when it is none's, or its marker is damaged."""
    marker = parse_marker(_marker(folder) or b"")
    return marker[0].hex() if marker else ""


def plain(text: str) -> str:
    """A path of the kernel's tables as it is, with its blanks."""
    for code, sign in _ESCAPES.items():
        text = text.replace(code, sign)
    return text


def _identity(folder: Path) -> Identity:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _try(folder: Path, there: Path) -> None:
    """Make what is missing and write a file; what was made goes again when that fails."""
    made: list[Path] = []
    try:
        for one in reversed([folder, *folder.parents]):
            if one != there and there in one.parents:
                one.mkdir(mode=0o700 if one == folder else 0o755)
                made.append(one)
        probe = folder / f"{_PROBE}{os.getpid()}"
        try:
            probe.write_bytes(b"x")
        finally:
            for one in folder.glob(f"{_PROBE}*"):
                one.unlink(missing_ok=True)
    except OSError:
        for one in reversed(made):
            with suppress(OSError):
                one.rmdir()
        raise
