"""Packs written past the page cache: the same bytes as any other way, and errors that are told."""

from __future__ import annotations

import errno
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore.backends import _packfile, local
from rubackup.chunkstore.backends._packfile import STEP, PackAppender
from rubackup.chunkstore.backends.direct_io import BLOCK_BYTES, FILE_SYSTEMS
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.statfs import file_system_type
from rubackup.domain.errors import StorageFault, StorageFull

SIZES = st.one_of(
    st.integers(0, 3 * BLOCK_BYTES),
    st.integers(STEP - BLOCK_BYTES - 1, STEP + BLOCK_BYTES + 1),
    st.sampled_from([BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, STEP, 2 * STEP, 3 * STEP + 17]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), SIZES), st.tuples(st.just("sync"), st.just(0)),
        st.tuples(st.just("cut"), st.integers(0, 100)),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip
NOISE = os.urandom(4 * STEP)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """On a file system that takes direct writes."""
    if file_system_type(tmp_path) not in FILE_SYSTEMS:
        pytest.skip(f"{tmp_path} is on no file system of those that are written to directly")
    return tmp_path


@pytest.mark.parametrize("direct", [True, False])
@given(steps=STEPS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_file_holds_what_was_written(folder: Path, steps: list[tuple[str, int]], direct: bool) -> None:
    """In whatever pieces, with syncs and cuts between them; after each sync it is in the file."""
    path = folder / os.urandom(8).hex()
    file = PackAppender("here", path, direct=direct)
    wanted = bytearray()
    for what, number in steps:
        if what == "write":
            piece = NOISE[len(wanted) % 977 :][:number]
            file.write(piece)
            wanted += piece
        elif what == "sync":
            file.sync()
            assert path.read_bytes() == wanted
        else:
            size = len(wanted) * number // 100
            file.truncate(size)
            del wanted[size:]
        assert file.size_bytes == len(wanted)
    file.close()

    assert path.read_bytes() == wanted
    path.unlink()


def test_full_steps_go_past_the_page_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole steps at multiples of the block, the rest as usual."""
    seen: list[tuple[bool, int, int]] = []
    real = os.pwrite

    def pwrite(handle: int, data: Any, at: int) -> int:
        import fcntl

        seen.append((bool(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT), len(data), at))
        return real(handle, data, at)

    monkeypatch.setattr(_packfile.os, "pwrite", pwrite)
    file = PackAppender("here", folder / "pack", direct=True)
    file.write(NOISE[: 2 * STEP + 5000])
    file.sync()
    file.write(NOISE[:STEP])
    file.sync()
    file.close()

    assert seen == [
        (True, STEP, 0), (True, STEP, STEP), (False, 5000, 2 * STEP),
        (True, STEP, 2 * STEP + BLOCK_BYTES), (False, 5000 - BLOCK_BYTES, 3 * STEP + BLOCK_BYTES),
    ]  # fmt: skip


def test_a_file_system_that_refuses_is_written_to_as_usual(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EINVAL of the first direct write."""
    real, refused = os.pwrite, []

    def pwrite(handle: int, data: Any, at: int) -> int:
        import fcntl

        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(at)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(handle, data, at)

    monkeypatch.setattr(_packfile.os, "pwrite", pwrite)
    file = PackAppender("here", folder / "pack", direct=True)
    file.write(NOISE)
    file.sync()
    file.close()

    assert refused == [0]
    assert (folder / "pack").read_bytes() == NOISE


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EIO, StorageFault)])
def test_an_error_is_told_by_a_later_call_and_by_all_that_follow(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageFault]
) -> None:
    """Nothing behind it is written; cut, the file ends before it."""
    real = os.pwrite

    def pwrite(handle: int, data: Any, at: int) -> int:
        if at >= 2 * STEP:
            raise OSError(number, os.strerror(number))
        return real(handle, data, at)

    monkeypatch.setattr(_packfile.os, "pwrite", pwrite)
    file = PackAppender("here", folder / "pack", direct=True)
    with pytest.raises(kind, match=os.strerror(number)):
        _fill(file, 12)
    for call in (file.sync, lambda: file.write(b"x")):
        with pytest.raises(kind):
            call()
    file.truncate(5 * STEP)

    assert file.size_bytes == 2 * STEP
    with pytest.raises(kind):
        file.sync()
    file.close()
    assert (folder / "pack").stat().st_size == 2 * STEP


def _fill(file: PackAppender, steps: int) -> None:
    for _ in range(steps):
        file.write(NOISE[:STEP])


def _held() -> set[object]:
    """Threads and descriptors."""
    return {*threading.enumerate(), *Path("/proc/self/fd").iterdir()}


def test_nothing_is_left_of_a_closed_file(folder: Path) -> None:
    """No thread, no descriptor; memory is used again."""
    gc.collect()  # what earlier tests have left
    before = _held()
    for number in range(3):
        file = PackAppender("here", folder / str(number), direct=True)
        file.write(NOISE)
        file.close()
        file.close()

    assert _held() <= before
    assert len(_packfile._spare) <= _packfile._SPARE


def test_without_threads_it_is_written_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process ends."""

    def refuse(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_packfile.ThreadPoolExecutor, "submit", refuse)
    file = PackAppender("here", folder / "pack", direct=True)
    file.write(NOISE)

    assert (folder / "pack").read_bytes() == NOISE
    file.close()


def test_what_waits_is_room_that_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a backup would go on in a storage that is full, and end there."""
    always = os.statvfs(folder)
    monkeypatch.setattr(local.os, "statvfs", lambda _path: always)
    backend = LocalBackend(folder)
    before = backend.space().free_bytes
    file = backend.append("packs/ab/one.open")
    file.write(NOISE[: STEP // 2])
    waiting = backend.space().free_bytes
    file.sync()
    synced = backend.space().free_bytes
    file.close()

    assert (before - waiting, before - synced) == (STEP // 2, 0)
    assert backend._growing == set()
