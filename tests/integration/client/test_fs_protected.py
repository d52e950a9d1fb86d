"""Folders with the installation's own secrets: never copied, never restored into, under whatever name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.protected import Protected
from rubackup.client.mounttable import MountEntry
from rubackup.domain.errors import Invalid
from support.trees import Copies, landed

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of a user, and beside them a state with a secret."""
    folder = tmp_path / "tree"
    (folder / "state" / "secrets").mkdir(parents=True)
    (folder / "state" / "secrets" / "password").write_text("secret")
    (folder / "file").write_text("x")
    return folder


@pytest.fixture
def copies(tree: Path) -> Copies:
    """What copies with the state protected."""
    return Copies(module=FileSystemModule(protected=[tree / "state"]))


def test_a_copy_of_what_is_above_leaves_the_folder_out(tree: Path, copies: Copies, tmp_path: Path) -> None:
    """With a line in the task's log; all else is in it."""
    done = copies.backup(tree)
    copies.restore(tree, tmp_path / "target")

    assert (done.files, done.files_failed) == (1, 0)
    assert [path.name for path in landed(tmp_path / "target", tree).iterdir()] == ["file"]
    [line] = copies.watch.texts("warning")
    assert line.startswith(f"{tree / 'state'}: is not copied")


@pytest.mark.parametrize("inside", ["state", "state/secrets", "state/secrets/password", "link", "link/password"])
def test_what_lies_inside_is_not_copied(tree: Path, copies: Copies, inside: str) -> None:
    """Neither by its own path nor by that of a link on the way; a link alone is copied as the link it is."""
    (tree / "link").symlink_to("state/secrets")
    if inside == "link":
        assert copies.backup(tree / inside).files == 1
        return
    with pytest.raises(Invalid, match="holds secrets of this host's own RuBackup installation"):
        copies.backup(tree / inside)


def test_the_protected_folder_may_be_named_through_a_link(tree: Path, tmp_path: Path) -> None:
    """What counts is where it leads."""
    (tmp_path / "other name").symlink_to(tree / "state")

    with pytest.raises(Invalid):
        Copies(module=FileSystemModule(protected=[tmp_path / "other name"])).backup(tree / "state" / "secrets")


@pytest.mark.parametrize("inside", ["state", "state/etc/new", "link/new"])
def test_nothing_is_restored_into_it(tree: Path, copies: Copies, inside: str) -> None:
    """The task is refused before anything is made there."""
    (tree / "link").symlink_to("state")
    copies.backup(tree / "file")

    with pytest.raises(Invalid, match="nothing is restored into it"):
        copies.restore(tree / "file", tree / inside)
    assert [path.name for path in (tree / "state").iterdir()] == ["secrets"]


def test_a_copy_that_was_made_elsewhere_does_not_get_in(tree: Path, copies: Copies) -> None:
    """In place, the protected folder and all below it fail one by one; what is beside is restored."""
    open_copies = Copies(pool=copies.pool)
    open_copies.backup(tree)
    (tree / "state" / "secrets" / "password").write_text("newer")
    (tree / "file").unlink()

    done = copies.restore(tree, in_place=True, overwrite="always")

    assert (tree / "state" / "secrets" / "password").read_text() == "newer"
    assert (tree / "file").read_text() == "x"
    assert done.files_failed > 0
    assert any("nothing is restored into it" in line for line in copies.watch.texts("error"))


def test_bind_mounts_of_a_part_are_known_from_the_mount_table(tree: Path, tmp_path: Path) -> None:
    """A mount of the same file system whose root lies in the protected folder is protected, one beside it is not."""
    shown, other = tmp_path / "shown", tmp_path / "other"
    shown.mkdir()
    other.mkdir()
    state = os.fsencode(tree / "state")
    table = [
        MountEntry("8:1", b"/top", b"/", "ext4", "x"),
        MountEntry("8:1", b"/top" + state + b"/secrets", os.fsencode(shown), "ext4", "x"),
        MountEntry("8:1", b"/top" + state + b"-other", os.fsencode(other), "ext4", "x"),
    ]

    protected = Protected([tree / "state"], table)

    assert protected.holds(shown.stat())
    assert not protected.holds(other.stat())


@pytest.fixture
def bound(tree: Path, tmp_path: Path) -> Iterator[Path]:
    """A bind mount of the secrets, skipped where the host lets nobody mount."""
    point = tmp_path / "bound"
    point.mkdir()
    if subprocess.run(["mount", "--bind", tree / "state/secrets", point], check=False, capture_output=True).returncode:
        pytest.skip("the host does not let us mount")
    yield point
    subprocess.run(["umount", point], check=True)


@NEEDS_ROOT
def test_a_bind_mount_does_not_get_round(bound: Path, copies: Copies, tree: Path, tmp_path: Path) -> None:
    """Neither to read nor to write."""
    with pytest.raises(Invalid):
        copies.backup(bound / "password")
    with pytest.raises(Invalid):
        copies.backup(bound)
    copies.backup(tree / "file")
    with pytest.raises(Invalid):
        copies.restore(tree / "file", bound / "new")
    assert [path.name for path in bound.iterdir()] == ["password"]
