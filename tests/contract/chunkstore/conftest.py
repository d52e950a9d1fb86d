"""Fixtures of the chunk store's suites."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block import BlockBackend, format_device
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.backends.s3.backend import S3Backend
from support import buckets
from support.chunkstore import Place
from support.devices import NoLoopDevices, loop_device

_RADOSGW = ["radosgw"] if os.environ.get("RADOSGW") else []


@pytest.fixture(params=["local", "memory", "faults", "file device", "loop device", "s3", *_RADOSGW])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each backend and wrapper, empty."""
    if request.param == "local":
        yield LocalBackend(tmp_path)
    elif request.param == "memory":
        yield MemoryBackend()
    elif request.param == "faults":
        yield FaultyBackend(MemoryBackend(), lambda *_: None)
    elif request.param == "s3":
        yield buckets.backend(request.getfixturevalue("s3"), tmp_path)
    elif request.param == "radosgw":
        radosgw = request.getfixturevalue("radosgw")
        where = radosgw.location(tmp_path, f"contract{uuid.uuid4().hex}")
        radosgw.create(where)
        yield S3Backend(where)
    elif request.param == "file device":
        format_device(tmp_path / "device", size_bytes=64 << 20)
        yield from _opened(tmp_path / "device")
    else:
        try:
            with loop_device(tmp_path / "image", 64 << 20) as path:
                format_device(path)
                yield from _opened(path)
        except NoLoopDevices as error:
            pytest.skip(str(error))


def _opened(path: Path) -> Iterator[BlockBackend]:
    found = BlockBackend.open(path)
    yield found
    found.close()


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where fsync costs nothing, for tests that open hundreds of pools."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A pool with storages in memory."""
    found = Place(tmp_path)
    yield found
    found.close()


@pytest.fixture(params=["local", "memory", "device", "s3"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A pool with one storage: a folder, memory, a block device, a bucket."""
    found = Place(tmp_path)
    if request.param == "device":
        found.make_device()
    if request.param == "s3":
        found.backends["one"] = buckets.backend(request.getfixturevalue("s3"), tmp_path / "spool")
    if request.param == "local":
        (tmp_path / "storage").mkdir()
        found.backends["one"] = LocalBackend(tmp_path / "storage")
    yield found
    found.close()
