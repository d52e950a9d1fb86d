"""What every backend must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.chunkstore.backends import statfs
from rubackup.chunkstore.backends.base import Backend, Item
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.statfs import COPY_ON_WRITE, file_system_type
from rubackup.domain.errors import Conflict, Corrupt, NotFound, StorageFault

NAME = "packs/ab/one.pack"


def test_a_put_file_is_read(backend: Backend) -> None:
    """Any range of a file comes back."""
    backend.put(NAME, b"0123456789")

    assert backend.read(NAME, 0, 10) == b"0123456789"
    assert backend.read(NAME, 3, 4) == b"3456"
    assert backend.read(NAME, 10, 0) == b""
    assert backend.size(NAME) == 10


def test_a_name_is_created_once(backend: Backend) -> None:
    """Nothing is ever overwritten."""
    backend.put(NAME, b"first")
    backend.append("packs/ab/two.open").close()
    with pytest.raises(Conflict):
        backend.put(NAME, b"second")
    with pytest.raises(Conflict):
        backend.append(NAME)
    with pytest.raises(Conflict):
        backend.publish("packs/ab/two.open", NAME)

    assert backend.read(NAME, 0, 5) == b"first"


def test_a_file_grows_and_is_cut(backend: Backend) -> None:
    """Appended parts follow one another, behind the place where the file was cut."""
    file = backend.append(NAME)
    file.write(b"hello ")
    file.write(memoryview(b"cruel world"))
    file.truncate(6)
    file.write(b"world")
    file.sync()
    file.close()

    assert file.size_bytes == 11
    assert backend.read(NAME, 0, 11) == b"hello world"
    assert backend.size(NAME) == 11


def test_a_file_is_opened_again_at_a_place(backend: Backend) -> None:
    """Recovery cuts a torn tail and goes on."""
    backend.put(NAME, b"whole, torn")
    file = backend.append(NAME, 5)
    file.write(b"!")
    file.sync()
    file.close()

    assert backend.read(NAME, 0, 6) == b"whole!"
    assert backend.size(NAME) == 6


def test_a_growing_manifest_can_be_read(backend: Backend) -> None:
    """What was written is seen before the file is closed."""
    file = backend.append("manifests/one.open")
    file.write(b"data")

    assert backend.read("manifests/one.open", 1, 2) == b"at"
    file.close()


def test_a_growing_pack_can_be_read_when_it_was_synced(backend: Backend) -> None:
    """And after what followed was synced."""
    file = backend.append("packs/ab/one.open")
    for number in range(3):
        file.write(bytes([number]) * 700_001)
        file.sync()
        assert backend.read("packs/ab/one.open", 700_001 * number, 700_001) == bytes([number]) * 700_001
    file.close()
    assert backend.size("packs/ab/one.open") == 3 * 700_001


def test_publishing_gives_the_final_name(backend: Backend) -> None:
    """The old name is gone."""
    file = backend.append("packs/ab/one.open")
    file.write(b"x")
    file.sync()
    file.close()
    backend.publish("packs/ab/one.open", NAME)

    assert list(backend.list("packs")) == [Item(NAME, 1)]


def test_an_erased_file_is_gone(backend: Backend) -> None:
    """Erasing removes, also what is gone already."""
    backend.put(NAME, b"secret")
    backend.erase(NAME)
    backend.erase(NAME)

    assert list(backend.list("packs")) == []


def test_erasing_overwrites_the_same_bytes(tmp_path: Path) -> None:
    """Another name of the file shows what lies where its bytes were: nothing but zeroes."""
    backend = LocalBackend(tmp_path)
    size = (1 << 20) + 3
    backend.put(NAME, b"x" * size)
    (tmp_path / "witness").hardlink_to(tmp_path / NAME)
    backend.erase(NAME)

    assert (tmp_path / "witness").read_bytes() == bytes(size)


def test_a_file_system_that_copies_on_write_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The type is that of the folder's file system, as the kernel numbers it."""
    tmpfs = 0x01021994
    shared = Path("/dev/shm")
    assert LocalBackend(tmp_path).capabilities.overwrite == (file_system_type(tmp_path) not in COPY_ON_WRITE)
    assert file_system_type(shared) == tmpfs
    assert LocalBackend(shared).capabilities.overwrite
    monkeypatch.setattr(statfs, "COPY_ON_WRITE", frozenset({tmpfs}))

    assert not LocalBackend(shared).capabilities.overwrite


def test_replacing_leaves_one_file(backend: Backend) -> None:
    """The new content under the old name; without either file nothing happens."""
    backend.put(NAME, b"old")
    backend.put("packs/ab/one.open", b"new")
    backend.replace("packs/ab/one.open", NAME)
    for name, final in (("packs/ab/one.open", NAME), (NAME, "packs/ab/none.pack")):
        with pytest.raises(NotFound):
            backend.replace(name, final)

    assert backend.read(NAME, 0, 3) == b"new"
    assert list(backend.list("packs")) == [Item(NAME, 3)]


def test_what_is_missing_is_not_found(backend: Backend) -> None:
    """A missing file is NotFound; deleting it is no error, nor is an empty folder."""
    backend.delete(NAME)
    for act in (
        lambda: backend.read(NAME, 0, 1),
        lambda: backend.size(NAME),
        lambda: backend.append(NAME, 0),
        lambda: backend.publish(NAME, "packs/ab/b.pack"),
    ):
        with pytest.raises(NotFound):
            act()

    assert list(backend.list("packs")) == []


def test_a_read_past_the_end_is_damage(backend: Backend) -> None:
    """A file that is too short was cut."""
    backend.put(NAME, b"short")

    with pytest.raises(Corrupt):
        backend.read(NAME, 3, 3)


def test_a_file_that_goes_while_files_are_listed_is_no_error(backend: Backend) -> None:
    """A copy may be dropped while a collection looks at the manifests."""
    names = [f"manifests/{number}.manifest" for number in range(5)]
    for name in names:
        backend.put(name, b"x")
    listed = backend.list("manifests")
    first = next(listed)
    for name in names:
        if name != first.name:
            backend.delete(name)

    assert first.name in names
    assert {item.name for item in listed} <= set(names)


def test_files_are_listed_by_folder(backend: Backend) -> None:
    """Only what lies below the folder, with sizes."""
    for name in ("packs/aa/1.pack", "packs/bb/2.pack", "manifests/3.manifest"):
        backend.put(name, name.encode())
    backend.delete("packs/bb/2.pack")

    assert sorted(backend.list("packs")) == [Item("packs/aa/1.pack", 15)]
    assert sorted(backend.list("manifests")) == [Item("manifests/3.manifest", 20)]


def test_room_is_told(backend: Backend) -> None:
    """Free is at most total, and both are positive."""
    space = backend.space()

    assert 0 < space.free_bytes <= space.total_bytes
    assert space.device


def test_an_unfinished_put_is_swept(tmp_path: Path) -> None:
    """What a crash left of a put is not listed, and is removed by a sweep."""
    backend = LocalBackend(tmp_path)
    backend.put(NAME, b"x")
    (tmp_path / "packs/ab/two.pack.tmp").write_bytes(b"torn")

    assert list(backend.list("packs")) == [Item(NAME, 1)]
    (tmp_path / "not ours.tmp").write_bytes(b"x")
    backend.sweep("packs")
    assert [path.name for path in tmp_path.rglob("*.tmp")] == ["not ours.tmp"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link in place of a pack reads nothing from elsewhere."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "pack").symlink_to(tmp_path / "secret")

    with pytest.raises(StorageFault):
        LocalBackend(tmp_path).read("pack", 0, 6)
