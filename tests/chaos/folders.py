"""What the trial knows of the folders that are backed up: every version of every file, and when it was there."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

NAMED = 10
"""Differences of one copy that are spelled out."""


@dataclass(frozen=True)
class Version:
    """What was at a path for a while; `what` is None while nothing was."""

    what: tuple[str, str, int, int] | None
    since: float
    until: float = math.inf


def look(path: Path) -> tuple[str, str, int, int] | None:
    """Type, content, mode and mtime of a file or link; None of a folder, or of nothing."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    link = stat.S_ISLNK(found.st_mode)
    content = path.readlink().as_posix() if link else hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return "link" if link else "file", content, stat.S_IMODE(found.st_mode), found.st_mtime_ns


class Folder:
    """A folder whose every change is one rename, or one file that goes: nobody ever sees half of it.

    A restored copy must have each file as it was at some moment between the beginning and the end of its backup. Of what
    did not change meanwhile that is one version. Thread-safe.
    """

    def __init__(self, path: Path, toss: Random, files: int, largest_bytes: int) -> None:
        self.path, self._toss, self._largest = path, toss, largest_bytes
        self._history: dict[str, list[Version]] = {}
        self._lock = threading.Lock()
        self._aside = path.with_name(f".{path.name}.new")
        for below in ("a", "b/c"):
            (path / below).mkdir(parents=True)
        for _ in range(files):
            self._write(self._name())

    def _name(self) -> str:
        return f"{self._toss.choice(('', 'a/', 'b/', 'b/c/'))}file{self._toss.randrange(200)}"

    def change(self) -> None:
        """Some files are new, others replaced, and one or two go."""
        with self._lock:
            there = sorted(name for name, versions in self._history.items() if versions[-1].what)
            for name in self._toss.sample(there, min(2, len(there))):
                self._write(name)
            for _ in range(self._toss.randint(1, 3)):
                self._write(self._name())
            if len(there) > 20 or self._toss.random() < 0.3:
                for name in self._toss.sample(there, min(2, len(there))):
                    self._turn(name, None)

    def _write(self, name: str) -> None:
        size = int(self._largest ** self._toss.random())
        if self._toss.random() < 0.1:
            self._aside.symlink_to(f"to/{self._toss.randrange(1000)}")
        else:
            half = self._toss.randbytes(size // 2)
            self._aside.write_bytes(
                half + half if self._toss.random() < 0.5 else half + self._toss.randbytes(size // 2)
            )
            self._aside.chmod(self._toss.choice((0o600, 0o644, 0o755)))
        self._turn(name, self._aside)

    def _turn(self, name: str, become: Path | None) -> None:
        """Put what lies aside, or nothing, in the place of a file."""
        what = look(become) if become else None
        before = time.time()
        if become:
            become.rename(self.path / name)
        else:
            (self.path / name).unlink()
        versions = self._history.setdefault(name, [Version(None, 0)])
        versions[-1] = replace(versions[-1], until=time.time())
        versions.append(Version(what, before))

    def differences(self, restored: Path, begun: float, ended: float) -> list[str]:
        """What a restored copy has that was not there at any moment between `begun` and `ended`, in seconds of the epoch."""
        found = {str((Path(at) / name).relative_to(restored)) for at, _, names in os.walk(restored) for name in names}
        found |= {
            str((Path(at) / name).relative_to(restored))
            for at, names, _ in os.walk(restored) for name in names if (Path(at) / name).is_symlink()
        }  # fmt: skip
        with self._lock:
            history = {name: list(versions) for name, versions in self._history.items()}
        told = [f"{name} is there and never was" for name in sorted(found - history.keys())]
        for name, versions in sorted(history.items()):
            has = look(restored / name)
            could = [one.what for one in versions if one.since <= ended and one.until >= begun]
            if has not in could:
                told.append(f"{name} is {has} and was {' or '.join(map(str, could))}")
        told += [f"folder {name} is not there" for name in ("a", "b/c") if not (restored / name).is_dir()]
        return told[:NAMED] + ([f"and {len(told) - NAMED} more"] if len(told) > NAMED else [])
