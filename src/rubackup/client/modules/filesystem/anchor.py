"""Opens the folder that a restore may write below: the destination, or in place the resource's own.

Its path is the administrator's, so links on it are followed, /home to /data/home for
example, but only those that nobody else could have put there: a link that belongs to root
or to us, in a folder that only root or we can write to (or that is sticky, as /tmp is). A user whose
folder lies on the way could otherwise send what root writes to where he likes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from rubackup.client.modules.filesystem.folders import FOLDER
from rubackup.client.modules.filesystem.paths import ROOT, components, join, reason, split
from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable

MOST_LINKS = 40
"""As the kernel's own limit (path_resolution(7))."""


Check = Callable[[int], None]
"""Sees each folder on the way before anything is made in it, and may refuse it by an OSError."""


def _anything(_fd: int) -> None:
    """Every folder may be entered."""


def open_anchor(path: bytes, check: Check = _anything) -> tuple[int, list[bytes]]:
    """A descriptor of `path`, and which folders of it had to be made. Invalid when it cannot be reached."""
    fd, _, made = _open(path, check, make=True)
    return fd, made


def open_nearest(path: bytes, check: Check = _anything) -> tuple[int, bytes]:
    """A descriptor and the path of the folder that is there already, below which `open_anchor` would make the rest."""
    fd, at, _ = _open(path, check, make=False)
    return fd, at


def _open(path: bytes, check: Check, *, make: bool) -> tuple[int, bytes, list[bytes]]:
    todo = components(path)[::-1]
    current = os.open(ROOT, FOLDER)
    at = ROOT
    links = 0
    made = []
    try:
        while todo:
            name = todo.pop()
            _checked(at, current, check)
            try:
                following, new = _step(current, name, make=make)
            except OSError as error:
                raise Invalid(f"{printable(join(at, name))} cannot be opened: {reason(error)}.") from error
            if following is None:
                break
            if isinstance(following, bytes):
                links += 1
                if links > MOST_LINKS:
                    raise Invalid(f"{printable(path)} cannot be opened: too many links.")
                todo.extend(components(following)[::-1])
                if following.startswith(ROOT):
                    os.close(current)
                    current, at = os.open(ROOT, FOLDER), ROOT
                continue
            os.close(current)
            current, at = following, split(at)[0] if name == b".." else join(at, name)
            if new:
                made.append(at)
        _checked(at, current, check)
    except BaseException:
        os.close(current)
        raise
    return current, at, made


def _checked(path: bytes, fd: int, check: Check) -> None:
    try:
        check(fd)
    except OSError as error:
        raise Invalid(f"{printable(path)} cannot be opened: {reason(error)}.") from error


def _step(current: int, name: bytes, *, make: bool) -> tuple[int | bytes | None, bool]:
    """The descriptor of a folder, the target of a link, or None for what is not there; and whether the folder is new."""
    try:
        st = os.stat(name, dir_fd=current, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            return None, False
        try:
            os.mkdir(name, 0o777, dir_fd=current)
        except FileExistsError:  # another restore was first
            return _step(current, name, make=make)
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=current), True
    if stat.S_ISLNK(st.st_mode):
        _check_link(current, st)
        return os.readlink(name, dir_fd=current), False
    return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=current), False


def _check_link(folder: int, link: os.stat_result) -> None:
    trusted = {0, os.geteuid()}
    st = os.fstat(folder)
    open_to_others = st.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not st.st_mode & stat.S_ISVTX
    if link.st_uid not in trusted or st.st_uid not in trusted or open_to_others:
        raise PermissionError(1, "it is a link that others could have put there; name the folder it points to")
