"""An incremental backup reads what changed, takes the rest over, and restores like a full one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rubackup.client.modules.filesystem.copier import NOT_WHOLE
from rubackup.client.modules.filesystem.parent import Parent
from support.trees import Copies, assert_same, landed, make_rich_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    root = tmp_path / "source"
    make_rich_tree(root)
    return root


@pytest.fixture
def copies(source: Path) -> Copies:
    """A full copy of the tree, made so late that nothing in it is too fresh to be trusted."""
    copies = Copies()
    copies.backup_later(source, "full")
    return copies


def check(copies: Copies, source: Path, tmp_path: Path) -> int:
    """Back up on top of the full copy, compare what it restores, and give how many chunks were asked for."""
    target = tmp_path / "target"
    copies.backup_later(source, "next", "full", seconds=120)
    copies.restore(source, target, "next")

    assert_same(source, landed(target, source))
    assert copies.channel is not None
    return copies.channel.queried


def test_unchanged_tree_is_taken_over(copies: Copies, source: Path, tmp_path: Path) -> None:
    """An unchanged tree is neither read nor asked for."""
    assert check(copies, source, tmp_path) == 0


def test_sums_equal_those_of_a_full_copy(copies: Copies, source: Path) -> None:
    """Files and bytes of an incremental copy are those of the whole resource."""
    full = copies.backup(source, "again")
    incremental = copies.backup_later(source, "next", "full", seconds=120)

    assert (incremental.files, incremental.size_bytes) == (full.files, full.size_bytes)
    assert incremental.stored_bytes == 0


def test_same_size_and_mtime(copies: Copies, source: Path, tmp_path: Path) -> None:
    """An edit that keeps size and mtime is found by its ctime."""
    file = source / "small"
    before = file.stat()
    file.write_bytes(b"SMALL")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert check(copies, source, tmp_path) == 1


def test_replaced_inode(copies: Copies, source: Path, tmp_path: Path) -> None:
    """Another file under the same name is read, whatever its times."""
    file = source / "a" / "c"
    before = file.stat()
    other = source / "other"
    other.write_text("C")
    other.replace(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert check(copies, source, tmp_path) == 1


def test_added_removed_renamed(copies: Copies, source: Path, tmp_path: Path) -> None:
    """New names appear, removed ones are gone, and a renamed folder's files are stored already."""
    (source / "0 first").write_text("new")
    (source / "zzz last").write_text("new too")
    (source / "empty").unlink()
    (source / "a").rename(source / "b")
    (source / "a.d").mkdir()

    # The two new files, and what b holds: its path is new, so it is read, but nothing of it is sent.
    assert check(copies, source, tmp_path) == 3


def test_type_changes(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A name that was a file and is a folder, or the other way round, is what it is now."""
    (source / "small").unlink()
    (source / "small").mkdir()
    (source / "small" / "below").write_text("x")
    (source / "empty folder").rmdir()
    (source / "empty folder").write_text("a file now")

    assert check(copies, source, tmp_path) >= 2


def test_metadata_only(copies: Copies, source: Path, tmp_path: Path) -> None:
    """Changed modes, attributes and ACLs are in the next copy, and no contents are sent for them."""
    (source / "small").chmod(0o640)
    os.setxattr(source / "large", "user.new", b"1")
    os.removexattr(source / "a.txt", "system.posix_acl_access")
    check(copies, source, tmp_path)

    assert copies.channel is not None
    assert copies.channel.stored == 0


def test_fresh_files_are_read_again(source: Path) -> None:
    """What was written within two seconds of the parent's start is not trusted."""
    copies = Copies()
    copies.backup_later(source, "full", seconds=1)
    copies.backup_later(source, "next", "full", seconds=60)

    assert copies.channel is not None
    assert copies.channel.queried > 0


def test_renumbered_device(copies: Copies, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has another device number after a reboot is still the same."""
    real = os.stat

    def renumbered(*args: object, **options: object) -> os.stat_result:
        st = real(*args, **options)  # type: ignore[call-overload]
        names = [name for name in dir(st) if name.startswith("st_")]
        fields = {name: getattr(st, name) for name in names}
        return os.stat_result([st[i] + 7 * (i == stat.ST_DEV) for i in range(10)], fields)

    monkeypatch.setattr("rubackup.client.modules.filesystem.listing.os.stat", renumbered)
    copies.backup_later(source, "next", "full", seconds=120)

    assert copies.channel is not None
    assert copies.channel.queried == 0


def test_damaged_parent_is_left(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A parent's manifest that is damaged in its middle costs speed, not the backup; the log says so."""
    data = bytearray(copies.pool.manifests["full"])
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    copies.pool.manifests["full"] = bytes(data)

    assert check(copies, source, tmp_path) > 0
    assert any("Everything is read" in text for text in copies.watch.texts("warning"))


def test_parent_whose_contents_are_not_whole(
    copies: Copies, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose rows in the parent do not give its size is read again, and the log says so."""
    monkeypatch.setattr(Parent, "rows", lambda _self, entry: iter(()))

    assert check(copies, source, tmp_path) > 0
    assert f"{source}/small: {NOT_WHOLE}" in copies.watch.texts("warning")


def test_without_parent_everything_is_read(source: Path, tmp_path: Path) -> None:
    """An incremental whose parent is gone is a whole copy, and the log says so."""
    copies = Copies()

    assert check(copies, source, tmp_path) > 0
    assert any("everything is read" in text for text in copies.watch.texts("info"))


def test_full_ignores_the_parent(copies: Copies, source: Path) -> None:
    """A full backup reads everything even where a parent is named, and sends nothing that is stored."""
    copies.backup(source, "next", "")

    assert copies.channel is not None
    assert copies.channel.queried > 0
    assert copies.channel.stored == 0


def test_chain_of_incrementals(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A copy built on a copy built on a copy restores whole."""
    (source / "one").write_text("1")
    copies.backup_later(source, "second", "full", seconds=100)
    (source / "two").write_text("2")
    (source / "one").unlink()
    copies.backup_later(source, "third", "second", seconds=200)
    copies.restore(source, tmp_path / "target", "third")

    assert_same(source, landed(tmp_path / "target", source))


def test_hard_link_whose_first_name_went(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A further name of a file keeps its contents when the name that the parent held them under is gone."""
    (source / "a" / "second name").unlink()  # the first in the order of the walk is `small`
    (source / "small").unlink()

    check(copies, source, tmp_path)
    assert (landed(tmp_path / "target", source) / "zz third name").read_bytes() == b"small"
