"""Whole blocks go past the page cache, the rest through it; whatever goes wrong, the file has what it should."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import random
import resource
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.chunkstore.backends.statfs import file_system_type
from rubackup.client.modules.filesystem import direct
from rubackup.client.modules.filesystem.direct import BLOCK_BYTES, DIRECT_BYTES, Direct, Staging, try_direct
from rubackup.client.modules.filesystem.segments import Segment

PWRITE, PWRITEV = os.pwrite, os.pwritev
BLOCK = BLOCK_BYTES


class Disk:
    """Takes the place of the kernel's writes: as strict as O_DIRECT can be, and it notes what goes which way."""

    def __init__(self, fail: Callable[[int, int], int] = lambda number, length: length) -> None:
        """`fail` gets the number of a direct write and its length; it says how much is taken, or raises."""
        self.fail = fail
        self.direct = self.cached = self.calls = 0
        self.is_refused = False
        """From then on the file is written without O_DIRECT, and anything is taken."""

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        """As the kernel would."""
        address = ctypes.addressof(ctypes.c_char.from_buffer(data))
        if not self.is_refused and (address % BLOCK or offset % BLOCK or len(data) % BLOCK):
            self.is_refused = True
            raise OSError(errno.EINVAL, "not aligned")
        self.calls += 1
        try:
            count = PWRITE(fd, data[: self.fail(self.calls, len(data))], offset)
        except OSError:
            self.is_refused = True
            raise
        self.direct += count
        return count

    def pwritev(self, fd: int, views: list[memoryview], offset: int) -> int:
        """Through the cache."""
        count = PWRITEV(fd, views, offset)
        self.cached += count
        return count


@contextmanager
def small_steps(disk: Disk, **figures: int) -> Iterator[None]:
    """Steps of three blocks, written to `disk`; other figures of the module."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"STEP_BYTES": 3 * BLOCK, "MEAN_BYTES": 0, **figures}.items():
            patch.setattr(direct, name, value)
        patch.setattr(os, "pwrite", disk.pwrite)
        patch.setattr(os, "pwritev", disk.pwritev)
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def write_all(path: Path, parts: list[list[Segment]], size: int) -> Direct:
    """Write the parts, two threads' buffers in turn."""
    stagings = [Staging(), Staging()]
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        file = Direct(fd, size)
        for number, part in enumerate(parts):
            file.write(part, stagings[number % 2])
        file.finish()
        os.ftruncate(fd, size)
        assert not file._waiting
    finally:
        os.close(fd)
        for staging in stagings:
            staging.close()
    return file


near = st.integers(0, 9).flatmap(lambda blocks: st.integers(-2, 2).map(lambda more: max(1, blocks * BLOCK + more)))
lengths = st.one_of(near, st.integers(1, 5 * BLOCK))
pieces = st.lists(st.tuples(lengths, st.sampled_from("dddh-")), min_size=1, max_size=12)


def cut(wanted: list[tuple[int, str]], seed: int) -> tuple[bytes, list[list[Segment]]]:
    """Contents, and the parts of it in some order; `d` goes on, `-` begins a part, `h` is a hole."""
    source = random.Random(seed)
    data, parts = bytearray(), [[]]
    goes_on = False
    for length, kind in wanted:
        offset = len(data)
        if kind == "h":
            data += bytes(length)
            goes_on = False
            continue
        chunk = source.randbytes(length)
        data += chunk
        if kind == "-":
            parts.append([])
            goes_on = False
        if goes_on:
            parts[-1][-1][1].append(memoryview(chunk))
        else:
            parts[-1].append((offset, [memoryview(chunk)]))
        goes_on = True
    source.shuffle(parts)
    return bytes(data), parts


@settings(deadline=None, max_examples=150)
@given(wanted=pieces, seed=st.integers(0, 99))
def test_any_contents_in_any_order(tmp_path_factory: pytest.TempPathFactory, wanted: list, seed: int) -> None:
    """Without holes only the last bytes go through the cache, and the file has its length by what is written."""
    path = tmp_path_factory.getbasetemp() / "any"
    data, parts = cut(wanted, seed)
    disk = Disk()
    with small_steps(disk):
        write_all(path, parts, len(data))

    assert path.read_bytes() == data
    assert not disk.is_refused
    if "h" not in {kind for _, kind in wanted}:
        assert disk.cached == len(data) % BLOCK


@settings(deadline=None, max_examples=150)
@given(
    wanted=pieces,
    seed=st.integers(0, 99),
    at=st.integers(1, 6),
    how=st.sampled_from(["refused", "short", "odd", "many", "small"]),
)
def test_it_goes_on_through_the_cache(
    tmp_path_factory: pytest.TempPathFactory, wanted: list, seed: int, at: int, how: str
) -> None:
    """A write that is refused or cut short, too many parts that wait, too many small writes: the contents are the same."""

    def fail(number: int, length: int) -> int:
        if number == at and how == "refused":
            raise OSError(errno.EINVAL, "not here")
        return {"short": max(BLOCK, length // 2 // BLOCK * BLOCK), "odd": 1 + length // 2}.get(how, length)

    path = tmp_path_factory.getbasetemp() / "again"
    data, parts = cut(wanted, seed)
    disk = Disk(fail)
    figures = {"many": {"PENDING": at // 2}, "small": {"MEAN_BYTES": 3 * BLOCK + 1, "GRACE_BYTES": at}}
    with small_steps(disk, **figures.get(how, {})):
        write_all(path, parts, len(data))

    assert path.read_bytes() == data


@pytest.mark.parametrize("way", ["whole", "hole", "refused"])
def test_only_the_last_bytes_are_left_to_the_cache(path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """What else went through it is synced before the file gets its name: it has its size on the disk already."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)

    def fail(number: int, length: int) -> int:
        if way == "refused" and number == 2:
            raise OSError(errno.EINVAL, "not here")
        return length

    size = 9 * BLOCK + 5
    data = random.Random(1).randbytes(size)
    if way == "hole":
        data = data[: BLOCK + 7] + bytes(BLOCK - 7) + data[2 * BLOCK :]
        part = [(0, [memoryview(data)[: BLOCK + 7]]), (2 * BLOCK, [memoryview(data)[2 * BLOCK :]])]
    else:
        part = [(0, [memoryview(data)])]
    with small_steps(Disk(fail)):
        write_all(path, [part], size)

    assert path.read_bytes() == data
    assert len(synced) == (way != "whole")


def test_a_full_disk_is_told(path: Path) -> None:
    """By the error of the write; nothing goes through the cache in its place."""

    def fail(number: int, length: int) -> int:
        if number == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return length

    disk = Disk(fail)
    with small_steps(disk), pytest.raises(OSError, match="No space left") as caught:
        write_all(path, [[(0, [memoryview(bytes(9 * BLOCK))])]], 9 * BLOCK)
    assert caught.value.errno == errno.ENOSPC
    assert (disk.direct, disk.cached) == (3 * BLOCK, 0)


def test_what_is_refused_twice_is_told(path: Path) -> None:
    """A file system that takes the write neither way."""

    def fail(number: int, length: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    with small_steps(Disk(fail)), pytest.raises(OSError, match="Invalid argument"):
        write_all(path, [[(0, [memoryview(bytes(BLOCK))])]], BLOCK)


def test_many_small_writes_go_through_the_cache(path: Path) -> None:
    """Each would wait for the disk: a file with a hole after each block."""
    chunks = [memoryview(random.Random(number).randbytes(BLOCK)) for number in range(300)]
    parts: list[list[Segment]] = [[(number * 2 * BLOCK, [chunk])] for number, chunk in enumerate(chunks)]
    disk = Disk()
    with small_steps(disk, MEAN_BYTES=direct.MEAN_BYTES):
        file = write_all(path, parts, 600 * BLOCK)

    assert not file.is_on
    assert disk.calls < 70
    assert disk.direct + disk.cached == 300 * BLOCK
    data = path.read_bytes()
    assert [data[at * 2 * BLOCK :][:BLOCK] for at in range(300)] == [bytes(chunk) for chunk in chunks]
    assert path.stat().st_blocks * 512 < 400 * BLOCK


@pytest.fixture
def here(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An empty file on a file system that counts as one that takes it well."""
    monkeypatch.setattr(direct, "FILE_SYSTEMS", frozenset({file_system_type(path.parent)}))
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_threads_share_a_file(here: int, path: Path) -> None:
    """With the kernel's own O_DIRECT, where the file system of the tests has it."""
    data = random.Random(1).randbytes(DIRECT_BYTES * 3 + 123)
    borders = [0, *sorted(random.Random(2).sample(range(1, len(data)), 60)), len(data)]
    parts = [[(begin, [memoryview(data)[begin:end]])] for begin, end in pairwise(borders)]
    random.Random(3).shuffle(parts)
    file = try_direct(here, len(data), is_dense=True) or Direct(here, len(data))
    left, failed = iter(parts), []

    def work() -> None:
        staging = Staging()
        try:
            for part in left:
                file.write(part, staging)
        except BaseException as error:
            failed.append(error)
        staging.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    left = iter(list(left))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.finish()

    assert failed == []
    assert path.read_bytes() == data
    assert not fcntl.fcntl(here, fcntl.F_GETFL) & os.O_DIRECT


def test_small_files_keep_the_cache(here: int) -> None:
    """And so does any on a file system that is not known for it."""
    assert try_direct(here, DIRECT_BYTES - 1, is_dense=True) is None
    assert os.fstat(here).st_size == 0


def test_other_file_systems_keep_the_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system in memory may take O_DIRECT; it is the page cache itself."""
    shared = Path("/dev/shm")
    if file_system_type(shared) != 0x01021994:
        pytest.skip("/dev/shm is not a tmpfs")
    fd = os.open(shared, os.O_RDWR | os.O_TMPFILE)
    try:
        assert try_direct(fd, DIRECT_BYTES, is_dense=True) is None
        assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT
    finally:
        os.close(fd)


def test_a_descriptor_that_refuses_the_flag(here: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """EINVAL of F_SETFL: the file goes through the cache."""
    real = fcntl.fcntl

    def refuse(fd: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_SETFL and value & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, command, value)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert try_direct(here, DIRECT_BYTES, is_dense=True) is None
    assert os.fstat(here).st_size == 0


class Kernel:
    """Answers for the C library: statx says these alignments, the rest is real."""

    def __init__(self, fields: int, memory_bytes: int, offset_bytes: int) -> None:
        self._answer = struct.pack("=I148xII", fields, memory_bytes, offset_bytes)
        self._real = direct._libc

    def statx(self, _fd: int, _path: bytes, _flags: int, _mask: int, found: ctypes.Array[ctypes.c_char]) -> int:
        """Fill in the answer."""
        found[: len(self._answer)] = self._answer
        return 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


@pytest.mark.parametrize(
    ("fields", "memory_bytes", "offset_bytes", "taken"),
    [
        (0x2000, 512, 512, True),
        (0x2000, 4, 4096, True),
        (0x2000, 0, 0, False),  # journaled or encrypted contents
        (0x2000, 512, 65536, False),
        (0x07FF, 0, 0, True),  # a kernel before 6.1 does not tell
    ],
)
def test_what_the_kernel_says_of_the_file(
    here: int, monkeypatch: pytest.MonkeyPatch, fields: int, memory_bytes: int, offset_bytes: int, taken: bool
) -> None:
    """Direct I/O is not tried where it is not taken, or only in larger blocks."""
    monkeypatch.setattr(direct, "_libc", Kernel(fields, memory_bytes, offset_bytes))
    assert direct._is_taken_well(here) is taken


def test_real_answer_of_the_kernel(here: int) -> None:
    """The fields lie where we look: a power of two, or the kernel does not tell."""
    found = ctypes.create_string_buffer(256)
    if direct._libc.statx(here, b"", 0x1000, 0x2000, found):
        pytest.skip("no statx")
    fields, memory_bytes, offset_bytes = direct._STATX.unpack(found)
    if not fields & 0x2000:
        pytest.skip("this kernel or file system does not tell alignments")
    assert offset_bytes & (offset_bytes - 1) == memory_bytes & (memory_bytes - 1) == 0
    assert offset_bytes <= 65536 >= memory_bytes


def test_no_room_for_the_blocks(here: int) -> None:
    """Told before anything is written, with the kernel's reason."""
    if try_direct(here, DIRECT_BYTES, is_dense=False) is None:
        pytest.skip("no O_DIRECT here")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            try_direct(here, DIRECT_BYTES, is_dense=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mapped_bytes() -> int:
    """Address space of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * 4096


def test_staging_is_given_back() -> None:
    """It is aligned, the same each time, and may be closed and used again."""
    staging = Staging()
    staging.close()
    grown = []
    for _ in range(3):  # other threads may map something meanwhile
        before = mapped_bytes()
        for _ in range(20):
            view = staging.view
            assert len(view) == direct.STEP_BYTES
            assert ctypes.addressof(ctypes.c_char.from_buffer(view)) % BLOCK == 0
            assert staging.view is view
            staging.close()
        del view
        grown.append(mapped_bytes() - before)
    assert min(grown) < 2 * direct.STEP_BYTES, grown
