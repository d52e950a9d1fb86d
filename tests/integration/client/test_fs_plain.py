"""Plain files are restored in a tight loop: what comes of them is what the long way gives, and what is odd goes that way."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rubackup.chunkstore import group
from rubackup.client.modules.filesystem import fill, write
from rubackup.client.modules.filesystem.plain import Sorted
from support.channels import MemoryRestore
from support.trees import Copies, assert_same, landed

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
SEED = 20_261_128


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where copies are restored."""
    return tmp_path / "target"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Names of the files that the tight loop has begun."""
    names: list[bytes] = []
    real = fill.SliceWriter._make_plain

    def make(self: fill.SliceWriter, folder: int, name: bytes, *more: Any) -> None:
        names.append(name)
        real(self, folder, name, *more)

    monkeypatch.setattr(fill.SliceWriter, "_make_plain", make)
    return names


def make_tree(root: Path, chance: random.Random) -> None:
    """Folders of files of all sizes, modes and times, with some among them that are not plain."""
    for number in range(30):
        folder = root / f"{chance.randrange(3)}" / f"{number:02}"
        folder.mkdir(parents=True)
        for file in range(chance.choice([0, 1, 3, 20])):
            path = folder / f"{file:02}"
            odd = chance.randrange(20)
            if odd == 0:
                path.symlink_to("nowhere")
                continue
            if odd == 1:
                (path / "below").mkdir(parents=True)
                continue
            content = chance.choice([b"", b"same everywhere", chance.randbytes(chance.randrange(1, 40_000))])
            path.write_bytes(content if odd != 2 else chance.randbytes(chance.choice([300_000, 2_500_000])))
            if odd == 3:
                with path.open("ab") as out:
                    out.truncate(len(content) + chance.choice([10, 700_000]))
            if odd == 4:
                os.setxattr(path, "user.note", b"x")
            if odd == 5:
                os.link(path, folder / f"{file:02} again")
            path.chmod(chance.choice([0o644, 0o400, 0o777, 0o000, 0o4755, 0o2770]))
            if odd == 6 and os.geteuid() == 0:
                os.chown(path, 4711, 4712)
            os.utime(path, ns=(5, chance.randrange(-(1 << 31), 1 << 32) * 10**9 + chance.randrange(10**9)))


def test_the_same_as_by_the_long_way(
    tmp_path: Path, target: Path, made: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contents, modes, owners, times and links of a random tree, however batches fall."""
    source, chance = tmp_path / "source", random.Random(SEED)
    make_tree(source, chance)
    copies = Copies()
    copies.backup(source)
    monkeypatch.setattr(write, "BATCH_BYTES", chance.choice([100_000, 8 << 20]))

    done = copies.restore(source, target)

    assert_same(source, landed(target, source))
    assert made
    monkeypatch.setattr(write, "sort_run", lambda run, *_: Sorted([], run.entries(), (0, 0)))
    made.clear()
    slow = copies.restore(source, tmp_path / "slow")
    assert (slow, made, copies.told()) == (done, [], []), f"seed {SEED}"
    assert_same(landed(target, source), landed(tmp_path / "slow", source))


def make_files(source: Path, count: int = 9) -> None:
    """A folder with some files, each other than the others."""
    (source / "folder").mkdir(parents=True)
    for number in range(count):
        (source / "folder" / str(number)).write_bytes(b"%d" % number * 5000)


def backed_up(tmp_path: Path) -> tuple[Path, Copies]:
    """Such a folder, and a copy of it."""
    source = tmp_path / "source"
    make_files(source)
    copies = Copies()
    copies.backup(source)
    return source, copies


@pytest.mark.parametrize("chosen", [[], ["folder"]])
def test_all_but_the_first_are_made_in_the_loop(
    tmp_path: Path, target: Path, made: list[bytes], chosen: list[str]
) -> None:
    """The first tells what new files get; of a whole copy and of a folder that was chosen."""
    source, copies = backed_up(tmp_path)
    done = copies.restore(source, target, paths=[f"{source}/{name}" for name in chosen])

    assert (done.files, done.size_bytes) == (9, 45_000)
    assert made == [b"%d" % number for number in range(1, 9)]
    assert_same(source, landed(target, source))


def test_a_chunk_with_another_content(tmp_path: Path, target: Path, made: list[bytes]) -> None:
    """It is never written: its file is named, and the others are restored."""
    source, copies = backed_up(tmp_path)
    number, data = next(iter(copies.pool.groups.items()))
    whole = group.decode(data)
    chunks = [(name, bytes(whole.chunk(at))) for at, name in enumerate(whole.ids)]
    chunks = [(name, content.replace(b"5", b"x")) for name, content in chunks]
    copies.pool.groups[number] = group.encode(chunks, 1)

    done = copies.restore(source, target)

    assert (done.files, done.files_failed) == (8, 1)
    [line] = copies.told()
    assert f"{source}/folder/5: cannot be restored: its contents in the copy are damaged" in line
    assert not (landed(target, source) / "folder" / "5").exists()
    assert (landed(target, source) / "folder" / "6").read_bytes() == b"6" * 5000
    assert b"5" not in made


def test_a_group_that_is_missing(tmp_path: Path, target: Path, made: list[bytes]) -> None:
    """What the loop cannot have is asked for again, alone, and told as damaged."""
    source = tmp_path / "source"
    make_files(source)
    (source / "folder" / "empty").touch()
    copies = Copies()
    copies.backup(source)

    def damage(channel: MemoryRestore) -> None:
        channel.damaged = set(copies.pool.groups)

    done = copies.restore(source, target, change=damage)

    assert (done.files, done.files_failed) == (1, 9)
    assert all("Pack 7 is damaged" in line for line in copies.told())
    assert [path.name for path in (landed(target, source) / "folder").iterdir()] == ["empty"]


def before_opening(monkeypatch: pytest.MonkeyPatch, name: bytes, act: Callable[[int], None]) -> None:
    """Call `act` with the folder just before the file is made for the first time."""
    real, seen = os.open, []

    def opening(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == name and flags & os.O_EXCL and dir_fd is not None and not seen:
            seen.append(path)
            act(dir_fd)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)


def test_a_name_that_exists_suddenly(
    tmp_path: Path, target: Path, made: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is judged by `overwrite`; never written into."""
    source, copies = backed_up(tmp_path)

    def put_there(folder: int) -> None:
        os.symlink(tmp_path / "outside", b"4", dir_fd=folder)

    before_opening(monkeypatch, b"4", put_there)
    done = copies.restore(source, target)

    assert (done.files, done.files_failed, copies.told()) == (9, 0, [])
    assert b"4" in made
    assert not (tmp_path / "outside").exists()
    assert_same(source, landed(target, source))


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, target: Path, made: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the disk takes only a part of is removed, told with the reason, and the others go on."""
    source, copies = backed_up(tmp_path)
    real, real_all = os.write, fill.write_segments

    def put(fd: int, data: memoryview) -> int:
        if bytes(data[:1]) == b"7":
            real(fd, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: 1 + len(data) // 2])  # the kernel may take less than it was given

    def put_all(fd: int, segments: list[fill.Segment]) -> None:
        put(fd, segments[0][1][0])
        os.ftruncate(fd, 0)
        real_all(fd, segments)

    monkeypatch.setattr(os, "write", put)
    monkeypatch.setattr(fill, "write_segments", put_all)
    done = copies.restore(source, target)

    assert (done.files, done.files_failed) == (8, 1)
    assert copies.told() == [f"{source}/folder/7: cannot be restored: no space left on device"]
    assert sorted(path.name for path in (landed(target, source) / "folder").iterdir()) == list("01234568")
    assert (landed(target, source) / "folder" / "8").read_bytes() == b"8" * 5000


def test_modes_that_the_umask_takes_away(tmp_path: Path, target: Path, made: list[bytes]) -> None:
    """They go the long way and are as recorded."""
    source = tmp_path / "source"
    make_files(source)
    for name in ("3", "6"):
        (source / "folder" / name).chmod(0o600)
    copies = Copies()
    copies.backup(source)
    before = os.umask(0o077)
    try:
        copies.restore(source, target)
    finally:
        os.umask(before)

    assert_same(source, landed(target, source))
    assert made == [b"6"]


@NEEDS_ROOT
def test_files_of_another_owner(tmp_path: Path, target: Path, made: list[bytes]) -> None:
    """They are given away in the loop; before that nobody but root may read them."""
    source = tmp_path / "source"
    make_files(source)
    for number in range(9):
        os.chown(source / "folder" / str(number), 4711, 4712)
        (source / "folder" / str(number)).chmod(0o644)
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)

    assert_same(source, landed(target, source))
    assert len(made) == 8
