"""The places that are measured: how each is made new, written and read raw, and put out of the page cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.pools.data import MIB, PIECE_BYTES

from rubackup.chunkstore.backends.block import format_device
from rubackup.chunkstore.backends.s3.client import Client
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.locations import Device, Folder, Location

_STEP = MIB
"""Of a raw write: as large as a group."""
_BLKFLSBUF = 0x1261


class Place(Protocol):
    """Where pools and raw files are written in turn."""

    name: str
    ways: Sequence[int]
    """How many raw writes at once; the first is what the pool is compared with."""

    def renew(self) -> None:
        """Empty it."""

    def location(self) -> Location:
        """An empty storage for a pool."""

    def write(self, pieces: list[bytes], at_once: int) -> None:
        """Write pieces raw, each durable when it is done."""

    def read(self, count: int, at_once: int) -> None:
        """Read back what was written."""

    def cool(self) -> None:
        """Nothing of it is in the page cache."""


def _each(work: Callable[[int], object], count: int, at_once: int) -> None:
    if at_once == 1:
        for number in range(count):
            work(number)
        return
    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(work, range(count)))


def _write_at(handle: int, offset: int, piece: bytes) -> None:
    view = memoryview(piece)
    for at in range(0, len(piece), _STEP):
        part = view[at : at + _STEP]
        if os.pwrite(handle, part, offset + at) != len(part):
            raise OSError("a write was cut short")
    os.fdatasync(handle)


def _read_at(handle: int, offset: int, length: int) -> None:
    for at in range(0, length, _STEP):
        if len(os.pread(handle, min(_STEP, length - at), offset + at)) != min(_STEP, length - at):
            raise OSError("a read was cut short")


def _forget(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


class FolderPlace:
    """A folder of the disk: files."""

    ways = (1,)

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = "folder", folder

    def renew(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "raw").mkdir(parents=True)
        (self._folder / "pool").mkdir()

    def location(self) -> Location:
        """A storage in it, empty."""
        return Folder(self._folder / "pool")

    def write(self, pieces: list[bytes], at_once: int) -> None:
        """Each piece durable when it is done."""

        def one(number: int) -> None:
            handle = os.open(self._folder / "raw" / f"{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write_at(handle, 0, pieces[number])
            finally:
                os.close(handle)

        _each(one, len(pieces), at_once)

    def read(self, count: int, at_once: int) -> None:
        """What was written raw."""

        def one(number: int) -> None:
            handle = os.open(self._folder / "raw" / f"{number}", os.O_RDONLY)
            try:
                _read_at(handle, 0, os.fstat(handle).st_size)
            finally:
                os.close(handle)

        _each(one, count, at_once)

    def cool(self) -> None:
        """Nothing of it is in the page cache."""
        for path in self._folder.rglob("*"):
            if path.is_file():
                _forget(path)


class DevicePlace:
    """A device, or a file used as one: raw writes go to the same blocks as the pool's."""

    ways = (1,)

    def __init__(self, name: str, path: Path, *, image: Path | None = None) -> None:
        self.name, self._path, self._image = name, path, image

    def renew(self) -> None:
        """Nothing has to be removed."""

    def location(self) -> Location:
        """A storage in it, empty."""
        format_device(self._path, overwrite=True)
        return Device(self._path)

    def write(self, pieces: list[bytes], at_once: int) -> None:
        """Each piece durable when it is done."""
        handle = os.open(self._path, os.O_WRONLY)
        try:
            _each(lambda number: _write_at(handle, MIB + number * PIECE_BYTES, pieces[number]), len(pieces), at_once)
        finally:
            os.close(handle)

    def read(self, count: int, at_once: int) -> None:
        """What was written raw."""
        handle = os.open(self._path, os.O_RDONLY)
        try:
            _each(lambda number: _read_at(handle, MIB + number * PIECE_BYTES, PIECE_BYTES), count, at_once)
        finally:
            os.close(handle)

    def cool(self) -> None:
        """Nothing of it is in the page cache."""
        _forget(self._path)
        if self._image:
            handle = os.open(self._path, os.O_RDONLY)
            try:
                fcntl.ioctl(handle, _BLKFLSBUF)
            finally:
                os.close(handle)
            _forget(self._image)


def filled(path: Path, size_bytes: int) -> None:
    """A file all of whose blocks were written: in a new one the first who uses a block pays for it."""
    block = bytes(8 * MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(size_bytes // len(block)):
            file.write(block)
        os.fsync(file.fileno())


@contextmanager
def loop_place(image: Path, size_bytes: int) -> Iterator[DevicePlace]:
    """A loop device with direct I/O over a file; OSError where there is none."""
    filled(image, size_bytes)
    done = subprocess.run(
        ["losetup", "--find", "--show", "--direct-io=on", str(image)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(f"losetup: {done.stderr.strip()}")
    path = Path(done.stdout.strip())
    try:
        yield DevicePlace("loop device", path, image=image)
    finally:
        subprocess.run(["losetup", "--detach", str(path)], check=True)
        image.unlink()


class BucketPlace:
    """A bucket; the pool is compared with two requests at once, as it sends packs by two."""

    ways = (2, 1)

    def __init__(self, name: str, where: Bucket, removed: Callable[[], object] = lambda: None) -> None:
        """`removed` is called after objects were deleted."""
        self.name, self._where, self._removed = name, where, removed
        self._round = 0
        self._client = Client(replace(where, prefix="raw"))

    def renew(self) -> None:
        """Remove all objects and the spool."""
        everything = Client(replace(self._where, prefix=""))
        for folder in ("raw", f"pool{self._round}"):
            for item in list(everything.items(folder)):
                everything.delete(item.name)
        everything.close()
        shutil.rmtree(self._where.spool, ignore_errors=True)
        self._round += 1
        self._removed()

    def location(self) -> Location:
        """A storage in it, empty."""
        return replace(self._where, prefix=f"pool{self._round}")

    def write(self, pieces: list[bytes], at_once: int) -> None:
        """Each piece durable when it is done."""
        _each(lambda number: self._client.put(f"{at_once}/{number}", pieces[number], create=True), len(pieces), at_once)

    def read(self, count: int, at_once: int) -> None:
        """What was written raw."""
        _each(lambda number: self._client.read(f"{at_once}/{number}", 0, PIECE_BYTES), count, at_once)

    def cool(self) -> None:
        """It is in the memory of the server."""


@contextmanager
def test_server(spool: Path) -> Iterator[BucketPlace]:
    """The S3 server of the tests, in a process of its own."""
    program = (
        "import sys; from support.s3server import S3Server; s = S3Server(); s.bucket(); s.start(); "
        "print(s.endpoint, flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "tests")}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout
        assert server.stdin
        from support.s3server import ACCESS, SECRET

        try:
            endpoint = server.stdout.readline().strip()
            yield BucketPlace(
                "S3, server of the tests",
                Bucket(endpoint=endpoint, bucket="bucket", access_key=ACCESS, secret_key=SECRET, spool=spool),
            )
        finally:
            server.stdin.close()


@contextmanager
def radosgw_place(folder: Path, spool: Path) -> Iterator[BucketPlace]:
    """Debian's radosgw with a store in memory; OSError where it is not installed."""
    from support.radosgw import Radosgw, missing

    if reason := missing():
        raise OSError(reason)
    server = Radosgw(folder)
    try:
        server.start()
        where = server.location(spool, "bench", prefix="")
        server.create(where)
        # Deleted objects stay for two hours otherwise, and the store is small.
        yield BucketPlace("S3, radosgw", where, lambda: server.admin("gc", "process", "--include-all"))
    finally:
        server.stop()
