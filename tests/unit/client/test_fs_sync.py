"""Few files are synced by themselves, many with their file system; what may be lost by a power cut is the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rubackup.client.modules.filesystem import sync
from rubackup.client.modules.filesystem.sync import Syncer
from support.trees import Copies, assert_same, landed


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, and how: `fsync PATH` or `syncfs PATH`."""
    seen: list[str] = []

    def note(how: str, call: object) -> object:
        def noted(fd: int) -> int:
            seen.append(f"{how} {Path(f'/proc/self/fd/{fd}').readlink()}")
            return call(fd)  # type: ignore[operator,no-any-return]

        return noted

    monkeypatch.setattr(sync, "_fsync", note("fsync", sync._fsync))
    monkeypatch.setattr(sync, "_syncfs", note("syncfs", sync._syncfs))
    return seen


def copy_of(tmp_path: Path, count: int) -> tuple[Copies, Path]:
    source = tmp_path / "source"
    for number in range(count):
        (source / "a" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        (source / "a" / str(number % 3) / str(number)).write_text(f"{number}")
    copies = Copies()
    copies.backup(source)
    return copies, source


def test_few_files_with_every_folder_up_to_the_destination(tmp_path: Path, synced: list[str]) -> None:
    """Also the folders above the destination, whose names the restore had to make."""
    copies, source = copy_of(tmp_path, 5)
    target = tmp_path / "made" / "target"

    copies.restore(source, target)

    assert_same(source, landed(target, source))
    made = [path for path in target.parent.rglob("*") if path.is_dir()]
    files = [path for path in target.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert {f"fsync {path}" for path in [*made, *files, target.parent, tmp_path]} <= set(synced)
    assert not [line for line in synced if line.startswith("syncfs")]


def test_a_file_that_is_replaced(tmp_path: Path, synced: list[str]) -> None:
    """It is synced under the name that it has in the end."""
    copies, source = copy_of(tmp_path, 1)
    path = source / "a" / "0" / "0"
    path.write_text("other")

    copies.restore(source, tmp_path / "unused", in_place=True, overwrite="always")

    assert path.read_text() == "0"
    assert {f"fsync {path}", f"fsync {path.parent}"} <= set(synced)


@pytest.mark.parametrize("limit", ["FEW_FILES", "FEW_FOLDERS", "FEW_BYTES"])
def test_many(tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """One syncfs for what exceeds any of the limits."""
    monkeypatch.setattr(sync, limit, 4)
    copies, source = copy_of(tmp_path, 12)

    copies.restore(source, tmp_path / "target")

    assert [line.partition(" ")[0] for line in synced] == ["syncfs"]


def test_what_fsync_cannot_reach(tmp_path: Path, synced: list[str]) -> None:
    """A symbolic link has no descriptor that could be synced."""
    copies, source = copy_of(tmp_path, 1)
    (source / "link").symlink_to("a")
    copies.backup(source)

    copies.restore(source, tmp_path / "target")

    assert [line.partition(" ")[0] for line in synced] == ["syncfs"]


def test_what_was_kept_may_be_of_an_attempt_that_was_killed(tmp_path: Path, synced: list[str]) -> None:
    """It looks whole, and may not be on disk yet."""
    copies, source = copy_of(tmp_path, 3)
    copies.restore(source, tmp_path / "target")
    synced.clear()

    copies.restore(source, tmp_path / "target")

    assert [line.partition(" ")[0] for line in synced] == ["syncfs"]


def test_failures_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that lost what it had accepted."""
    monkeypatch.setattr(sync, "_fsync", lambda _fd: 5)
    syncer = Syncer()
    for path in (tmp_path, tmp_path.parent):
        fd = os.open(path, os.O_RDONLY)
        syncer.saw(fd)
        os.close(fd)

    assert syncer.sync() == ["what was restored is not safely on disk: input/output error"]
    syncer.close()


def test_much_is_put_out_on_the_way(tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk does not wait until all is written; what failed then is told at the end."""
    monkeypatch.setattr(sync, "FEW_FILES", 4)
    monkeypatch.setattr(sync, "EARLY_BYTES", 10 * sync.FILE_BYTES)
    told = [5]
    noted = sync._syncfs
    monkeypatch.setattr(sync, "_syncfs", lambda fd: noted(fd) or (told.pop() if told else 0))
    copies, source = copy_of(tmp_path, 12)

    done = copies.restore(source, tmp_path / "target")

    assert [line.partition(" ")[0] for line in synced] == ["syncfs", "syncfs"]
    assert (done.files, done.files_failed) == (12, 1)
    assert copies.told() == [f"{'/'}: what was restored is not safely on disk: input/output error"]
