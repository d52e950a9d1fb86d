"""The model of `scripts/chaos` notices what differs."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from random import Random

import pytest

from chaos.folders import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A small folder, some versions old."""
    made = Folder(tmp_path / "source", Random(1), 10, 1000)
    for _ in range(5):
        made.change()
    return made


def test_a_copy_is_as_the_folder_was(folder: Folder, tmp_path: Path) -> None:
    """An old copy fits the time when it was made, and no later one."""
    begun = time.time()
    shutil.copytree(folder.path, tmp_path / "copy", symlinks=True)
    ended = time.time()
    folder.change()
    later = time.time()

    assert folder.differences(tmp_path / "copy", begun, ended) == []
    assert folder.differences(tmp_path / "copy", begun, later) == []
    assert folder.differences(tmp_path / "copy", later, later) != []
    assert folder.differences(folder.path, later, later) == []


@pytest.mark.parametrize("how", ["gone", "other", "mode", "time", "more", "folder"])
def test_every_difference_is_noticed(folder: Folder, how: str) -> None:
    """A file that is missing, has another content, mode or time, one too many, a folder that is missing."""
    now = time.time()
    file = next(one for one in sorted(folder.path.rglob("file*")) if one.is_file() and not one.is_symlink())
    stat = file.stat()
    if how == "gone":
        file.unlink()
    elif how == "other":
        with file.open("r+b") as open_file:
            open_file.write(bytes([file.read_bytes()[0] ^ 1]))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif how == "mode":
        file.chmod(0o444)
    elif how == "time":
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    elif how == "more":
        (folder.path / "never").touch()
    else:
        shutil.rmtree(folder.path / "b" / "c")

    assert len(folder.differences(folder.path, now, now)) >= 1
