"""Encrypted copies of a rich tree on a real pool: full, incremental, after a rotation, on a host without the key."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore import ciphers
from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool
from rubackup.client.keys import KeyStore
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.ports import BackupJob, BackupSummary, RestoreJob
from rubackup.domain.errors import Conflict, Corrupt
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
def keys(tmp_path: Path) -> KeyStore:
    """The keys of the client."""
    return KeyStore(tmp_path / "keys" / "master-key")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything, and a file of several chunks."""
    root = tmp_path / "source"
    make_rich_tree(root)
    (root / "large").write_bytes(b"".join(number.to_bytes(4, "big") for number in range(500_000)))
    return root


def backup(
    pool: Pool, keys: KeyStore, source: Path, parent: str = "", crypto: str = "aes-256-gcm"
) -> tuple[str, BackupSummary, RecordingWatch]:
    """An encrypted backup by a clock that is a minute ahead."""
    record, watch = uuid.uuid4().hex, RecordingWatch()
    sealer = Sealer(keys.current(), ciphers.usable(ciphers.by_name(crypto)))
    session = pool.begin(
        owner="one", task_id=1, fence=1, record=record, parent=parent or None, share=False,
        crypto=crypto, key_id=sealer.key.id.hex(),
    )  # fmt: skip
    kind = "incremental" if parent else "full"
    job = BackupJob(record, parent, "one", str(source), kind, sealer=sealer)
    later = source.stat().st_ctime_ns + (120 if parent else 60) * 10**9
    return record, Backup(job, session, watch, now_ns=lambda: later).run(), watch


def restore(pool: Pool, keys: KeyStore, source: Path, target: Path, record: str) -> None:
    """Restore everything and compare."""
    job = RestoreJob(record, "one", str(source), str(target), keys=keys)
    done = FileSystemModule().restore(job, pool.read(record), RecordingWatch())
    assert done.files_failed == 0
    assert_same(source, landed(target, source))


@pytest.mark.parametrize("crypto", ["aes-256-gcm", "chacha20-poly1305", "rijndael-256"])
def test_full_and_incremental(pool: Pool, keys: KeyStore, source: Path, tmp_path: Path, crypto: str) -> None:
    """Both restore; the second sends next to nothing, as ids and cut points are the same with the same key."""
    first, made, _ = backup(pool, keys, source, crypto=crypto)
    (source / "new").write_text("new")
    second, more, _ = backup(pool, keys, source, first, crypto)

    restore(pool, keys, source, tmp_path / "target", second)
    assert more.stored_bytes < made.stored_bytes / 4
    assert pool.sealed(second).crypto == crypto


def test_after_a_rotation_old_and_new_copies_restore(pool: Pool, keys: KeyStore, source: Path, tmp_path: Path) -> None:
    """The old copy needs the old key, which is still there; the next backup reads everything again."""
    first, made, _ = backup(pool, keys, source)
    keys.rotate()
    second, again, watch = backup(pool, keys, source, first)

    restore(pool, keys, source, tmp_path / "one", first)
    restore(pool, keys, source, tmp_path / "two", second)
    assert again.stored_bytes > made.stored_bytes / 2
    assert any("no earlier copy" in line for line in watch.texts("info"))
    assert pool.sealed(first).key_id != pool.sealed(second).key_id


def test_nothing_comes_back_without_the_key(pool: Pool, keys: KeyStore, source: Path, tmp_path: Path) -> None:
    """A host without the key is told which one is missing; nothing is written there."""
    record, _, _ = backup(pool, keys, source)
    (tmp_path / "target").mkdir()
    job = RestoreJob(
        record, "one", str(source), str(tmp_path / "target"), keys=KeyStore(tmp_path / "none" / "master-key")
    )

    with pytest.raises(Conflict, match=pool.sealed(record).key_id):
        FileSystemModule().restore(job, pool.read(record), RecordingWatch())
    assert list((tmp_path / "target").iterdir()) == []


def test_names_are_not_in_clear(pool: Pool, keys: KeyStore, source: Path, tmp_path: Path) -> None:
    """Neither a name nor the seed of the cut points is stored where the server could read it."""
    (source / "a-name-that-tells-everything").write_text("x")
    record, _, _ = backup(pool, keys, source)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "storage").rglob("*") if path.is_file())

    assert b"a-name-that-tells" not in stored
    assert pool.sealed(record).key_id.encode() in stored


class Forging:
    """A media server that gives a manifest of its own under the key id of the client's record."""

    def __init__(self, crypto: str, key_id: str, stream: bytes) -> None:
        self.crypto, self.key_id, self._stream = crypto, key_id, stream
        self.manifest_bytes = len(stream)

    def read_manifest(self, offset: int, length: int) -> bytes:
        return self._stream[offset : offset + length]

    def groups(self, runs: object) -> Iterator[bytes]:
        raise AssertionError(runs)


class NoCipher:
    """Leaves frames as they are, and marks them as clear ones."""

    number = 0

    def seal(self, kind: bytes, raw: bytes) -> bytes:
        return raw

    def open(self, kind: bytes, data: bytes) -> bytes:
        return data


@pytest.mark.parametrize("says", ["key", "nothing"])
def test_names_that_a_server_made_up_are_not_believed(keys: KeyStore, source: Path, tmp_path: Path, says: str) -> None:
    """Entries in clear under a header that names the key are refused, as is a header that does not name it."""
    key_id = keys.current().id.hex()
    parts: list[bytes] = []
    told, cipher = (key_id, NoCipher()) if says == "key" else ("", None)
    header = Header("r", "", "one", "File system", str(source), "full", 1, (1, 2, 3, 0), told)
    writer = ManifestWriter(parts.append, header, cipher)
    writer.add_folder(b"/", [Entry(b"evil", int(EntryType.FOLDER), 0o6777, 0, 0, "", "", 0, 0, 0, 0, 0, 2)])
    writer.finish(Summary())
    (tmp_path / "target").mkdir()
    job = RestoreJob("r", "one", str(source), str(tmp_path / "target"), keys=keys)

    with pytest.raises(Corrupt):
        FileSystemModule().restore(job, Forging("aes-256-gcm", key_id, b"".join(parts)), RecordingWatch())
    assert not (tmp_path / "target" / "evil").exists()
