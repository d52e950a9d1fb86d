"""Files of a backup into a pool with a block size: cut at multiples of it, whatever they hold and however they are read."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore.digests import DigestSpec
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.modules.filesystem.reader import FileReader
from rubackup.client.ports import BackupJob, RestoreJob
from support.channels import RecordingWatch
from support.trees import assert_same, landed, make_rich_tree

KIB = 1 << 10
BLOCK = 128 * KIB


def pieces(file: Path, block: int = BLOCK, *, told: int | None = None, **more: int) -> list[bytes | int]:
    """How a file is cut; `told` is the size that it had when it was looked at."""
    reader = FileReader(lambda: None, block_bytes=block, **more)  # type: ignore[arg-type]
    handle = os.open(file, os.O_RDONLY)
    try:
        st = file.stat()
        if told is not None:
            fields = list(st)
            fields[6] = told
            st = os.stat_result(fields, {"st_blocks": told // 512 + 1})  # without holes
        return [piece if isinstance(piece, int) else bytes(piece) for piece in reader.pieces(handle, st)]
    finally:
        os.close(handle)


@pytest.mark.parametrize("block", [16 * KIB, 32 * KIB, 128 * KIB, 1024 * KIB])
def test_files_are_cut_at_multiples(tmp_path: Path, block: int) -> None:
    """Of each size around one: one chunk up to a block, then whole blocks and an odd tail; read early it is the same."""
    reader = FileReader(lambda: None, block_bytes=block)
    for size in (0, 1, block - 1, block, block + 1, 2 * block, 5 * block + 4097):
        data = random.Random(size).randbytes(size)
        (tmp_path / "file").write_bytes(data)
        wanted = [data[at : at + block] for at in range(0, size, block)]
        assert pieces(tmp_path / "file", block) == wanted
        assert [bytes(piece) for piece in reader.small(data)] == wanted


@pytest.mark.parametrize("read_bytes", [2 << 20, (2 << 20) + 1, 3 * BLOCK * 8 - 5])
def test_what_is_read_at_once_moves_nothing(tmp_path: Path, read_bytes: int) -> None:
    """Also where it is no multiple of a block."""
    data = random.Random(1).randbytes((5 << 20) + 77)
    (tmp_path / "file").write_bytes(data)

    assert pieces(tmp_path / "file", read_bytes=read_bytes) == [
        data[at : at + BLOCK] for at in range(0, len(data), BLOCK)
    ]


def test_holes_move_no_cut(tmp_path: Path) -> None:
    """Blocks are counted from the beginning of the file; a hole ends a chunk, and the next cut is at the next multiple."""
    file = tmp_path / "sparse"
    with file.open("wb") as opened:
        opened.write(b"a" * 4096)
        opened.seek(BLOCK + 8192)
        opened.write(b"b" * (2 * BLOCK))
        opened.truncate(10 * BLOCK)
    if file.stat().st_blocks * 512 >= file.stat().st_size:
        pytest.skip("this file system stores holes")
    found = pieces(file)

    at = 0
    for piece in found:
        length = piece if isinstance(piece, int) else len(piece)
        if not isinstance(piece, int):
            assert at // BLOCK == (at + length - 1) // BLOCK
        at += length
    assert at == 10 * BLOCK
    assert b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in found) == file.read_bytes()
    assert any(isinstance(piece, int) for piece in found)
    assert [len(piece) for piece in found if isinstance(piece, bytes)] == [4096, BLOCK - 8192, BLOCK, 8192]


def test_a_file_that_changes_its_length_while_it_is_read(tmp_path: Path) -> None:
    """One that grew is read up to the length that it had, one that shrank up to its end."""
    data = random.Random(3).randbytes(7 * BLOCK + 5)
    (tmp_path / "file").write_bytes(data)

    assert b"".join(pieces(tmp_path / "file", told=3 * BLOCK + 9)) == data[: 3 * BLOCK + 9]  # type: ignore[arg-type]
    assert b"".join(pieces(tmp_path / "file", told=9 * BLOCK)) == data  # type: ignore[arg-type]
    assert [len(piece) for piece in pieces(tmp_path / "file", told=9 * BLOCK)][-1] == 5  # type: ignore[arg-type]


def test_room_for_a_block() -> None:
    """A reader that could not hold one is refused."""
    with pytest.raises(ValueError, match="larger"):
        FileReader(lambda: None, block_bytes=1 << 20, read_bytes=(1 << 20) - 1)


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[Callable[[str], Pool]]:
    """Pools of blocks of 128 KiB that record SHA-256."""
    opened: list[Pool] = []

    def make(name: str) -> Pool:
        (tmp_path / name).mkdir()
        opened.append(
            Pool.open(
                uuid=uuid.uuid4().hex, metadata=tmp_path / f"{name}-metadata", storages=folders([tmp_path / name]),
                reserve_bytes=0, level=1, digest=DigestSpec("sha2", 256), block_bytes=BLOCK,
            )
        )  # fmt: skip
        return opened[-1]

    yield make
    for pool in opened:
        pool.close()


def backup(pool: Pool, source: Path, parent: str = "") -> str:
    """Back the tree up, by a clock that is ahead."""
    record = uuid.uuid4().hex
    session = pool.begin(owner="one", task_id=1, fence=1, record=record, parent=parent or None, share=False)
    kind = "incremental" if parent else "full"
    job = BackupJob(record, parent, "one", str(source), kind, common_parameters={"enable_flexible_dedup": True})
    later = source.stat().st_ctime_ns + (120 if parent else 60) * 10**9
    Backup(job, session, RecordingWatch(), now_ns=lambda: later).run()
    return record


def rows(pool: Pool, record: str, path: Path) -> list[tuple[bytes, int]]:
    """The rows of a file."""
    session = pool.read(record)
    reader = ManifestReader(session.read_manifest, session.manifest_bytes)
    entry = reader.find(os.fsencode(path))
    assert entry is not None
    return reader.rows(entry.first_row, entry.rows)


def test_a_tree_comes_back_and_an_incremental_sends_one_block(make_pool: Callable[[str], Pool], tmp_path: Path) -> None:
    """A rich tree is restored whole; of a large file in which one byte changed one block is new, the rest is the parent's."""
    pool = make_pool("pool")
    source = tmp_path / "source"
    make_rich_tree(source)
    data = bytearray(random.Random(5).randbytes(20 * BLOCK + 100))
    (source / "large").write_bytes(data)
    first = backup(pool, source)
    before = pool.usage().chunks
    data[7 * BLOCK + 3] ^= 1
    (source / "large").write_bytes(data)
    second = backup(pool, source, first)

    one, two = (rows(pool, record, source / "large") for record in (first, second))
    assert [length for _, length in two] == [BLOCK] * 20 + [100]
    assert [number for number, (old, new) in enumerate(zip(one, two, strict=True)) if old != new] == [7]
    assert pool.usage().chunks == before + 1
    session = pool.read(second)
    assert ManifestReader(session.read_manifest, session.manifest_bytes).header.chunker == (BLOCK, BLOCK, BLOCK, 0)
    done = FileSystemModule().restore(
        RestoreJob(second, "one", str(source), str(tmp_path / "target")), session, RecordingWatch()
    )
    assert done.files_failed == 0
    assert_same(source, landed(tmp_path / "target", source))
    for record in (first, second):
        result = pool.verify(record, lambda *_: None, lambda: None)
        assert (result.damaged, result.flaws, result.mended) == ([], [], [])


def test_no_chunk_is_longer_than_a_block(make_pool: Callable[[str], Pool], tmp_path: Path) -> None:
    """Of any file, also where large files are asked to be cut coarsely; equal blocks of two files are one chunk."""
    pool = make_pool("pool")
    source = tmp_path / "source"
    source.mkdir()
    shared = random.Random(6).randbytes(4 * BLOCK)
    for name, content in (("a", shared), ("b", b"x" * BLOCK + shared), ("c", shared[: BLOCK + 1]), ("d", b"tiny")):
        (source / name).write_bytes(content)
    record = backup(pool, source)
    found = {name: rows(pool, record, source / name) for name in "abcd"}

    assert all(0 < length <= BLOCK for each in found.values() for chunk, length in each if chunk != HOLE)
    assert found["b"][1:] == found["a"]
    assert found["c"][0] == found["a"][0]
