"""What is backed up comes back: contents, types, names, links, holes, owners, times, attributes."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from rubackup.domain.errors import Invalid
from support.trees import Copies, assert_same, landed, make_deep, make_rich_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    root = tmp_path / "source"
    make_rich_tree(root)
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where copies are restored."""
    return tmp_path / "target"


def test_everything_comes_back(source: Path, target: Path) -> None:
    """A restored tree equals the original in all that a copy records."""
    copies = Copies()

    made = copies.backup(source)
    restored = copies.restore(source, target)

    assert (made.files_failed, restored.files_failed) == (0, 0)
    assert (
        made.files == restored.files == sum(1 for path in source.rglob("*") if not path.is_dir() or path.is_symlink())
    )
    assert_same(source, landed(target, source))


def test_no_temporary_name_is_left(source: Path, target: Path) -> None:
    """Restoring leaves no names that the copy does not have."""
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)
    copies.restore(source, target, overwrite="always")

    assert [path for path in target.rglob("*") if path.name.startswith(".rubackup")] == []


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder for trees that Python's own rmtree cannot remove."""
    yield tmp_path
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


def open_descriptors() -> int:
    """How many descriptors this process holds."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_paths_beyond_the_kernels_limit(deep: Path, target: Path) -> None:
    """A path of more than 5,000 bytes is copied, restored and compared."""
    source = deep / "source"
    source.mkdir()
    make_deep(os.fsencode(source), b"n" * 200, 26)
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)

    found = compare_trees(source, landed(target, source))
    assert (found.differences, found.files, found.folders) == ([], 1, 27)


def test_depth_beyond_open_files(deep: Path, target: Path) -> None:
    """A tree deeper than the folders kept open, and than Python's recursion, is copied and restored."""
    source = deep / "source"
    source.mkdir()
    make_deep(os.fsencode(source), b"d", 1100)
    gc.collect()  # what other tests left behind
    before = open_descriptors()
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)

    found = compare_trees(source, landed(target, source))
    assert (found.differences, found.folders) == ([], 1101)
    assert open_descriptors() <= before


def test_holes_are_recreated(tmp_path: Path, target: Path) -> None:
    """A sparse file takes no more room after a restore than before, and its holes are not stored."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        file.truncate(3 << 30)
        file.seek(2 << 30)
        file.write(b"x" * 100_000)
    copies = Copies()
    made = copies.backup(source)
    copies.restore(source, target)

    restored = (landed(target, source) / "sparse").stat()
    assert (made.size_bytes, restored.st_size) == (3 << 30, 3 << 30)
    assert restored.st_blocks * 512 <= 200_000
    with (landed(target, source) / "sparse").open("rb") as file:
        file.seek((2 << 30) - 10)
        assert file.read(100_020) == bytes(10) + b"x" * 100_000 + bytes(10)


def test_resource_that_is_one_file(source: Path, target: Path) -> None:
    """A resource may be a single file."""
    copies = Copies()
    made = copies.backup(source / "large")
    copies.restore(source / "large", target)

    assert made.files == 1
    assert_same(source / "large", landed(target, source) / "large")
    assert [path.name for path in landed(target, source).iterdir()] == ["large"]


def test_resource_that_is_a_link(source: Path, target: Path) -> None:
    """A resource that is a symbolic link is copied as the link, and the log says so."""
    copies = Copies()
    (source / "a link").symlink_to("../source")
    copies.backup(source / "a link")
    copies.restore(source / "a link", target)

    assert (landed(target, source) / "a link").readlink() == Path("../source")
    assert any("symbolic link" in text for text in copies.watch.texts("info"))


def test_trailing_slash(source: Path, target: Path) -> None:
    """`/home/` and `/home` are the same resource."""
    copies = Copies()
    copies.backup(f"{source}/")
    copies.restore(f"{source}/", f"{target}/")

    assert_same(source, landed(target, source))


@pytest.mark.parametrize("resource", ["relative", "", "/a/../b", "/nul\0", "/does/not/exist"])
def test_resource_that_cannot_be(resource: str) -> None:
    """A resource that is not there, or not absolute, ends the backup with a sentence."""
    with pytest.raises(Invalid):
        Copies().backup(resource)


def test_folders_above_keep_their_metadata(tmp_path: Path, target: Path) -> None:
    """Folders above the resource are made with their recorded mode and time, and are left alone where they exist."""
    above = tmp_path / "above"
    (above / "inner").mkdir(parents=True)
    (above / "inner" / "file").write_text("x")
    above.chmod(0o711)
    copies = Copies()
    copies.backup(above / "inner")
    copies.restore(above / "inner", target)
    made = landed(target, above)

    assert (stat.S_IMODE(made.stat().st_mode), made.stat().st_mtime_ns) == (0o711, above.stat().st_mtime_ns)
    made.chmod(0o700)
    copies.restore(above / "inner", target, overwrite="always")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("compression", ["None", "fast", "optimal", "best"])
def test_every_compression(source: Path, target: Path, compression: str) -> None:
    """Each name of the lookup makes a copy that restores."""
    copies = Copies()
    copies.backup(source, compression=compression)
    copies.restore(source, target)

    assert_same(source, landed(target, source))


def test_unknown_compression(source: Path) -> None:
    """A compression that is not in the lookup is refused."""
    with pytest.raises(Invalid, match="zip"):
        Copies().backup(source, compression="zip")


def test_many_files_in_one_folder(tmp_path: Path, target: Path) -> None:
    """A folder larger than what is held at once comes back whole, and ascending by name."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(2500):
        (source / f"{number:x}").write_text(str(number))
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)

    assert_same(source, landed(target, source))
    entries, total = copies.pool.reader("full").folder(os.fsencode(source), 0, 5000)
    assert (total, entries) == (2500, sorted(entries, key=lambda entry: entry.name))


def test_progress_ends_complete(source: Path) -> None:
    """The last progress of a backup says that all is done, and bytes were sent."""
    copies = Copies()
    made = copies.backup(source)
    files_done, files_total, bytes_done, bytes_total, sent = copies.watch.shown[-1]

    assert (files_done, bytes_done) == (files_total, bytes_total) == (made.files, made.size_bytes)
    assert sent == made.stored_bytes > 0
    assert copies.watch.phases == ["execution", "transmission"]


def test_kernel_file_systems_are_not_entered(tmp_path: Path) -> None:
    """A copy of /dev has its mount points as empty folders, and the log names them."""
    copies = Copies()
    copies.backup("/dev")

    reader = copies.pool.reader("full")
    assert reader.find(b"/dev/pts") is not None
    assert any(text.startswith("/dev/pts: a file system of type devpts") for text in copies.watch.texts("info"))
    assert b"/dev/pts" not in {path for path, _ in reader.folders()}
