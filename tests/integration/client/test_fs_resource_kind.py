"""A resource is a folder, a regular file or a link to one; a device, a pipe and a socket are refused with a sentence."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rubackup.domain.errors import Invalid
from support.trees import Copies, assert_same, landed


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _device(path: Path) -> None:
    path.symlink_to("/dev/null")


def _nowhere(path: Path) -> None:
    path.symlink_to("nothing")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_fifo, "is a named pipe; a resource is a folder, a regular file, or a link to one"),
        (_socket, "is a socket;"),
        (_device, "is a link to a character device;"),
        (_nowhere, "is a link that leads nowhere: no such file"),
        (_circle, "is a link that leads nowhere: too many levels"),
    ],
)
def test_what_has_no_contents_is_refused(tmp_path: Path, make, told: str) -> None:
    """By what it is, and nothing is sealed."""
    make(tmp_path / "it")
    copies = Copies()
    with pytest.raises(Invalid, match=told):
        copies.backup(tmp_path / "it")


def test_a_device_is_refused_by_its_name() -> None:
    """The stranger's slip."""
    with pytest.raises(Invalid, match=r"/dev/null is a character device; .* the folder at which it is mounted"):
        Copies().backup(Path("/dev/null"))


@pytest.mark.parametrize("to", ["folder", "file"])
def test_a_link_to_a_folder_or_a_file_is_copied_as_a_link(tmp_path: Path, to: str) -> None:
    """As before: the link, not what it leads to."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    link = tmp_path / "link"
    link.symlink_to(to)
    copies = Copies()
    copies.backup(link)
    copies.restore(link, tmp_path / "target")
    back = landed(tmp_path / "target", link)
    assert back.is_symlink()
    assert back.readlink() == Path(to)


def test_below_a_folder_they_are_copied(tmp_path: Path) -> None:
    """A tree is copied whole, with its pipes."""
    source = tmp_path / "source"
    source.mkdir()
    _fifo(source / "pipe")
    copies = Copies()
    copies.backup(source)
    copies.restore(source, tmp_path / "target")
    assert_same(source, landed(tmp_path / "target", source))
