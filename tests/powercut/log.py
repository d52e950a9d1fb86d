"""Builds the recorder, runs a command under it, and reads what it logged (recorder.c)."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

SOURCE: Final = Path(__file__).with_name("recorder.c")
_HEAD: Final = struct.Struct("<IHHQQQIII")
DURABLE, CREATED, FOLDER, EXCHANGE = 1, 2, 4, 8
"""Flags of an event: written through a file opened with O_DSYNC; the file is new; it is a folder; RENAME_EXCHANGE."""


class Kind(IntEnum):
    """What happened."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    LINK = 6
    SYMLINK = 7
    UNLINK = 8
    MKDIR = 9
    MARK = 10
    BLIND = 11
    SYNC_ALL = 12


class Event(NamedTuple):
    """One call; `path` is relative to the watched folder, for a MARK its text."""

    kind: Kind
    flags: int
    inode: int
    offset: int
    length: int
    pid: int
    path: str
    target: str
    data: bytes

    def __str__(self) -> str:
        size = f" {self.offset}+{len(self.data)}" if self.kind is Kind.WRITE else ""
        flags = "".join(name for bit, name in ((1, " dsync"), (2, " new"), (4, " folder")) if self.flags & bit)
        return f"{self.kind.name} {self.path}{f' -> {self.target}' if self.target else ''}{size}{flags}"


class NoCompiler(Exception):
    """There is no C compiler, so nothing can be recorded."""


def build(folder: Path) -> Path:
    """The recorder as a library in this folder; NoCompiler when there is no `cc`."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompiler("The recorder is compiled from C when it is needed, and there is no `cc` (Debian: gcc).")
    library = folder / "recorder.so"
    flags = ["-std=gnu11", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run([compiler, *flags], check=True)
    return library


def record(
    command: Sequence[str], *, library: Path, watch: Path, log: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a command under the recorder; it and all that it starts append to `log`."""
    extra = {"LD_PRELOAD": str(library), "POWERCUT_WATCH": str(watch), "POWERCUT_LOG": str(log)}
    subprocess.run(command, check=True, env={**os.environ, **(environment or {}), **extra})


def read(log: Path, watch: Path) -> list[Event]:
    """Every event in order; ValueError when the log is not whole."""
    content = memoryview(log.read_bytes())
    root = os.path.realpath(watch)
    events: list[Event] = []
    at = 0
    while at < len(content):
        total, kind, flags, inode, offset, length, pid, path_bytes, target_bytes = _HEAD.unpack_from(content, at)
        begin = at + _HEAD.size
        middle, end = begin + path_bytes, begin + path_bytes + target_bytes
        if at + total > len(content) or end > at + total:
            raise ValueError(f"the log is damaged at byte {at}")
        path, target = os.fsdecode(bytes(content[begin:middle])), os.fsdecode(bytes(content[middle:end]))
        event = Event(Kind(kind), flags, inode, offset, length, pid, path, target, bytes(content[end : at + total]))
        if event.kind is not Kind.MARK and path:
            event = event._replace(path=_relative(path, root))
        if event.kind in {Kind.RENAME, Kind.LINK}:
            event = event._replace(target=_relative(target, root))
        events.append(event)
        at += total
    return events


def _relative(path: str, root: str) -> str:
    relative = os.path.relpath(os.path.normpath(path), root)
    return "" if relative == "." else relative
