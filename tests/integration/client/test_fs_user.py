"""Backups and restores by somebody who is not root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.trees import Copies, landed

pytestmark = pytest.mark.root
NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Do without root's rights for a while; the kernel drops the capabilities with the effective id."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that nobody may enter and write: pytest's own are closed to other users."""
    if os.geteuid():
        pytest.skip("needs root, to become somebody else")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def source(place: Path) -> Path:
    """Files of root and of nobody, some closed."""
    root = place / "source"
    (root / "closed").mkdir(parents=True)
    (root / "closed" / "inside").write_text("secret")
    (root / "closed").chmod(0o700)
    (root / "secret").write_text("secret")
    (root / "secret").chmod(0o600)
    (root / "open").write_text("open")
    (root / "open").chmod(0o4755)
    (root / "own").write_text("own")
    os.chown(root / "own", NOBODY, NOBODY)
    return root


def test_what_may_not_be_read(source: Path) -> None:
    """Files and folders that may not be read are failures, each with its path and reason; the rest is copied."""
    copies = Copies()
    with as_nobody():
        made = copies.backup(source)

    assert (made.files, made.files_failed) == (2, 2)
    assert copies.watch.texts("error") == [
        f"{source}/secret: cannot be read: permission denied",
        f"{source}/closed: cannot be read: permission denied",
    ]


def test_owners_of_others(source: Path, place: Path) -> None:
    """Owners of other users are one warning, not failures; a file that is not its owner's loses setuid."""
    copies = Copies()
    copies.backup(source)
    with as_nobody():
        done = copies.restore(source, place / "target")

    restored = landed(place / "target", source)
    assert done.files_failed == 0
    assert copies.watch.texts("warning") == ["Owners of other users are not restored: only root may set them."]
    assert (restored / "open").stat().st_mode & 0o7777 == 0o755
    assert (restored / "own").stat().st_uid == NOBODY


def test_folder_without_write_permission(source: Path, place: Path) -> None:
    """Files land in a folder that its owner may not write to, and it has its mode afterwards, at each restore."""
    (source / "closed").chmod(0o555)
    (source / "closed" / "inside").chmod(0o444)
    copies = Copies()
    copies.backup(source)
    with as_nobody():
        first = copies.restore(source, place / "target", paths=[f"{source}/closed"])
        again = copies.restore(source, place / "target", paths=[f"{source}/closed"], overwrite="always")

    restored = landed(place / "target", source) / "closed"
    assert (first.files_failed, again.files_failed) == (0, 0)
    assert (restored.stat().st_mode & 0o777, (restored / "inside").read_text()) == (0o555, "secret")


def test_device_needs_root(source: Path, place: Path) -> None:
    """A device that only root can make is a failure with its path."""
    os.mknod(source / "null", 0o020666, os.makedev(1, 3))
    copies = Copies()
    copies.backup(source)
    with as_nobody():
        done = copies.restore(source, place / "target")

    assert done.files_failed == 1
    assert copies.watch.texts("error") == [f"{source}/null: cannot be restored: operation not permitted"]


def test_read_only_file_keeps_its_attributes(source: Path, place: Path) -> None:
    """Attributes are set before a mode that forbids to write them."""
    os.setxattr(source / "own", "user.note", b"x")
    os.setxattr(source / "own", "trusted.note", b"x")
    (source / "own").chmod(0o400)
    copies = Copies()
    copies.backup(source)
    with as_nobody():
        done = copies.restore(source, place / "target", paths=[f"{source}/own"])

    assert done.files_failed == 0
    assert os.getxattr(landed(place / "target", source) / "own", "user.note") == b"x"
    assert any("of trusted are not restored" in text for text in copies.watch.texts("warning"))


def test_destination_that_may_not_be_written(source: Path, place: Path) -> None:
    """A destination that may not be written makes every file fail; nothing is said to be restored."""
    (place / "target").mkdir(mode=0o755)
    copies = Copies()
    copies.backup(source)
    with as_nobody():
        done = copies.restore(source, place / "target")

    assert done.files == 0
    assert done.files_failed > 0
