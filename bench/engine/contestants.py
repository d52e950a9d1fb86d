"""What the benchmark does with each system, and how restic and borg do it.

fsync is on for all (their default). Every backup, verification and deletion is a process of its own, as their users run them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.engine.meter import Group

SECRET = "a secret of the benchmark"  # protects throw-away repositories


class Failed(Exception):
    """A system did not do what it was asked for."""


class Contestant(Protocol):
    """One system under measurement. An operation returns when the system says that it is done."""

    name: str
    folder: Path
    group: Group
    database: Group | None

    def prepare(self) -> None:
        """Make an empty repository; not measured."""

    def backup(self, root: Path) -> None:
        """Copy a tree."""

    def verify(self) -> None:
        """Read and check all data."""

    def restore(self, target: Path) -> None:
        """Put the newest copy below `target`."""

    def restore_one(self, path: Path, target: Path) -> None:
        """Put one file of the newest copy below `target`."""

    def reclaim(self, count: int) -> None:
        """Forget the `count` oldest copies and give their room back."""

    def keep(self) -> None:
        """Set a copy of the repository as it is now aside; not measured."""

    def put_back(self) -> None:
        """The repository as it was kept, which stays kept; not measured."""

    def stored_bytes(self) -> int:
        """Bytes on the disk, but for caches outside of the repository and PostgreSQL."""

    def close(self) -> None:
        """End everything and remove the files."""


def keep_folder(folder: Path) -> None:
    """A copy beside it; all in the page cache, as the contents of a repository are that was just written."""
    _copy(folder, folder.with_name(f"{folder.name}-kept"))


def put_folder_back(folder: Path) -> None:
    """The folder as it was kept, at the same place."""
    shutil.rmtree(folder)
    _copy(folder.with_name(f"{folder.name}-kept"), folder)


def remove_folder(folder: Path) -> None:
    """It and what was kept of it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.with_name(f"{folder.name}-kept"), ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True, capture_output=True)


def used_bytes(folder: Path) -> int:
    """Bytes that the files of a folder take."""
    total = 0
    for inner, _, names in os.walk(folder):
        total += sum(os.lstat(Path(inner, name)).st_blocks * 512 for name in names)
    return total


@dataclass
class _Program(ABC):
    """A contestant that is a program started for each operation."""

    program: Path
    folder: Path
    name: str = ""
    database: None = None
    group: Group = field(init=False)

    def __post_init__(self) -> None:
        self.group = Group(f"rubackup-engine-{os.getpid()}-{self.folder.name}")

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What the program is told beside its arguments."""

    def run(self, *arguments: str | Path, folder: Path | None = None) -> str:
        """The output of the program; Failed when it fails."""
        done = subprocess.run(
            self.group.command([self.program, *arguments]),
            env={**os.environ, **self.environment()},
            cwd=folder or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{self.name} {arguments[0]}: {done.stderr[-2000:]}")
        return done.stdout

    def keep(self) -> None:
        """With its cache, which knows the repository."""
        keep_folder(self.folder)

    def put_back(self) -> None:
        """Both as they were."""
        put_folder_back(self.folder)

    def stored_bytes(self) -> int:
        """Bytes on the disk."""
        return used_bytes(self.repository)

    def close(self) -> None:
        """Remove everything."""
        remove_folder(self.folder)
        self.group.close()


@dataclass
class Restic(_Program):
    """restic, which always encrypts. Compression `auto` is zstd's fast level."""

    name: str = "restic"

    def environment(self) -> dict[str, str]:
        """Of every call."""
        return {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD": SECRET,
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
            "RESTIC_COMPRESSION": "auto",
            "RESTIC_PROGRESS_FPS": "0.1",
        }

    def prepare(self) -> None:
        """An empty repository."""
        self.folder.mkdir(parents=True)
        self.run("init")

    def backup(self, root: Path) -> None:
        """Copy a tree; restic finds the parent itself."""
        self.run("backup", "--quiet", root)

    def verify(self) -> None:
        """`check --read-data`."""
        self.run("check", "--read-data", "--quiet")

    def restore(self, target: Path) -> None:
        """The newest snapshot."""
        self.run("restore", "latest", "--quiet", "--target", target)

    def restore_one(self, path: Path, target: Path) -> None:
        """The folder as the root of what is restored spares restic the walk through the rest."""
        self.run("restore", f"latest:{path.parent}", "--quiet", "--target", target, "--include", f"/{path.name}")

    def reclaim(self, count: int) -> None:
        """`forget --prune`, with its default of what may stay unused."""
        snapshots = sorted(json.loads(self.run("snapshots", "--json")), key=lambda one: one["time"])
        self.run("forget", "--prune", "--quiet", *(one["id"] for one in snapshots[:count]))


@dataclass
class Borg(_Program):
    """borg with zstd level 1, the level of our pools' `fast`."""

    name: str = "borg"
    encrypted: bool = False
    count: int = 0

    def environment(self) -> dict[str, str]:
        """Of every call."""
        return {
            "BORG_REPO": str(self.repository),
            "BORG_PASSPHRASE": SECRET,
            "BORG_BASE_DIR": str(self.folder / "base"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES",
            "BORG_EXIT_CODES": "modern",
        }

    def prepare(self) -> None:
        """An empty repository."""
        self.folder.mkdir(parents=True)
        self.run("init", "--encryption", "repokey-blake2" if self.encrypted else "none")

    def backup(self, root: Path) -> None:
        """Copy a tree."""
        self.count += 1
        self.run("create", "--compression", "zstd,1", f"::copy{self.count:03}", root)

    def verify(self) -> None:
        """`check --verify-data`, which checks repository and archives, too."""
        self.run("check", "--verify-data")

    def restore(self, target: Path) -> None:
        """The newest archive."""
        self.run("extract", f"::copy{self.count:03}", folder=target)

    def restore_one(self, path: Path, target: Path) -> None:
        """One path of it."""
        self.run("extract", f"::copy{self.count:03}", str(path).lstrip("/"), folder=target)

    def reclaim(self, count: int) -> None:
        """`delete`, then `compact`."""
        archives = [one["name"] for one in json.loads(self.run("list", "--json"))["archives"]]
        self.run("delete", self.repository, *archives[:count])
        self.run("compact")
