"""Fixtures of the chunk store's suites."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.backends.s3.backend import S3Backend
from support import buckets
from support.chunkstore import Place
from support.s3server import S3Server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server in this process."""
    server = S3Server().start()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server) -> S3Server:
    """The S3 server, in order, with an empty bucket."""
    s3_server.reset()
    s3_server.bucket()
    return s3_server


@pytest.fixture(params=["local", "memory", "faults", "s3", *(["radosgw"] if os.environ.get("RADOSGW") else [])])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each backend and wrapper, empty."""
    if request.param == "s3":
        return buckets.backend(request.getfixturevalue("s3"), tmp_path)
    if request.param == "radosgw":
        radosgw = request.getfixturevalue("radosgw")
        where = radosgw.location(tmp_path, f"contract{uuid.uuid4().hex}")
        radosgw.create(where)
        return S3Backend(where)
    if request.param == "local":
        return LocalBackend(tmp_path)
    inner = MemoryBackend()
    return inner if request.param == "memory" else FaultyBackend(inner, lambda *_: None)


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


@pytest.fixture(params=["local", "memory", "s3"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A pool with one storage: on disk, in memory, in a bucket."""
    found = Place(tmp_path)
    if request.param == "s3":
        found.backends["one"] = buckets.backend(request.getfixturevalue("s3"), tmp_path / "spool")
    if request.param == "local":
        (tmp_path / "storage").mkdir()
        found.backends["one"] = LocalBackend(tmp_path / "storage")
    yield found
    found.close()
