"""What is unchanged is taken over whole, segment by segment; a change shows wherever it is."""

from __future__ import annotations

import os
import random
import shutil
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from rubackup.chunkstore.manifest import cuts
from rubackup.chunkstore.manifest.runs import RunView
from rubackup.client.modules.filesystem import metadata
from rubackup.client.modules.filesystem.copier import NOT_WHOLE
from rubackup.client.modules.filesystem.parent import Parent
from rubackup.domain.errors import Corrupt
from support.trees import Copies, assert_same, landed

FOLDERS = 60
FILES = 40
LONG = "x" * 200
"""So that there are four segments at least: one ends at a folder from 192 KiB on, whatever the hash says."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree whose manifest has several segments."""
    root = tmp_path / "source"
    for number in range(FOLDERS):
        folder = root / f"{number:02}"
        folder.mkdir(parents=True)
        for name in range(FILES):
            (folder / f"{name:03}{LONG}").write_text(f"{number} {name}")
    (root / "30" / "empty").mkdir()
    return root


@pytest.fixture
def copies(source: Path) -> Copies:
    """A full copy of it, in which nothing is too fresh."""
    copies = Copies()
    copies.backup_later(source, "full")
    return copies


def again(
    copies: Copies, source: Path, record: str = "next", parent: str = "full", seconds: int = 120
) -> tuple[int, int]:
    """Back up once more: chunks asked for, and segments taken over."""
    done = copies.backup_later(source, record, parent, seconds)
    files = [path for path in source.rglob("*") if not path.is_dir() or path.is_symlink()]
    sizes = {path.lstat().st_ino: path.lstat().st_size for path in files if path.is_file() and not path.is_symlink()}
    assert (done.files, done.size_bytes) == (len(files), sum(sizes.values()))
    assert copies.channel is not None
    return copies.channel.queried, copies.channel.copied


def segments(copies: Copies, record: str) -> int:
    """How many segments the manifest has."""
    return copies.pool.reader(record).segment_count


def assert_restores(copies: Copies, source: Path, tmp_path: Path, record: str = "next") -> None:
    """The copy restores to what is there."""
    copies.restore(source, tmp_path / "target", record)
    assert_same(source, landed(tmp_path / "target", source))


def test_an_unchanged_tree_is_taken_over_by_segments(copies: Copies, source: Path, tmp_path: Path) -> None:
    """All but the first, which holds folders above the resource that the test does not keep still, are copied."""
    asked, taken = again(copies, source)

    assert asked == 0
    assert segments(copies, "next") >= 4
    assert taken >= segments(copies, "next") - 1
    assert_restores(copies, source, tmp_path)


def test_a_changed_file_costs_its_segment(copies: Copies, source: Path, tmp_path: Path) -> None:
    """One file is read; the segments beside it are taken over, and the copy built on that is right, too."""
    (source / "30" / f"{7:03}{LONG}").write_text("changed")
    asked, taken = again(copies, source)
    assert asked == 1
    assert segments(copies, "next") - 3 <= taken < segments(copies, "next")
    (source / "02" / "new").write_text("new")
    (source / "59" / f"{7:03}{LONG}").unlink()

    assert again(copies, source, "third", "next", 240)[0] == 1
    assert_restores(copies, source, tmp_path, "third")


def test_folders_that_go_and_come(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A folder that went leaves nothing, and one that came is read, whole segments around them or not."""
    for path in [*(source / "20").iterdir()]:
        path.unlink()
    (source / "20").rmdir()
    (source / "40").rename(source / "99")

    assert again(copies, source)[0] == FILES
    assert_restores(copies, source, tmp_path)


def test_each_file_is_seen(copies: Copies, source: Path, tmp_path: Path) -> None:
    """An edit of any one file that keeps its size and mtime is read, whatever stands around it."""
    for number, name in [(0, 0), (17, 39), (33, 20), (59, 0), (59, 39)]:
        file = source / f"{number:02}" / f"{name:03}{LONG}"
        before = file.stat()
        file.write_text("x" * before.st_size)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert again(copies, source)[0] == 3  # three lengths
    assert_restores(copies, source, tmp_path)


def test_a_new_name_of_an_owner_is_recorded(copies: Copies, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of owners are those of now, though no file changed."""
    monkeypatch.setattr(metadata.pwd, "getpwuid", lambda uid: type("User", (), {"pw_name": "renamed"}))
    assert again(copies, source)[0] == 0

    found = copies.pool.reader("next").find(os.fsencode(source / "17" / f"{3:03}{LONG}"))
    assert found is not None
    assert found.user == "renamed"


def test_a_renumbered_device_is_recorded(copies: Copies, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reboot dealt numbers anew nothing is read, and the copy holds the new ones only, so the next is quick again."""
    real, real_fd = os.stat, os.fstat

    def renumbered(st: os.stat_result) -> os.stat_result:
        fields = {name: getattr(st, name) for name in dir(st) if name.startswith("st_")}
        return os.stat_result([st[i] + 7 * (i == stat.ST_DEV) for i in range(10)], fields)

    monkeypatch.setattr(os, "stat", lambda *args, **more: renumbered(real(*args, **more)))
    monkeypatch.setattr(os, "fstat", lambda fd: renumbered(real_fd(fd)))
    asked, taken = again(copies, source)
    assert (asked, taken) == (0, 0)
    devices = {entry.device for _, entries in copies.pool.reader("next").folders() for entry in entries}
    asked, taken = again(copies, source, "third", "next", 240)

    assert len(devices) == 1
    assert asked == 0
    assert taken >= segments(copies, "third") - 1


def test_rows_that_cannot_be_read_cost_speed(
    copies: Copies, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the parent's rows are damaged, entries that stood in a run taken over are copied anew."""
    (source / "30" / f"{7:03}{LONG}").write_text("changed")

    def fail(_self: Parent, run: RunView) -> bytes:
        raise Corrupt(f"The rows of {run.path!r} are damaged.")

    monkeypatch.setattr(Parent, "raw_rows", fail)
    copies.backup_later(source, "next", "full", 120)
    monkeypatch.undo()

    assert any("Everything is read" in text for text in copies.watch.texts("warning"))
    assert again(copies, source, "third", "next", 240)[0] == 0
    assert_restores(copies, source, tmp_path, "third")


def test_a_run_that_is_not_whole_is_read_again(
    copies: Copies, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that do not give the sizes of a run's files are not taken over; the log names the folder."""
    (source / "30" / f"{7:03}{LONG}").write_text("changed")
    monkeypatch.setattr(Parent, "is_whole", lambda _self, run: not run.path.endswith(b"/29"))
    again(copies, source)

    told = copies.watch.texts("warning")
    assert told in ([], [f"{source}/29: {NOT_WHOLE}"])
    assert_restores(copies, source, tmp_path)


def test_files_with_several_names_stay_linked(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A further name in another folder is a name of the same file, in the copy and in the one built on it."""
    os.link(source / "10" / f"{0:03}{LONG}", source / "50" / "zz other name")
    again(copies, source)
    asked, _ = again(copies, source, "third", "next", 240)

    assert asked == 0
    assert_restores(copies, source, tmp_path, "third")


def test_times_beyond_2262_are_copied(tmp_path: Path) -> None:
    """They do not fit into nanoseconds of 64 bits; the copy holds the last that does, and the log names the file."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    far = 10**19
    os.utime(source / "file", ns=(far, far))
    if (source / "file").stat().st_mtime_ns != far:
        pytest.skip("This file system has no such times.")
    (source / "near").write_text("y")
    copies = Copies()
    copies.backup(source)
    found = copies.pool.reader("full").find(os.fsencode(source / "file"))

    assert found is not None
    assert found.mtime_ns == 2**63 - 1
    assert [text.split(":")[0] for text in copies.watch.texts("warning") if "2262" in text] == [f"{source}/file"]


def contents(copies: Copies, source: Path, record: str) -> dict[bytes, object]:
    """Everything that a copy says of each path below the source, with the rows of its contents in place of their numbers."""
    manifest = copies.pool.reader(record)
    found: dict[bytes, object] = {}
    for folder, entries in manifest.folders():
        if not folder.startswith(os.fsencode(source)):
            continue  # others change these meanwhile
        found.setdefault(folder.rstrip(b"/") + b"/", "a folder")
        for one in entries:
            rows = manifest.rows(one.first_row, one.rows)
            found[folder.rstrip(b"/") + b"/" + one.name] = (replace(one, first_row=0), rows)
    return found


def change_something(source: Path, chance: random.Random) -> None:
    """A few of the things that happen to a tree."""
    for _ in range(chance.randrange(4)):
        folders = [source, *(path for path in source.rglob("*") if path.is_dir())]
        files = [path for path in source.rglob("*") if path.is_file()]
        folder, file = chance.choice(folders), chance.choice(files)
        match chance.randrange(9):
            case 0:
                (folder / f"new{chance.random()}").write_text(str(chance.random()))
            case 1:
                file.unlink()
            case 2:
                file.write_text("x" * len(file.read_text()))
            case 3:
                file.replace(folder / f"moved{chance.random()}")
            case 4:
                file.chmod(chance.choice([0o600, 0o644, 0o755]))
            case 5:
                shutil.copytree(folder, source / f"copy{chance.random()}", symlinks=True) if len(files) < 500 else None
            case 6:
                shutil.rmtree(folder) if folder != source and len(files) > 200 else None
            case 7:
                os.link(file, folder / f"name{chance.random()}")
            case 8:
                (folder / f"link{chance.random()}").symlink_to("nowhere")


@pytest.mark.parametrize("seed", range(2))
def test_a_copy_built_on_copies_says_what_a_full_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Through generations of random changes, with segments so small that there are many."""
    for name, small in {"MIN_WEIGHT": 1500, "FOLDER_WEIGHT": 6000, "MAX_WEIGHT": 8000, "HUGE": 8}.items():
        monkeypatch.setattr(cuts, name, small)
    monkeypatch.setattr(cuts, "_ENTRY_SHARE", 2**32 // 8)
    chance = random.Random(seed)
    source = tmp_path / "source"
    for number in range(25):
        (source / f"{number:02}").mkdir(parents=True)
        for file in range(chance.randrange(30)):
            (source / f"{number:02}" / f"{file:03}").write_text(f"{number} {file}")
    copies = Copies()
    copies.backup_later(source, "0")
    taken = 0
    for generation in range(1, 12):
        change_something(source, chance)
        copies.backup_later(source, str(generation), str(generation - 1), 100 * generation)
        assert copies.channel is not None
        taken += copies.channel.copied
        full = Copies(copies.pool)
        full.backup_later(source, "full", seconds=100 * generation)

        assert contents(copies, source, str(generation)) == contents(full, source, "full")
    assert taken > 10
