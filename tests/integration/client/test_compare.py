"""The comparison of two trees finds every kind of difference: what passes it was restored."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from support.trees import make_rich_tree

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and gives files away")


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees, the second made by cp."""
    left, right = tmp_path / "left", tmp_path / "right"
    make_rich_tree(left)
    subprocess.run(["cp", "-a", "--preserve=all", left, right], check=True)
    return left, right


def test_equal_trees(trees: tuple[Path, Path]) -> None:
    """Two trees that are the same have no difference, and everything was looked at."""
    found = compare_trees(*trees)

    assert found.equal
    assert found.differences == []
    assert (found.folders, found.links, found.others) == (4, 4, 4 if os.geteuid() == 0 else 2)
    assert found.xattrs >= 5


def edit(path: Path) -> None:
    """Change one byte and keep all else."""
    st = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    os.utime(path, ns=(0, st.st_mtime_ns))


def relink(path: Path) -> None:
    """Let a link point elsewhere and keep all else."""
    st = path.lstat()
    path.unlink()
    path.symlink_to("large")
    os.chown(path, st.st_uid, st.st_gid, follow_symlinks=False)
    os.utime(path, ns=(0, st.st_mtime_ns), follow_symlinks=False)


def unlink_name(path: Path) -> None:
    """Make a further name of a file a file of its own."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("large", edit, "contents differ from byte 5000002"),
        ("empty", lambda path: path.write_text("x"), "contents differ from byte 0"),
        ("link", relink, "points elsewhere"),
        ("small", lambda path: path.chmod(0o600), "mode"),
        pytest.param("small", lambda path: os.chown(path, 1, 1), "owner", marks=NEEDS_ROOT),
        ("a", lambda path: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)), "mtime_ns"),
        ("link", lambda path: os.utime(path, ns=(0, 2), follow_symlinks=False), "mtime_ns"),
        ("small", lambda path: os.setxattr(path, "user.note", b"other"), "extended attribute user.note"),
        ("a.txt", lambda path: os.removexattr(path, "system.posix_acl_access"), "system.posix_acl_access"),
        ("zz third name", unlink_name, "is the same as /small on the left, alone on the right"),
        ("empty", lambda path: path.unlink(), "is missing on the right"),
        ("empty 2", lambda path: path.touch(), "is missing on the left"),
        ("fifo", lambda path: (path.unlink(), path.touch()), "is a fifo on the left, a file on the right"),
        pytest.param(
            "char",
            lambda path: (path.unlink(), os.mknod(path, stat.S_IFCHR | 0o620, os.makedev(1, 5))),
            "is another device",
            marks=NEEDS_ROOT,
        ),
    ],
)
def test_each_difference(trees: tuple[Path, Path], name: str, change: Callable[[Path], object], told: str) -> None:
    """Each kind of difference is found and named with its path."""
    change(trees[1] / name)
    found = compare_trees(*trees)

    assert not found.equal
    assert any(line.startswith(f"/{name}: ") and told in line for line in found.differences), found.differences


def test_nothing_to_compare(tmp_path: Path) -> None:
    """A tree that is not there is an error, not an equal tree."""
    with pytest.raises(FileNotFoundError):
        compare_trees(tmp_path / "no", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of other owners")
def test_what_an_ordinary_user_restored_may_be_its_own(tmp_path: Path) -> None:
    """Owners that it may not set, and their set-id bits, are the one thing that is excused; it is counted."""
    left, right = tmp_path / "left", tmp_path / "right"
    for folder in (left, right):
        folder.mkdir()
        (folder / "tool").write_text("x")
        os.utime(folder / "tool", ns=(1, 1))
        os.utime(folder, ns=(1, 1))
    os.chown(left / "tool", 1234, 1234)
    (left / "tool").chmod(0o6755)
    (right / "tool").chmod(0o755)

    assert compare_trees(left, right).difference_count == 2
    found = compare_trees(left, right, ordinary_user=True)
    assert (found.equal, found.taken_over) == (True, 1)
    os.chown(right / "tool", 4321, 4321)
    assert not compare_trees(left, right, ordinary_user=True).equal
