"""Small files read before their turn: several at a time, and the copy and the log are as if each was read in its turn."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rubackup.client.modules.filesystem import copier, early, listing
from rubackup.client.modules.filesystem.streams import ONE, Streams
from support.trees import Copies, assert_same, landed, make_rich_tree

LIMIT_SECONDS = 60
FILES = 24


def stream(monkeypatch: pytest.MonkeyPatch, streams: int) -> None:
    """So many files at a time, whatever the disk of this host."""
    monkeypatch.setattr(Streams, "of", lambda _self, _device: streams)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Small files of one folder, each with a content of its own."""
    root = tmp_path / "source"
    root.mkdir()
    for number in range(FILES):
        (root / f"{number:02}").write_bytes(os.urandom(100 + 3_000 * number))
    return root


def at_early_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Call `act` with the size of each file just before it is read early."""
    real = early.read_at

    def read_at(fd: int, length: int, offset: int) -> bytes:
        act(length)
        return real(fd, length, offset)

    monkeypatch.setattr(early, "read_at", read_at)


@pytest.mark.parametrize(("parameters", "at_once"), [({}, 4), ({"worker_parallelism": 3}, 3)])
def test_as_many_files_are_on_their_way_as_the_disk_and_the_task_allow(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], at_once: int
) -> None:
    """Four where the disk says so, unless the task asks for fewer; each file waits until all of them are on their way."""
    lock, together = threading.Lock(), threading.Barrier(at_once)
    running = most = 0

    def distant(_length: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(LIMIT_SECONDS)
        with lock:
            running -= 1

    stream(monkeypatch, 4)
    at_early_read(monkeypatch, distant)
    copies = Copies()
    made = copies.backup(source, common_parameters=parameters)
    copies.restore(source, tmp_path / "target")

    assert most == at_once
    assert (made.files, copies.told()) == (FILES, [])
    assert_same(source, landed(tmp_path / "target", source))


@pytest.mark.parametrize("parameters", [{}, {"worker_parallelism": 1}])
def test_one_stream_reads_nothing_early(
    source: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]
) -> None:
    """A spinning disk, and a task that allows one thread, are read file by file."""
    reads: list[int] = []
    stream(monkeypatch, 8 if parameters else ONE)
    at_early_read(monkeypatch, reads.append)

    assert Copies().backup(source, common_parameters=parameters).files == FILES
    assert reads == []


def test_only_what_changed_is_read_early(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the earlier copy has is not opened."""
    reads: list[int] = []
    stream(monkeypatch, 8)
    copies = Copies()
    copies.backup_later(source, "full")
    (source / "07").write_bytes(b"changed")
    (source / "new").write_bytes(b"appeared")
    at_early_read(monkeypatch, reads.append)
    copies.backup_later(source, "next", "full")

    assert sorted(reads) == [len("changed"), len("appeared")]
    assert copies.told() == []


def test_the_copy_is_the_same_however_many_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries and rows of a tree with everything in it, some of which cannot be opened or has vanished, and the log."""
    source = tmp_path / "source"
    make_rich_tree(source)
    (source / "refused").write_bytes(b"refused")
    names = listing.list_names
    monkeypatch.setattr(listing, "list_names", lambda fd: sorted([*names(fd), b"ghost"]))
    for module in (copier, early):
        real = module.open_noatime

        def refuse(name: bytes, flags: int, folder: int, real: Callable[..., int] = real) -> int:
            if name == b"refused":
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            return real(name, flags, folder)

        monkeypatch.setattr(module, "open_noatime", refuse)
    found = []
    for streams in (1, 8):
        stream(monkeypatch, streams)
        copies = Copies()
        made = copies.backup(source)
        reader = copies.pool.reader("full")
        entries = [(path, entry, reader.rows(entry.first_row, entry.rows)) for path, some in reader.folders()
                   for entry in some]  # fmt: skip
        found.append((made.files, made.files_failed, made.size_bytes, entries, copies.watch.texts("error"),
                      sorted(copies.watch.texts("warning"))))  # fmt: skip

    assert found[0] == found[1]
    assert found[0][1] == 1
    assert any(copier.VANISHED in text for text in found[0][-1])


def test_a_file_that_changes_while_it_is_read_early_is_read_in_its_turn(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read early is not kept then; the copy has the file as it is, and nothing needs to be said."""
    size = (source / "05").stat().st_size
    stream(monkeypatch, 8)
    at_early_read(monkeypatch, lambda length: (source / "05").write_text("changed!") if length == size else None)
    copies = Copies()
    copies.backup(source)
    copies.restore(source, tmp_path / "target")

    assert (landed(tmp_path / "target", source) / "05").read_text() == "changed!"
    assert copies.told() == []


def test_a_file_that_goes_while_it_is_read_early_has_vanished(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not whole, and when its turn comes it is not there."""
    size = (source / "05").stat().st_size
    stream(monkeypatch, 8)
    at_early_read(monkeypatch, lambda length: (source / "05").unlink() if length == size else None)
    copies = Copies()
    made = copies.backup(source)

    assert made.files == FILES - 1
    assert copies.told() == [f"{source}/05: {copier.VANISHED}"]


def test_what_was_read_early_is_dropped_when_the_task_is_stopped(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads end with the backup, whatever ended it."""
    stream(monkeypatch, 8)

    class Full(Exception):
        """Of this test."""

    def full(*_: object) -> None:
        raise Full

    monkeypatch.setattr(copier.Copier, "_take_early", full)
    before = set(threading.enumerate())
    with pytest.raises(Full):
        Copies().backup(source)

    assert not [one for one in set(threading.enumerate()) - before if one.name.startswith("read-ahead")]
