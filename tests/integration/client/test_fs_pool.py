"""The module on a real pool: its sessions are the channels that the module needs."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typing_extensions import Buffer

from rubackup.chunkstore.identity import chunk_id
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool, WriteSession
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.ports import BackupChannel, BackupJob, BackupSummary, RestoreChannel, RestoreJob
from rubackup.domain.errors import Invalid, Stopped
from support.channels import RecordingWatch
from support.trees import assert_same, landed, make_rich_tree


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """A pool with one storage."""
    (tmp_path / "storage").mkdir()
    pool = Pool.open(
        uuid=uuid.uuid4().hex,
        metadata=tmp_path / "metadata",
        storages=folders([tmp_path / "storage"]),
        reserve_bytes=0,
        level=1,
    )
    yield pool
    pool.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    root = tmp_path / "source"
    make_rich_tree(root)
    return root


def backup(
    pool: Pool,
    source: Path,
    parent: str | None = None,
    *,
    owner: str = "one",
    share: bool = False,
    watch: RecordingWatch | None = None,
    send: Callable[[WriteSession], BackupChannel] = lambda session: session,
) -> tuple[str, BackupSummary]:
    """Back the tree up by a clock that is a minute ahead; the record and what was done."""
    record = uuid.uuid4().hex
    session = pool.begin(owner=owner, task_id=1, fence=1, record=record, parent=parent, share=share)
    channel = send(session)
    kind = "incremental" if parent else "full"
    job = BackupJob(record, parent or "", owner, str(source), kind)
    later = source.stat().st_ctime_ns + (120 if parent else 60) * 10**9
    try:
        return record, Backup(job, channel, watch or RecordingWatch(), now_ns=lambda: later).run()
    except Stopped:
        session.checkpoint()
        session.abort()
        raise


def restore(pool: Pool, source: Path, target: Path, record: str) -> None:
    """Restore everything and compare."""
    channel: RestoreChannel = pool.read(record)
    done = FileSystemModule().restore(RestoreJob(record, "one", str(source), str(target)), channel, RecordingWatch())
    assert done.files_failed == 0
    assert_same(source, landed(target, source))


def test_full_and_incremental(pool: Pool, source: Path, tmp_path: Path) -> None:
    """A copy, and one built upon it after changes, restore from a real pool; the second stores only the change."""
    first, whole = backup(pool, source)
    (source / "a" / "new").write_text("new")
    second, change = backup(pool, source, first)

    restore(pool, source, tmp_path / "target", second)
    assert change.stored_bytes < whole.stored_bytes / 10
    assert pool.sealed(second).files == whole.files + 1


def test_parent_is_read_between_uploads(pool: Pool, tmp_path: Path) -> None:
    """Reading the parent's manifest and sending chunks take turns on one session."""
    source = tmp_path / "source"
    for number in range(30):
        (source / f"{number:02}").mkdir(parents=True)
        for file in range(60):
            (source / f"{number:02}" / str(file)).write_bytes(bytes([number, file]) * 6000)
    first, _ = backup(pool, source)
    for number in range(0, 30, 2):
        (source / f"{number:02}" / "7").write_bytes(b"changed" * 10_000 + bytes([number]))
    second, made = backup(pool, source, first)

    assert made.files == 1800
    restore(pool, source, tmp_path / "target", second)


def test_possession_is_proved(pool: Pool, source: Path, tmp_path: Path) -> None:
    """Where hosts share chunks, a second host proves that it holds them and sends nothing."""
    backup(pool, source)
    other, made = backup(pool, source, owner="two", share=True)

    restore(pool, source, tmp_path / "target", other)
    assert made.stored_bytes < 20_000  # the manifest


def test_next_attempt_goes_on(pool: Pool, tmp_path: Path) -> None:
    """What a stopped backup had sent by its last checkpoint is not sent again by the next one."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(24_000_000))
    sent: list[int] = []
    enough, stopped = threading.Event(), threading.Event()

    def send(session: WriteSession) -> BackupChannel:
        real = session.put_group

        def put_group(*parts: Buffer) -> None:
            real(*parts)
            sent.append(sum(map(len, parts)))
            if len(sent) == 4:
                enough.set()
                assert stopped.wait(60)

        session.put_group = put_group  # type: ignore[method-assign]
        return session

    def stop_when_enough() -> None:
        if enough.is_set():
            stopped.set()
            raise Stopped

    with pytest.raises(Stopped):
        backup(pool, source, watch=RecordingWatch(on_check=stop_when_enough), send=send)
    assert 4 <= len(sent) < 20
    record, made = backup(pool, source)

    restore(pool, source, tmp_path / "target", record)
    assert made.stored_bytes < 24_000_000 - sum(sent) + 100_000


def test_a_chain_of_taken_segments(pool: Pool, tmp_path: Path) -> None:
    """Full, differential on it, incremental on that: each restores by itself, also when those below it are gone."""
    source = tmp_path / "source"
    for number in range(40):
        (source / f"{number:02}").mkdir(parents=True)
        for file in range(50):
            (source / f"{number:02}" / f"{file:03} with a longer name").write_bytes(bytes([number, file]) * 20)
    full, _ = backup(pool, source)
    (source / "05" / "new").write_text("new")
    differential, made = backup(pool, source, full)
    (source / "30" / "000 with a longer name").unlink()
    incremental, _ = backup(pool, source, differential)
    pool.drop(full)
    pool.drop(differential)

    restore(pool, source, tmp_path / "target", incremental)
    assert made.stored_bytes < 200_000
    assert pool.verify(incremental, lambda _done, _total: None, lambda: None).damaged == []


def test_a_parent_whose_manifest_rots_is_given_up(pool: Pool, tmp_path: Path) -> None:
    """Rows that were taken over unread may be damaged in the parent's file: one backup is refused, the next reads all."""
    source = tmp_path / "source"
    for number in range(16):
        (source / f"{number:02}").mkdir(parents=True)
        for file in range(60):
            (source / f"{number:02}" / f"{file:03}{'x' * 200}").write_text(f"{number} {file}")
    first, _ = backup(pool, source)
    file = next((tmp_path / "storage" / "manifests").glob("*.manifest"))
    data = bytearray(file.read_bytes())
    at = data.index(chunk_id(b"15 59"))
    data[at] ^= 1
    file.write_bytes(data)
    with pytest.raises(Invalid):
        backup(pool, source, first)

    second, _ = backup(pool, source, first)
    restore(pool, source, tmp_path / "target", second)
