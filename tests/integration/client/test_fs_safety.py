"""A restore writes nothing outside its destination, whatever the manifest or the disk says."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestWriter, Summary
from rubackup.client.modules.filesystem import fill
from rubackup.client.modules.filesystem import target as target_module
from rubackup.client.modules.filesystem.anchor import open_anchor
from rubackup.client.modules.filesystem.batch import Chunks, Slice
from rubackup.domain.errors import Invalid
from support.trees import Copies, landed

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and gives files away")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where copies are restored."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the destination that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "precious").write_text("precious")
    return folder


def assert_untouched(outside: Path) -> None:
    """Nothing was added, changed or removed."""
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "precious"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def entry(name: bytes, kind: EntryType, **more: object) -> Entry:
    """An entry of root's."""
    fields = {"mode": 0o644, "uid": 0, "gid": 0, "user": "", "group": "", "size": 0, "mtime_ns": 5, "ctime_ns": 5}
    return Entry(name=name, type=kind, **{**fields, "inode": 1, "device": 1, "links": 1, **more})


def forge(copies: Copies, monkeypatch: pytest.MonkeyPatch, folders: Sequence[tuple[bytes, list[Entry]]]) -> None:
    """Put a manifest into the pool that no honest client writes."""
    monkeypatch.setattr(ManifestWriter, "_check", lambda *_: None)
    monkeypatch.setattr(ManifestWriter, "_own_rows", lambda *_: None)
    data = bytearray()
    writer = ManifestWriter(data.extend, Header("bad", "", "hwid", "File system", "/r", "full", 1, (1, 2, 3, 0)))
    for path, entries in folders:
        writer.add_folder(path, entries)
    writer.finish(Summary())
    copies.pool.manifests["bad"] = bytes(data)


@pytest.mark.parametrize("name", [b"..", b".", b"../escaped", b"a/b", b"/escaped", b"x" * 300])
@pytest.mark.parametrize("kind", [EntryType.FILE, EntryType.FOLDER, EntryType.SYMLINK, EntryType.FIFO])
def test_names_that_are_paths(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, name: bytes, kind: EntryType
) -> None:
    """A name with a slash or that means another folder is refused and listed."""
    copies = Copies()
    forge(copies, monkeypatch, [(b"/", [entry(b"r", EntryType.FOLDER, mode=0o755)]), (b"/r", [entry(name, kind)])])
    before = set(tmp_path.rglob("*"))
    done = copies.restore("/r", target, "bad")

    assert done.files_failed == 1
    assert set(tmp_path.rglob("*")) - before == {target / "r"}


@pytest.mark.parametrize("path", [b"/r/..", b"/r/../../escaped", b"//r", b"r", b"/r//x", b"/r/x"])
def test_folders_that_nobody_named(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, path: bytes) -> None:
    """A folder of the manifest that does not follow from the folder above it is refused with all it holds."""
    copies = Copies()
    forge(
        copies,
        monkeypatch,
        [
            (b"/", [entry(b"r", EntryType.FOLDER, mode=0o755)]),
            (b"/r", [entry(b"f", EntryType.FILE)]),
            (path, [entry(b"evil", EntryType.FILE)]),
        ],
    )
    before = set(tmp_path.rglob("*"))
    copies.restore("/r", target, "bad")

    assert set(tmp_path.rglob("*")) - before == {target / "r", target / "r" / "f"}


def test_manifest_that_goes_through_its_own_link(target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link of the manifest that is also named as a folder is not followed."""
    copies = Copies()
    link = entry(b"r", EntryType.SYMLINK, target=os.fsencode(outside))
    forge(copies, monkeypatch, [(b"/", [link]), (b"/r", [entry(b"evil", EntryType.FILE)])])
    copies.restore("/r", target, "bad")

    assert_untouched(outside)


def test_in_place_stays_below_the_resource(tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place, a manifest that holds more than its resource changes nothing beside it."""
    copies = Copies()
    resource = tmp_path / "resource"
    folders = []
    for path in [*reversed(resource.parents)]:
        below = next(part for part in (resource, *resource.parents) if part.parent == path)
        folders.append((os.fsencode(path), [entry(os.fsencode(below.name), EntryType.FOLDER, mode=0o700)]))
    folders[-1][1].insert(0, entry(b"outside", EntryType.FOLDER, mode=0o777))
    folders.append((os.fsencode(outside), [entry(b"evil", EntryType.FILE)]))
    folders.append((os.fsencode(resource), [entry(b"good", EntryType.FILE)]))
    forge(copies, monkeypatch, folders)
    copies.restore(resource, record="bad", in_place=True)

    assert (resource / "good").exists()
    assert_untouched(outside)


def test_hard_link_out_of_the_copy(target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A further name of something outside the copy is a file of its own."""
    copies = Copies()
    bad = entry(b"name", EntryType.FILE, links=2, hardlink=os.fsencode(outside / "precious"))
    forge(copies, monkeypatch, [(b"/", [entry(b"r", EntryType.FOLDER, mode=0o755)]), (b"/r", [bad])])
    copies.restore("/r", target, "bad")

    assert (target / "r" / "name").read_bytes() == b""
    assert_untouched(outside)


def test_rows_that_do_not_exist(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose rows are not in the chunk table, or do not give its size, fails alone."""
    copies = Copies()
    forge(
        copies,
        monkeypatch,
        [
            (b"/", [entry(b"r", EntryType.FOLDER, mode=0o755)]),
            (
                b"/r",
                [
                    entry(b"beyond", EntryType.FILE, size=5, rows=1),
                    entry(b"good", EntryType.FILE),
                    entry(b"none", EntryType.FILE, size=5),
                ],
            ),
        ],
    )
    done = copies.restore("/r", target, "bad")

    assert (done.files, done.files_failed) == (1, 2)
    assert [path.name for path in (target / "r").iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (EntryType.FILE, {"xattrs": [(b"user.a\0b", b"")]}),
        (EntryType.SYMLINK, {"target": b"a\0b"}),
        (EntryType.SYMLINK, {"target": b""}),
        (EntryType.FIFO, {"xattrs": [(b"user.a\0b", b"")]}),
        (EntryType.FOLDER, {"xattrs": [(b"user.a\0b", b"")]}),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_values_that_no_file_can_have(
    target: Path, monkeypatch: pytest.MonkeyPatch, kind: EntryType, fields: dict[str, Any], is_there: bool
) -> None:
    """An entry with an impossible value fails alone, wherever it would be made."""
    copies = Copies()
    bad = entry(b"bad", kind, **fields)
    forge(
        copies,
        monkeypatch,
        [
            (b"/", [entry(b"r", EntryType.FOLDER, mode=0o755)]),
            (b"/r", [bad, entry(b"good", EntryType.FILE, mode=0o600)]),
        ],
    )
    if is_there:
        (target / "r").mkdir()
    done = copies.restore("/r", target, "bad")

    assert done.files_failed == 1
    assert (target / "r" / "good").exists()


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Copies, Path]:
    """A copy of a tree with a folder in a folder."""
    source = tmp_path / "source"
    (source / "folder" / "inner").mkdir(parents=True)
    (source / "folder" / "precious").write_text("restored")
    (source / "folder" / "inner" / "file").write_text("restored")
    copies = Copies()
    copies.backup(source)
    return copies, source


def test_link_where_a_folder_must_be(copied: tuple[Copies, Path], target: Path, outside: Path) -> None:
    """A link on the disk where the copy has a folder is not followed: what lies below fails, each listed."""
    copies, source = copied
    landed(target, source).mkdir(parents=True)
    (landed(target, source) / "folder").symlink_to(outside)
    done = copies.restore(source, target, overwrite="always")

    assert_untouched(outside)
    assert done.files_failed == 4
    assert (landed(target, source) / "folder").is_symlink()


def test_link_above_in_the_destination(copied: tuple[Copies, Path], target: Path, outside: Path) -> None:
    """A link below the destination is not followed even above the resource."""
    copies, source = copied
    above = landed(target, source).parent
    above.parent.mkdir(parents=True)
    above.symlink_to(outside)
    copies.restore(source, target)

    assert_untouched(outside)


def test_link_where_a_file_must_be(copied: tuple[Copies, Path], target: Path, outside: Path) -> None:
    """A link in the place of a file is replaced; what it pointed to stays as it is."""
    copies, source = copied
    (landed(target, source) / "folder").mkdir(parents=True)
    (landed(target, source) / "folder" / "precious").symlink_to(outside / "precious")
    done = copies.restore(source, target)

    assert done.files_failed == 0
    assert (landed(target, source) / "folder" / "precious").read_text() == "restored"
    assert_untouched(outside)


def test_folder_swapped_for_a_link_in_between(
    copied: tuple[Copies, Path], target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is swapped for a link after it was made is not left through the link."""
    copies, source = copied
    swapped = landed(target, source) / "folder"

    def swap() -> None:
        swapped.rename(swapped.with_name("moved"))
        swapped.symlink_to(outside)

    after(monkeypatch, "make_folder", os.fsencode(source / "folder"), swap)
    copies.restore(source, target)

    assert_untouched(outside)


def after(monkeypatch: pytest.MonkeyPatch, method: str, path: bytes, act: Callable[[], None]) -> None:
    """Call `act` once, when `method` of the target is through with `path`."""
    real = getattr(target_module.Target, method)

    def wrapped(self: target_module.Target, at: bytes, *args: object, **options: object) -> object:
        result = real(self, at, *args, **options)
        if at == path:
            act()
        return result

    monkeypatch.setattr(target_module.Target, method, wrapped)


def test_temporary_swapped_for_a_link(
    copied: tuple[Copies, Path], target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary file that somebody swaps for a link gets no metadata through the link."""
    copies, source = copied
    (landed(target, source) / "folder").mkdir(parents=True)
    swapped = []

    def swap() -> None:
        (temporary,) = (landed(target, source) / "folder").glob(".rubackup-*")
        temporary.unlink()
        temporary.symlink_to(outside / "precious")
        swapped.append(temporary)

    after(monkeypatch, "create", os.fsencode(source / "folder" / "precious"), swap)
    before = (outside / "precious").stat()
    copies.restore(source, target)

    assert swapped
    assert_untouched(outside)
    now = (outside / "precious").stat()
    assert (now.st_mtime_ns, now.st_mode, now.st_ctime_ns) == (before.st_mtime_ns, before.st_mode, before.st_ctime_ns)


def test_new_file_swapped_for_a_link(
    copied: tuple[Copies, Path], target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file under its own name that somebody swaps for a link while it is written gets nothing through the link."""
    copies, source = copied
    name = landed(target, source) / "folder" / "precious"
    swapped = []

    def swapping(real: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        def swap(fd: int, data: Any) -> Any:
            if name.exists() and os.path.samestat(name.stat(), os.fstat(fd)):
                name.unlink()
                name.symlink_to(outside / "precious")
                swapped.append(name)
            return real(fd, data)

        return swap

    monkeypatch.setattr(fill, "write_segments", swapping(fill.write_segments))
    monkeypatch.setattr(os, "write", swapping(os.write))
    before = (outside / "precious").stat()
    copies.restore(source, target)

    assert swapped == [name]
    assert_untouched(outside)
    assert (outside / "precious").stat() == before


def test_file_that_appears_in_a_folder_just_made(
    copied: tuple[Copies, Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody puts into a folder that the restore has made is judged by `overwrite`, not written into."""
    copies, source = copied
    name = landed(target, source) / "folder" / "precious"
    real = fill.gather
    inodes = []

    def appear(*arguments: Any) -> Any:
        if name.parent.exists() and not inodes:
            name.write_text("put there")
            os.link(name, name.with_name("kept"))
            inodes.append(name.stat().st_ino)
        return real(*arguments)

    monkeypatch.setattr(fill, "gather", appear)
    done = copies.restore(source, target)

    assert (done.files, done.files_failed) == (2, 0)
    assert name.read_text() == "restored"
    assert name.with_name("kept").read_text() == "put there"


def test_node_swapped_for_a_file(tmp_path: Path, target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifo that somebody swaps for a name of another file fails; that file gets none of its metadata."""
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "fifo", 0o777)
    copies = Copies()
    copies.backup(source)
    real = os.mknod

    def swap(path: bytes, mode: int, device: int, *, dir_fd: int) -> None:
        real(path, mode, device, dir_fd=dir_fd)
        os.unlink(path, dir_fd=dir_fd)
        os.link(outside / "precious", path, dst_dir_fd=dir_fd)

    monkeypatch.setattr(os, "mknod", swap)
    before = (outside / "precious").stat()
    done = copies.restore(source, target)

    assert done.files_failed == 1
    assert (outside / "precious").stat().st_mode == before.st_mode
    assert_untouched(outside)


@pytest.mark.parametrize("is_there", [True, False])
def test_first_name_swapped_before_it_is_linked(
    tmp_path: Path, target: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """A file that somebody swaps before its further names are made is not linked; they get the contents."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "first").write_text("content")
    os.link(source / "first", source / "second")
    copies = Copies()
    copies.backup(source)
    if is_there:  # else the file is made under its name at once
        landed(target, source).mkdir(parents=True)

    def swap() -> None:
        (landed(target, source) / "first").unlink()
        os.link(outside / "precious", landed(target, source) / "first")

    real = fill.SliceWriter.write

    def write(self: fill.SliceWriter, work: Slice, chunks: Chunks) -> None:
        real(self, work, chunks)
        if work.made:
            swap()

    monkeypatch.setattr(fill.SliceWriter, "write", write)
    copies.restore(source, target)

    assert (landed(target, source) / "second").read_text() == "content"
    assert (landed(target, source) / "second").stat().st_nlink == 1


@pytest.mark.parametrize("kind", [stat.S_IFIFO, pytest.param(stat.S_IFCHR, marks=NEEDS_ROOT)])
def test_node_where_a_file_must_be(copied: tuple[Copies, Path], target: Path, kind: int) -> None:
    """A fifo or a device in the place of a file is replaced, never opened: nothing hangs, nothing is written to it."""
    copies, source = copied
    (landed(target, source) / "folder").mkdir(parents=True)
    os.mknod(landed(target, source) / "folder" / "precious", kind | 0o600, os.makedev(1, 7))  # /dev/full
    done = copies.restore(source, target)

    assert done.files_failed == 0
    assert (landed(target, source) / "folder" / "precious").read_text() == "restored"


def test_inherited_acl_is_removed(copied: tuple[Copies, Path], target: Path) -> None:
    """A default ACL of a folder that exists opens no restored file to others."""
    from support.trees import NOBODY_READS

    copies, source = copied
    (landed(target, source) / "folder").mkdir(parents=True)
    os.setxattr(landed(target, source), "system.posix_acl_default", NOBODY_READS)
    os.setxattr(landed(target, source) / "folder", "system.posix_acl_default", NOBODY_READS)
    copies.restore(source, target)

    assert os.listxattr(landed(target, source) / "folder" / "precious") == []
    assert os.listxattr(landed(target, source) / "folder" / "inner") == []
    assert os.listxattr(landed(target, source) / "folder") == []


@NEEDS_ROOT
def test_destination_through_somebody_elses_link(copied: tuple[Copies, Path], tmp_path: Path, outside: Path) -> None:
    """A destination through a link that another user could have set is refused with a sentence."""
    copies, source = copied
    (tmp_path / "link").symlink_to(outside)
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)

    with pytest.raises(Invalid, match="others could have put there"):
        copies.restore(source, tmp_path / "link")
    assert_untouched(outside)


def test_destination_through_a_trusted_link(copied: tuple[Copies, Path], tmp_path: Path) -> None:
    """A destination through root's own links, relative and with `..`, is where they point to."""
    copies, source = copied
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "link").symlink_to("../../end")
    (tmp_path / "start").symlink_to(tmp_path / "real" / "deep" / "link")
    copies.restore(source, tmp_path / "start" / "new")

    assert (landed(tmp_path / "end" / "new", source) / "folder" / "precious").read_text() == "restored"


def test_links_in_a_circle(tmp_path: Path) -> None:
    """Links that lead to themselves end with a sentence."""
    (tmp_path / "circle").symlink_to("circle")

    with pytest.raises(Invalid, match="too many links"):
        open_anchor(os.fsencode(tmp_path / "circle"))


def test_two_restores_make_one_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another restore makes between the look and the making is taken as it is."""
    mkdir = os.mkdir

    def second(name: bytes, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", second)
    fd, made = open_anchor(os.fsencode(tmp_path / "one" / "two"))
    os.close(fd)

    assert made == []
    assert (tmp_path / "one" / "two").is_dir()
