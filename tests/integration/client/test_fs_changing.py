"""Files that vanish, change, or cannot be read are told one by one and end nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import Buffer

from rubackup.client.modules.filesystem import copier, listing
from rubackup.client.modules.filesystem.reader import FileReader
from rubackup.client.modules.filesystem.streams import ONE, Streams
from rubackup.domain.errors import Invalid, Stopped, StorageFull
from support.channels import MemoryBackup
from support.trees import Copies, assert_same, landed


@pytest.fixture(autouse=True)
def one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to a file while it is read is done in its turn; reading early: `test_fs_early`."""
    monkeypatch.setattr(Streams, "of", lambda _self, _device: ONE)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three files and a folder."""
    root = tmp_path / "source"
    (root / "folder").mkdir(parents=True)
    for name in ("one", "two", "three", "folder/four"):
        (root / name).write_text(name)
    return root


def at_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Call `act` with the size of each file just before its contents are read."""
    real = FileReader.pieces

    def pieces(self: FileReader, fd: int, st: os.stat_result):
        act(st.st_size)
        return real(self, fd, st)

    monkeypatch.setattr(FileReader, "pieces", pieces)


def test_vanishing_file(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes between listing and looking is a warning, not a failure."""
    real = listing.list_names
    monkeypatch.setattr(listing, "list_names", lambda fd: sorted([*real(fd), b"ghost"]))
    copies = Copies()
    made = copies.backup(source)

    assert (made.files, made.files_failed) == (4, 0)
    assert f"{source}/ghost: {copier.VANISHED}" in copies.watch.texts("warning")


def test_file_removed_while_read(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is removed under the reader keeps what was read, and the log says that it changed."""
    at_read(monkeypatch, lambda size: (source / "three").unlink(missing_ok=True) if size == len("three") else None)
    copies = Copies()
    copies.backup(source)

    entry = copies.pool.reader("full").find(os.fsencode(source / "three"))
    assert entry is not None
    assert entry.size == 5
    assert copies.watch.texts("warning") == [f"{source}/three: {copier.CHANGED}"]


def replace_by_link(path: Path) -> None:
    """A symbolic link where the file was."""
    path.unlink()
    path.symlink_to("one")


def replace_by_fifo(path: Path) -> None:
    """A fifo where the file was."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("replace", [replace_by_link, replace_by_fifo])
def test_file_replaced_while_read(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Path], None]
) -> None:
    """A file that becomes something else under the reader keeps what was read, and the sizes agree."""
    at_read(monkeypatch, lambda size: replace(source / "three") if size == len("three") else None)
    copies = Copies()
    made = copies.backup(source)
    entries = [entry for _, found in copies.pool.reader("full").folders() for entry in found]

    assert copies.watch.texts("warning") == [f"{source}/three: {copier.CHANGED}"]
    assert made.size_bytes == sum(entry.size for entry in entries)


def test_file_that_settles(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes once while it is read is read again, and nothing needs to be said."""
    texts = ["changed!"]
    at_read(monkeypatch, lambda _: (source / "one").write_text(texts.pop()) if texts else None)
    copies = Copies()
    made = copies.backup(source)
    copies.restore(source, tmp_path / "target")

    assert copies.told() == []
    assert_same(source, landed(tmp_path / "target", source))
    assert made.size_bytes == sum(path.stat().st_size for path in source.rglob("*") if path.is_file())


def test_file_that_never_settles(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows at each read is kept as it was read last; its size is what was read."""
    reads: list[int] = []

    def grow(size: int) -> None:
        reads.append(size)
        with (source / "two").open("a") as file:
            file.write("+")

    (source / "one").unlink()
    (source / "three").unlink()
    (source / "folder" / "four").unlink()
    at_read(monkeypatch, grow)
    copies = Copies()
    copies.backup(source)
    copies.restore(source, tmp_path / "target")

    assert reads == [3, 4, 5]
    assert (landed(tmp_path / "target", source) / "two").read_text() == "two++"
    assert copies.told() == [f"{source}/two: {copier.CHANGED}"]


def test_truncated_while_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file cut short under the reader is copied in the length that was read."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(6_000_000))
    at_read(monkeypatch, lambda size: os.truncate(source / "large", 1_000_000) if size > 1_000_000 else None)
    copies = Copies()
    made = copies.backup(source)
    copies.restore(source, tmp_path / "target")

    assert made.size_bytes == 1_000_000
    assert_same(source, landed(tmp_path / "target", source))


def test_unreadable_file(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is a failure with its path; the others are copied."""
    fail_open(monkeypatch, b"two", errno.EACCES)
    copies = Copies()
    made = copies.backup(source)

    assert (made.files, made.files_failed) == (3, 1)
    assert copies.watch.texts("error") == [f"{source}/two: cannot be read: permission denied"]
    assert copies.pool.reader("full").find(os.fsencode(source / "two")) is None


def fail_open(monkeypatch: pytest.MonkeyPatch, name: bytes, code: int) -> None:
    """Make opening a file of that name fail."""
    real = copier.open_noatime

    def refuse(wanted: bytes, flags: int, folder: int) -> int:
        if wanted == name:
            raise OSError(code, os.strerror(code))
        return real(wanted, flags, folder)

    monkeypatch.setattr(copier, "open_noatime", refuse)


def test_io_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot read a block costs that file alone."""

    def broken(size: int) -> None:
        if size == len("one"):  # `two` has as many bytes
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    at_read(monkeypatch, broken)
    copies = Copies()
    made = copies.backup(source)

    assert (made.files, made.files_failed, made.size_bytes) == (2, 2, len("three") + len("folder/four"))
    assert f"{source}/one: cannot be read: input/output error" in copies.watch.texts("error")


def test_path_is_printable_in_the_log(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not UTF-8, or holds a line feed, is escaped in the log."""
    (Path(os.fsdecode(os.fsencode(source) + b"/bad \xff\n"))).write_text("x")
    fail_open(monkeypatch, b"bad \xff\n", errno.EACCES)
    copies = Copies()
    copies.backup(source)

    assert copies.watch.texts("error") == [f"{source}/bad \\xff\\x0a: cannot be read: permission denied"]


def test_file_replaced_by_a_fifo(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifo that takes a file's place just before it is opened does not make the backup wait."""
    real = copier.open_noatime

    def swap(name: bytes, flags: int, folder: int) -> int:
        if name == b"one":
            (source / "one").unlink()
            os.mkfifo(source / "one")
        return real(name, flags, folder)

    monkeypatch.setattr(copier, "open_noatime", swap)
    copies = Copies()

    assert copies.backup(source).files_failed == 1


def test_resource_that_cannot_be_read(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource of one file that cannot be read ends the backup: there is nothing to copy."""
    fail_open(monkeypatch, b"one", errno.EACCES)

    with pytest.raises(Invalid, match="cannot be read"):
        Copies().backup(source / "one")


def test_stop(source: Path) -> None:
    """A backup that is stopped seals nothing and leaves no thread behind; its channel can still be used."""
    copies = Copies()
    copies.watch.stop_after = 3

    with pytest.raises(Stopped):
        copies.backup(source)
    assert copies.pool.manifests == {}
    assert copies.channel is not None
    copies.channel.checkpoint()


def test_full_pool(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pool refuses ends the backup with the pool's own error."""

    def refuse(self: MemoryBackup, *parts: Buffer) -> None:
        raise StorageFull

    monkeypatch.setattr(MemoryBackup, "put_group", refuse)

    with pytest.raises(StorageFull):
        Copies().backup(source)
