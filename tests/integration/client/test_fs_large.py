"""Large files go past the page cache where that can be; what stands on disk in the end, and what is told, is the same."""

from __future__ import annotations

import errno
import gc
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore.backends.statfs import file_system_type
from rubackup.client.modules.filesystem import direct, plain, write
from rubackup.client.modules.filesystem.segments import Segment
from support.trees import Copies, assert_same, landed

BLOCK = direct.BLOCK_BYTES
LEAST = 64 << 10


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Large is what has 64 KiB, a step 32 KiB, a part 100,000 bytes; the file system of the tests counts as fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "FILE_SYSTEMS", frozenset({file_system_type(tmp_path_factory.getbasetemp())}))
        patch.setattr(direct, "DIRECT_BYTES", LEAST)
        patch.setattr(direct, "STEP_BYTES", LEAST // 2)
        patch.setattr(direct, "MEAN_BYTES", 0)
        patch.setattr(plain, "MOST_BYTES", LEAST - 1)
        patch.setattr(write, "PART_BYTES", 100_000)
        patch.setattr(write, "BATCH_BYTES", 300_000)
        yield patch


@pytest.fixture
def writes(small: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what was written past the cache."""
    real, seen = os.pwrite, []

    def note(fd: int, data: memoryview, offset: int) -> int:
        count = real(fd, data, offset)
        assert offset % BLOCK == len(data) % BLOCK == 0
        seen.append(count)
        return count

    small.setattr(os, "pwrite", note)
    return seen


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files around the borders, beside small ones and one that has holes."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    numbers = random.Random(7)
    for size in (1, LEAST - 1, LEAST, LEAST + 1, 2 * LEAST + BLOCK - 1, 300_000, 5_000_000):
        (source / "below" / str(size)).write_bytes(numbers.randbytes(size))
    with (source / "holes").open("wb") as file:
        file.write(numbers.randbytes(200_001))
        file.seek(3_000_000)
        file.write(numbers.randbytes(100_000))
        file.truncate(6_000_000)
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def copies(source: Path) -> Copies:
    copies = Copies()
    copies.backup(source)
    return copies


def test_only_the_ends_go_through_the_cache(copies: Copies, source: Path, target: Path, writes: list[int]) -> None:
    """Nearly all contents are whole blocks, a file with holes is none the larger, and nothing stays open or mapped."""
    gc.collect()  # what earlier tests have left open
    before = set(Path("/proc/self/fd").iterdir())
    copies.restore(source, target)

    assert copies.told() == []
    assert_same(source, landed(target, source))
    large = [path for path in source.rglob("*") if path.is_file() and path.stat().st_size >= LEAST]
    assert sum(path.stat().st_blocks * 512 for path in large) - len(large) * 4 * BLOCK <= sum(writes)
    assert (landed(target, source) / "holes").stat().st_blocks * 512 < 400_000
    assert set(Path("/proc/self/fd").iterdir()) <= before
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is direct.Staging and one._map]


@pytest.mark.parametrize(("workers", "least", "most"), [(1, 1, 1), (2, 1, 2), (None, 2, 40)])
def test_threads_that_wait_for_the_disk(
    copies: Copies, source: Path, target: Path, small: pytest.MonkeyPatch, workers: int | None, least: int, most: int
) -> None:
    """Where no number is given parts of large files have threads of their own, so others decode meanwhile."""
    real, seen, enough = direct.Direct.write, set(), threading.Event()

    def note(self: direct.Direct, segments: list[Segment], staging: direct.Staging) -> None:
        seen.add(threading.current_thread().name)
        if len(seen) >= least:
            enough.set()
        assert enough.wait(60), "one thread writes, and none beside it"
        real(self, segments, staging)

    small.setattr(direct.Direct, "write", note)
    copies.restore(source, target, common_parameters={"worker_parallelism": workers} if workers else {})

    assert_same(source, landed(target, source))
    assert least <= len(seen) <= most
    assert any(name.startswith("large") for name in seen) == (workers is None)


def test_changed_files_in_place(copies: Copies, source: Path, writes: list[int]) -> None:
    """A large file that has other contents is replaced as a whole, and what is as in the copy is left alone."""
    stays = (source / "below" / "300000").stat()
    with (source / "below" / "5000000").open("r+b") as file:
        file.seek(777_777)
        file.write(b"changed")
    (source / "holes").write_bytes(b"short")
    saved = source.with_name("saved")
    copies.restore(source, in_place=True)
    copies.restore(source, saved)

    assert copies.told() == []
    assert_same(landed(saved, source), source)
    assert (source / "below" / "300000").stat().st_ino == stays.st_ino
    assert writes


def failing(code: int, at: int = 3) -> Callable[[int, memoryview, int], int]:
    """An os.pwrite that fails once, or, as a full disk does, from then on."""
    real, calls = os.pwrite, []

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        calls.append(offset)
        if len(calls) == at or (code == errno.ENOSPC and len(calls) > at):
            raise OSError(code, os.strerror(code))
        return real(fd, data, offset)

    return pwrite


def test_a_write_that_is_refused(copies: Copies, source: Path, target: Path, small: pytest.MonkeyPatch) -> None:
    """That file goes on through the cache."""
    small.setattr(os, "pwrite", failing(errno.EINVAL))
    copies.restore(source, target)
    assert copies.told() == []
    assert_same(source, landed(target, source))


@pytest.mark.parametrize(
    ("code", "why"), [(errno.ENOSPC, "no space left on device"), (errno.EIO, "input/output error")]
)
def test_a_write_that_fails(
    copies: Copies, source: Path, target: Path, small: pytest.MonkeyPatch, code: int, why: str
) -> None:
    """The files that it hits are told, with the reason, and nothing of them is left; the others are there."""
    small.setattr(os, "pwrite", failing(code))
    done = copies.restore(source, target)

    lines = copies.told()
    assert lines
    assert done.files_failed == len(lines)
    assert {line.partition(": ")[2] for line in lines} == {f"cannot be restored: {why}"}
    failed = {Path(line.partition(": ")[0]).name for line in lines}
    there = {path.name for path in landed(target, source).rglob("*") if path.is_file()}
    assert there == {path.name for path in source.rglob("*") if path.is_file()} - failed
    assert {"1", str(LEAST - 1)} <= there


def test_no_room_for_all_of_a_file(copies: Copies, source: Path, target: Path, small: pytest.MonkeyPatch) -> None:
    """Known when the file is begun."""

    def take(_fd: int, size_bytes: int) -> None:
        if size_bytes > 4_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    small.setattr(direct, "_take_blocks", take)
    copies.restore(source, target)

    assert copies.told() == [f"{source}/below/5000000: cannot be restored: no space left on device"]
    assert not [path for path in target.rglob("*") if path.name == "5000000" or path.name.startswith(".rubackup")]


def test_a_full_file_system(copies: Copies, source: Path, tmp_path: Path) -> None:
    """A real one: what has no room is told, and the rest is whole. Needs loop devices."""
    image, point = tmp_path / "image", tmp_path / "mounted"
    point.mkdir()
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("only root mounts file systems")
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, point], check=False, capture_output=True).returncode:
        pytest.skip("no loop devices here")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(direct, "DIRECT_BYTES", LEAST)
            patch.setattr(plain, "MOST_BYTES", LEAST - 1)
            copies.restore(source, point)
        assert copies.told() == [f"{source}/below/5000000: cannot be restored: no space left on device"]
        (source / "below" / "5000000").unlink()
        there = landed(point, source)
        os.utime(source / "below", ns=(0, (there / "below").stat().st_mtime_ns))
        assert_same(source, there)
    finally:
        subprocess.run(["umount", point], check=True)


def test_memory_as_destination(copies: Copies, source: Path, small: pytest.MonkeyPatch) -> None:
    """A file system that is the page cache itself."""
    small.undo()
    shared = Path("/dev/shm")
    if file_system_type(shared) != 0x01021994:
        pytest.skip("/dev/shm is not a tmpfs")
    point = shared / f"rubackup-large-{os.getpid()}"
    try:
        copies.restore(source, point)
        assert copies.told() == []
        assert_same(source, landed(point, source))
    finally:
        shutil.rmtree(point)


sizes = st.tuples(
    st.sampled_from([0, BLOCK, LEAST, LEAST // 2, 100_000, 200_000, 300_000, 400_000]),
    st.sampled_from([-BLOCK - 1, -1, 0, 1, BLOCK, 777]),
).map(lambda pair: max(0, sum(pair)))
extents = st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=4)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(files=st.lists(extents, min_size=1, max_size=3), workers=st.sampled_from([None, 1, 3]))
def test_any_files(
    small: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, files: list, workers: int | None
) -> None:
    """Whatever they hold: restored to a new place, and over files of the same names with other contents."""
    root = tmp_path_factory.mktemp("any")
    source, target = root / "source", root / "target"
    source.mkdir()
    numbers = random.Random(3)
    for number, wanted in enumerate(files):
        with (source / str(number)).open("wb") as file:
            for size, is_hole in wanted:
                if is_hole:
                    file.truncate(file.tell() + size)
                    file.seek(0, os.SEEK_END)
                else:
                    file.write(numbers.randbytes(size))
    copies = Copies()
    copies.backup(source)
    parameters = {"worker_parallelism": workers} if workers else {}
    for _ in range(2):
        copies.restore(source, target, common_parameters=parameters)
        assert copies.told() == []
        assert_same(source, landed(target, source))
        for path in landed(target, source).iterdir():
            path.write_bytes(b"other")
    shutil.rmtree(root)
