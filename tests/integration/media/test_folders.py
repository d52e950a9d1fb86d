"""Which folders of a host become storages: only those that harm nothing, and nothing is made for the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from rubackup.agent.folders import Ground, check_folder
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.storage import bind
from rubackup.domain.errors import Conflict, Invalid

POOL, OTHER = "aa" * 16, "bb" * 16
ANYWHERE = Ground(memory=True)
"""The suites may run in a file system in memory."""


def check(folder: Path | str, *storages: Path, ground: Ground = ANYWHERE) -> None:
    """Ask for a storage of POOL."""
    check_folder(str(folder), POOL, [str(one) for one in storages], ground)


def marked(folder: Path, pool: str) -> Path:
    """A folder that a pool took."""
    folder.mkdir()
    bind(LocalBackend(folder), uuid.UUID(pool).bytes, {}, [])
    return folder


def mounted(place: Path, kind: str) -> Path:
    """A table of mounts, with one of this type at `place`."""
    table = place.parent / "mountinfo"
    escaped = str(place).replace(" ", "\\040")
    table.write_text(f"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n36 22 0:30 / {escaped} rw - {kind} none rw\n")
    return table


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    """Only the media server's user may enter it, and it stays empty."""
    check(tmp_path / "a/b/c")

    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "a/b/c").iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/", "/usr/local/pool", "/etc", "/etc/pool", "/bin/pool", "/sbin", "/lib64/pool", "/libx32", "/boot/pool",
        "/dev/shm/pool", "/proc/1/pool", "/sys/pool", "/run/pool", "/var", "/var/lib", "/home", "/tmp",
    ],
)  # fmt: skip
def test_folders_of_the_system_are_refused(path: str) -> None:
    """By the rule or, where the host has links instead, by these; nothing is made in them."""
    before = os.path.lexists(path)
    with pytest.raises(Invalid, match=r"system|symbolic links"):
        check(path)
    assert os.path.lexists(path) == before


@pytest.mark.parametrize("path", ["relative", "", "/a\0b", "/a\nb", "/a\x7fb", "/a\x1b[0m"])
def test_a_path_is_absolute_and_can_be_printed(path: str) -> None:
    """Control characters would make messages and logs lie."""
    with pytest.raises(Invalid, match="control characters"):
        check(path)


def test_a_symbolic_link_is_refused_with_its_target(tmp_path: Path) -> None:
    """At the end of the path or in it: two paths must not be one folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for path in (tmp_path / "link", tmp_path / "link" / "pool"):
        with pytest.raises(Invalid, match=str(tmp_path / "real")):
            check(path)
    assert list((tmp_path / "real").iterdir()) == []


def test_a_folder_of_another_pool_is_refused(tmp_path: Path) -> None:
    """Whoever serves that pool, and also after its row was deleted: the marker stays."""
    with pytest.raises(Conflict, match=OTHER):
        check(marked(tmp_path / "other", OTHER))
    for inner in ("packs", "deeper/pool"):
        with pytest.raises(Conflict, match="the folder of a pool"):
            check(tmp_path / "other" / inner)
    assert [one.name for one in (tmp_path / "other").iterdir()] == ["pool"]


def test_a_damaged_marker_is_refused(tmp_path: Path) -> None:
    """Whose it was is not known."""
    (tmp_path / "pool").write_text("rubackup pool 0 what")
    tmp_path.chmod(0o700)
    with pytest.raises(Conflict, match="damaged"):
        check(tmp_path)


def test_an_own_folder_can_come_back_with_its_data(tmp_path: Path) -> None:
    """Its marker says whose it is; a copy of a folder that is served does not."""
    own = marked(tmp_path / "own", POOL)
    (own / "packs").mkdir()
    check(own)
    check(own, own)  # its row was just deleted, and the media server does not know yet

    shutil.copytree(own, tmp_path / "copy")
    with pytest.raises(Conflict, match="is a copy"):
        check(tmp_path / "copy", own)


def test_a_folder_is_known_by_itself_and_not_by_its_name(tmp_path: Path) -> None:
    """A storage that was given by another name, and what lies in it and around it, is refused."""
    storage, link = tmp_path / "storage", tmp_path / "link"
    (storage / "inner").mkdir(parents=True)
    link.symlink_to(storage)
    for path in (storage, storage / "inner", storage / "inner" / "new"):
        with pytest.raises(Conflict, match=f"the storage {link}"):
            check(path, link)
    around = tmp_path / "around"
    around.mkdir()
    link.unlink()
    link.symlink_to(around / "inner")
    (around / "inner").mkdir()
    with pytest.raises(Conflict, match="holds the storage"):
        check(around, link)


def test_a_storage_whose_disk_is_gone_keeps_no_folder_away(tmp_path: Path) -> None:
    """Neither one that is missing nor one that cannot be followed."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    check(tmp_path / "new", tmp_path / "gone", tmp_path / "loop")


def test_a_bind_mount_of_a_storage_is_refused(tmp_path: Path) -> None:
    """It has neither a link nor the storage's name."""
    storage, place = marked(tmp_path / "storage", POOL), tmp_path / "place"
    place.mkdir()
    if subprocess.run(["mount", "--bind", storage, place], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        with pytest.raises(Conflict, match="is, or lies in, the storage"):
            check(place, storage)
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    """What lies there is nobody's guess; a new file system's lost+found is nothing."""
    folder = tmp_path / "folder"
    (folder / "lost+found").mkdir(parents=True)
    check(folder)

    (folder / "pool").write_text("the village's swimming pool")
    with pytest.raises(Invalid, match="not empty"):
        check(folder)
    with pytest.raises(Invalid, match="is not a folder"):
        check(folder / "pool")
    with pytest.raises(Invalid, match="is not a folder"):
        check(folder / "pool" / "deeper")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They could take the pool's files away, or put their own in their place."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(Invalid, match="chmod go-w"):
        check(tmp_path / "open")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """He could change its mode whenever he likes."""
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(Invalid, match="12345"):
        check(tmp_path / "theirs")


def test_the_media_servers_own_folders_are_refused(tmp_path: Path) -> None:
    """Its state and keys, what lies in them and around them; a folder beside them is free."""
    state, keys = tmp_path / "up" / "media", tmp_path / "up" / "keys" / "media"
    ground = Ground((state, keys), memory=True)
    for own in (state, keys, state / "pools", keys / "pool", tmp_path / "up", tmp_path / "up" / "keys"):
        with pytest.raises(Invalid, match="own state and keys"):
            check(own, ground=ground)
    assert not (tmp_path / "up").exists()
    check(tmp_path / "up" / "pools" / "Default", ground=ground)


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "proc", "sysfs", "devtmpfs"])
def test_a_file_system_that_does_not_keep_data_is_refused(tmp_path: Path, kind: str) -> None:
    """Also when it is mounted below others, and has a blank in its name; one beside it does not matter."""
    place = tmp_path / "two words"
    place.mkdir(mode=0o700)
    table = mounted(place, kind)
    for folder in (place, place / "a/b"):
        with pytest.raises(Invalid, match=kind):
            check(folder, ground=Ground(mountinfo=table))
    assert list(place.iterdir()) == []
    check(tmp_path / "two words more", ground=Ground(mountinfo=table))


def test_memory_is_a_storage_only_where_it_is_wished(tmp_path: Path) -> None:
    """MEMORY_STORAGES allows file systems in memory, and not those of the kernel."""
    place = tmp_path / "place"
    check(place, ground=Ground(memory=True, mountinfo=mounted(place, "tmpfs")))
    with pytest.raises(Invalid, match="proc"):
        check(place, ground=Ground(memory=True, mountinfo=mounted(place, "proc")))


def test_what_was_made_in_vain_goes_again(tmp_path: Path) -> None:
    """A name that is too long fails after the folders above it were made."""
    with pytest.raises(Invalid, match="too long"):
        check(tmp_path / "a" / "b" / ("x" * 300))
    assert list(tmp_path.iterdir()) == []
