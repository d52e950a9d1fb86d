"""Pools of devices and buckets as a media server serves them."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rubackup.agent.folders import Ground
from rubackup.chunkstore.backends.block import rebuild
from rubackup.chunkstore.backends.block.layout import MAGIC
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Busy, Conflict, Invalid, StorageFault
from rubackup.domain.pools import OPENING, PoolProblem
from rubackup.domain.sealing import CLOUD_SECRET, seal
from rubackup.media import lanes
from rubackup.media.devices import check_device
from rubackup.media.metafiles import Metafiles
from rubackup.media.pools import PoolKeeper
from rubackup.wire import pki
from rubackup.wire.messages import (
    BucketConfig,
    DeviceConfig,
    FormatDevice,
    PoolConfig,
    ProbeBucket,
    StorageConfig,
)
from support.chunkstore import Client, begin, noise, restore
from support.s3server import ACCESS, SECRET, S3Server
from support.system import eventually

UUID, OTHER = uuid.uuid4().hex, uuid.uuid4().hex
MIB = 1 << 20


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The media server's private key."""
    file = tmp_path / "media.key"
    file.write_bytes(pki.new_key_pem())
    return file


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket is waited for, however busy this machine is."""
    monkeypatch.setattr(lanes, "WAIT_SECONDS", 60.0)


@pytest.fixture
def keeper(tmp_path: Path, key: Path) -> Iterator[PoolKeeper]:
    """Without pools yet."""
    metadata = tmp_path / "metadata"
    pools = PoolKeeper(metadata, Ground((metadata,), memory=True), key=key)
    yield pools
    pools.close()


def image(folder: Path, name: str = "image", size_bytes: int = 48 * MIB) -> Path:
    """A file that stands for an empty device."""
    file = folder / name
    with file.open("xb") as out:
        out.truncate(size_bytes)
    return file


def ready(keeper: PoolKeeper, path: Path, **more: Any) -> str:
    """Make a device ready for the pool; its uuid."""
    return keeper.places.format_device(FormatDevice(**({"path": str(path), "pool": UUID} | more))).uuid


def device(number: int, path: Path, name: str, workers: int = 2) -> StorageConfig:
    """A device of the pool."""
    return StorageConfig(id=number, path=str(path), device=DeviceConfig(uuid=name, workers=workers))


def bucket(server: S3Server, key: Path, number: int = 1, secret: str = SECRET, **more: Any) -> StorageConfig:
    """A bucket of the pool, with its secret sealed for the key."""
    sealed = seal(pki.make_csr(key.read_bytes(), "media"), secret.encode(), CLOUD_SECRET + UUID.encode())
    told: dict[str, Any] = {"bucket": "bucket", "prefix": f"pool{number}", "region": "", "access_key": ACCESS} | more
    config = BucketConfig(**{"endpoint": server.endpoint, "secret_sealed": sealed} | told)
    path = "/".join(part for part in (config.endpoint, config.bucket, config.prefix) if part)
    return StorageConfig(id=number, path=path, bucket=config)


def configure(keeper: PoolKeeper, *storages: StorageConfig, compression: str = "fast") -> Any:
    """One pool with these storages; its state."""
    config = PoolConfig(
        id=1, uuid=UUID, name="Pool", compression=compression, reserve_bytes=0, storages=list(storages), contact=1
    )
    keeper.configure([config], [(1, "term")])
    return keeper.states()[0]


def written(pool: Pool, task: int) -> tuple[str, bytes]:
    """A record with one file, and what is in the file."""
    data = noise(300_000, task)
    return Client().backup(begin(pool, task), {"/file": data}).record, data


def content(pool: Pool, record: str) -> bytes:
    """What the record's file holds."""
    return restore(pool, record)["/file"]


# --- devices ---


def test_a_device_is_made_ready_written_and_found_again(keeper: PoolKeeper, tmp_path: Path, key: Path) -> None:
    """With its room; another keeper, as after a restart, reads what it holds; a new pool needs no reconciliation."""
    path = image(tmp_path)
    name = ready(keeper, path)
    state = configure(keeper, device(7, path, name), compression="None")
    record, data = written(keeper.get(1), 1)
    keeper.close()

    again = PoolKeeper(tmp_path / "metadata", Ground(memory=True), key=key)
    state_again = configure(again, device(7, path, name), compression="None")

    assert (state.problem, state.reconciled, [one.id for one in state.storages]) == ("", True, [7])
    assert 40 * MIB < state.storages[0].free_bytes < state.storages[0].total_bytes <= 48 * MIB
    assert content(again.get(1), record) == data
    assert state_again.used_bytes >= len(data)
    again.close()


def test_what_a_device_carries_is_looked_at_before_anything_is_written(keeper: PoolKeeper, tmp_path: Path) -> None:
    """A known signature needs consent; a taken device, the keeper's own files and what is in use are never taken."""
    path = image(tmp_path)
    with path.open("r+b") as file:
        file.write(b"XFSB")
    before = hashlib.sha256(path.read_bytes()).digest()
    own = tmp_path / "metadata" / "disk"
    own.parent.mkdir()
    image(own.parent, "disk")

    with pytest.raises(Conflict, match="an XFS file system"):
        ready(keeper, path)
    with pytest.raises(Conflict, match="uses already"):
        ready(keeper, path, overwrite=True, taken=[(str(path), str(path))])
    with pytest.raises(Invalid, match="own state"):
        ready(keeper, own)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    ready(keeper, path, overwrite=True)
    assert path.read_bytes()[:8] == MAGIC


def test_a_device_of_the_pool_comes_back_and_one_of_another_needs_consent(keeper: PoolKeeper, tmp_path: Path) -> None:
    """An empty storage of nobody counts as nothing, as its asker may not have been answered."""
    path = image(tmp_path)
    first = ready(keeper, path)
    second = ready(keeper, path)
    configure(keeper, device(1, path, second))
    record, data = written(keeper.get(1), 1)
    with pytest.raises(Conflict, match="in use"):
        ready(keeper, path, overwrite=True)
    configure(keeper)

    assert first != second
    assert (check_device(str(path)).pool, check_device(str(path)).signature) == (UUID, "data of RuBackup")
    with pytest.raises(Conflict, match="data of RuBackup"):
        ready(keeper, path, pool=OTHER)
    assert ready(keeper, path, overwrite=True) == second
    configure(keeper, device(9, path, second))
    assert content(keeper.get(1), record) == data


def test_another_device_at_the_path_is_refused_by_name(keeper: PoolKeeper, tmp_path: Path) -> None:
    """The pool says which one is there, and which should be; the other storage goes on."""
    one, two = image(tmp_path, "one"), image(tmp_path, "two")
    names = [ready(keeper, path) for path in (one, two)]
    configure(keeper, device(1, one, names[0]), device(2, two, names[1]))
    keeper.close()
    two.unlink()
    image(tmp_path, "two")
    third = ready(keeper, two)
    state = configure(keeper, device(1, one, names[0]), device(2, two, names[1]))

    assert (state.problem, state.away) == ("", [str(two)])
    assert [bool(storage.problem) for storage in state.storages] == [False, True]
    assert third in state.storages[1].problem
    assert names[1] in state.storages[1].problem


def test_a_lost_device_is_named_its_copies_are_told_and_it_comes_back(keeper: PoolKeeper, tmp_path: Path) -> None:
    """The other takes what is written meanwhile."""
    one, two = image(tmp_path, "one"), image(tmp_path, "two")
    storages = [device(number, path, ready(keeper, path)) for number, path in ((1, one), (2, two))]
    configure(keeper, *storages)
    pool = keeper.get(1)
    lost, _ = written(pool, 1)
    one.rename(tmp_path / "pulled")
    state = keeper.states()[0]
    kept, data = written(pool, 2)

    assert state.away == [str(one)]
    assert str(one) in next(storage.problem for storage in state.storages if storage.id == 1)
    assert pool.list_unavailable("", 10) == ([lost], "")
    assert content(pool, kept) == data
    assert "away" in keeper.need(1, 1).reason
    (tmp_path / "pulled").rename(one)
    assert keeper.states()[0].away == []
    assert pool.list_unavailable("", 10) == ([], "")


def test_a_device_whose_sync_failed_is_opened_again(
    keeper: PoolKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing is written to it; what was durable is there, and the same pool goes on."""
    path = image(tmp_path)
    configure(keeper, device(1, path, ready(keeper, path)))
    pool = keeper.get(1)
    first, data = written(pool, 1)
    with monkeypatch.context() as patch:
        patch.setattr("rubackup.chunkstore.backends.block.device.os.fdatasync", _fail)
        with pytest.raises(StorageFault, match="Input/output error"):
            written(pool, 2)

    assert keeper.states()[0].problem == ""
    second, more = written(pool, 3)
    assert (content(pool, first), content(pool, second)) == (data, more)


def _fail(_handle: int) -> None:
    raise OSError(5, "Input/output error")


def test_workers_change_while_a_pool_is_open(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Readers and writers go on; so many threads and no more use the device from then on."""
    path = image(tmp_path)
    name = ready(keeper, path)
    configure(keeper, device(1, path, name, workers=1))
    pool = keeper.get(1)
    record, data = written(pool, 1)
    configure(keeper, device(1, path, name, workers=3))

    backend = pool._storages.all[0].backend
    permits = [backend._device._workers.acquire(blocking=False) for _ in range(4)]
    assert permits == [True, True, True, False]
    for _ in range(3):
        backend._device._workers.release()
    assert keeper.get(1) is pool
    assert content(pool, record) == data


def test_the_metafile_of_a_device_is_kept_and_brings_it_back(keeper: PoolKeeper, tmp_path: Path) -> None:
    """In the pool that is named for it, at once and then at most each ten minutes; superblocks and directory are lost."""
    path, clock = image(tmp_path), [1000.0]
    name = ready(keeper, path)
    fields = {"compression": "None", "reserve_bytes": 0, "contact": 1}
    folder = StorageConfig(id=1, path=str(tmp_path / "folder"))
    blocks = PoolConfig(id=1, uuid=UUID, name="B", storages=[device(1, path, name)], metadata_pool=2, **fields)
    keeper.configure([blocks, PoolConfig(id=2, uuid=OTHER, name="F", storages=[folder], **fields)], [(1, "term")])
    keeping = Metafiles(keeper, steady=lambda: clock[0])
    keeping.keep()
    first = keeper.get(2).kept_metafile(name)
    record, data = written(keeper.get(1), 1)
    keeping.keep()
    assert keeper.get(2).kept_metafile(name) == first
    clock[0] += 600
    keeping.keep()
    metafile = keeper.get(2).kept_metafile(name)
    assert (tmp_path / "folder" / "metafiles" / f"{name}.metafile").read_bytes() == metafile != first
    keeper.close()
    with path.open("r+b") as file:
        file.write(bytes((64 << 10) + 2 * MIB))
        file.seek(-4096, 2)
        file.write(bytes(4096))
    rebuild(path, metafile)
    configure(keeper, device(1, path, name), compression="None")

    assert content(keeper.get(1), record) == data


def test_a_device_that_was_never_made_ready_says_so(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Rows of an earlier version; nothing is written to it."""
    path = image(tmp_path)

    assert "never made ready" in configure(keeper, device(1, path, "")).problem
    assert path.read_bytes() == bytes(48 * MIB)


@pytest.mark.parametrize("kind", ["device", "bucket"])
def test_a_pool_that_lost_its_metadata_has_to_be_reconciled(
    keeper: PoolKeeper, tmp_path: Path, key: Path, s3: S3Server, kind: str
) -> None:
    """Also one that its catalogue has not met, when something lies in its device or bucket."""
    path = image(tmp_path)
    storage = device(1, path, ready(keeper, path)) if kind == "device" else bucket(s3, key)
    assert configure(keeper, storage).reconciled
    record, data = written(keeper.get(1), 1)
    keeper.close()
    again = PoolKeeper(tmp_path / "new", Ground(memory=True), key=key)

    assert not configure(again, storage).reconciled
    assert content(again.get(1), record) == data
    again.close()


# --- buckets ---


def test_a_bucket_is_written_and_found_again(keeper: PoolKeeper, tmp_path: Path, key: Path, s3: S3Server) -> None:
    """Packs and manifests are in it; what was open lay below the pool's metadata; without an end its room is no size."""
    state = configure(keeper, bucket(s3, key))
    record, data = written(keeper.get(1), 1)
    keeper.close()
    again = PoolKeeper(tmp_path / "metadata", Ground(memory=True), key=key)
    configure(again, bucket(s3, key))

    assert (state.problem, state.reconciled) == ("", True)
    assert any(name.startswith("pool1/packs/") for name in s3.names())
    assert (tmp_path / "metadata" / UUID / "spool").is_dir()
    assert content(again.get(1), record) == data
    again.close()


def test_a_bucket_that_leaves_takes_its_spool_along(
    keeper: PoolKeeper, tmp_path: Path, key: Path, s3: S3Server
) -> None:
    """The other one's stays."""
    spool = tmp_path / "metadata" / UUID / "spool"
    configure(keeper, bucket(s3, key, 1), bucket(s3, key, 2))
    before = set(spool.iterdir())
    written(keeper.get(1), 1)
    configure(keeper, bucket(s3, key, 1))

    assert (len(before), len(set(spool.iterdir()))) == (2, 1)
    assert keeper.states()[0].problem == ""


def test_new_keys_of_a_bucket_act_while_the_pool_is_open(keeper: PoolKeeper, key: Path, s3: S3Server) -> None:
    """The old ones have expired: the storage says so, until the new ones are given."""
    configure(keeper, bucket(s3, key))
    pool = keeper.get(1)
    record, data = written(pool, 1)
    s3.secrets = {"AKNEW": "another secret"}
    assert "InvalidAccessKeyId" in keeper.states()[0].storages[0].problem
    state = configure(keeper, bucket(s3, key, secret="another secret", access_key="AKNEW"))

    assert (state.problem, state.storages[0].problem) == ("", "")
    assert keeper.get(1) is pool
    assert content(pool, record) == data


def test_a_bucket_that_does_not_answer_keeps_no_other_pool_waiting(
    keeper: PoolKeeper, tmp_path: Path, key: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it waits, and is open as soon as it can be; the folder's pool is served meanwhile."""
    monkeypatch.setattr(lanes, "WAIT_SECONDS", 0.5)
    go_on = threading.Event()

    def hold(*_: object) -> None:
        go_on.wait(60)

    s3.script = hold
    folder = StorageConfig(id=1, path=str(tmp_path / "folder"))
    fields = {"name": "Pool", "compression": "fast", "reserve_bytes": 0, "contact": 1}
    configs = [
        PoolConfig(id=1, uuid=UUID, storages=[bucket(s3, key)], **fields),
        PoolConfig(id=2, uuid=OTHER, storages=[folder], **fields),
    ]
    keeper.configure(configs)
    first, second = keeper.states()
    record, data = written(keeper.get(2), 1)

    assert [(one.problem, one.code) for one in (first, second)] == [(OPENING, PoolProblem.OPENING), ("", "")]
    assert content(keeper.get(2), record) == data
    with pytest.raises(Busy, match="waits for its object storage"):
        keeper.get(1)
    waited: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(lanes.Lanes, "wait", lambda _self, works: waited.extend(works))
        keeper.configure(configs)  # while it is known that the bucket does not answer, nobody waits for it again
    assert waited == []
    go_on.set()
    eventually(lambda: [(one.problem, one.code) for one in keeper.states()] == [("", ""), ("", "")], 60)
    written(keeper.get(1), 2)


def test_object_lock_acts_and_can_be_given_later(keeper: PoolKeeper, key: Path, s3: S3Server) -> None:
    """A copy that is locked from then on is kept by the object storage itself."""
    s3.bucket("locking", versioned=True, locking=True)
    configure(keeper, bucket(s3, key, bucket="locking"))
    configure(keeper, bucket(s3, key, bucket="locking", object_lock="compliance"))
    pool = keeper.get(1)
    record, _ = written(pool, 1)
    pool.lock(record, time.time_ns() + 3600 * 10**9)
    versions = [one[-1] for name, one in s3.buckets["locking"].keys.items() if name.endswith((".pack", ".manifest"))]

    assert len(versions) >= 2
    assert all(one.mode == "COMPLIANCE" and one.until is not None for one in versions)


def test_a_secret_for_another_key_asks_for_it_again(
    keeper: PoolKeeper, tmp_path: Path, key: Path, s3: S3Server
) -> None:
    """Nothing is sent with a wrong one; the pool's other bucket is served."""
    configure(keeper, bucket(s3, key, 1), bucket(s3, key, 2))
    keeper.close()
    other = tmp_path / "other.key"
    other.write_bytes(pki.new_key_pem())
    state = configure(keeper, bucket(s3, key, 1), bucket(s3, other, 2))

    assert state.problem == ""
    assert [one.problem == "" for one in state.storages] == [True, False]
    assert "give secret_key again" in state.storages[1].problem


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("bucket", {"bucket": "missing"}), ("access_key", {"access_key": "AKWRONG"}), ("secret_key", {"secret": "wrong"}),
        ("ca_file", {"ca_file": "/no/such/file"}), ("object_lock", {"object_lock": "compliance"}),
        ("endpoint", {"endpoint": "http://127.0.0.1:9"}),
    ],
)  # fmt: skip
def test_a_probe_names_the_field_that_is_wrong(
    keeper: PoolKeeper, key: Path, s3: S3Server, field: str, wrong: dict[str, str]
) -> None:
    """And what to do; the secret is in no text."""
    config = bucket(s3, key, **wrong).bucket
    assert config is not None

    found = keeper.places.probe_bucket(ProbeBucket(pool=UUID, bucket=config))

    assert [one for one, _ in found.problems] == [field]
    assert SECRET not in str(found)
    assert field != "endpoint" or "did not answer" in found.problems[0][1]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [(301, b"", "another address"), (200, b"<html>hello", "refused"), (200, b"<a><b>x</b></a>", "did not answer")],
)
def test_a_probe_of_what_is_no_object_storage_says_so(
    keeper: PoolKeeper, key: Path, s3: S3Server, status: int, body: bytes, told: str
) -> None:
    """A web server, or one that leads to https."""

    class Web(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        config = bucket(s3, key, endpoint=f"http://127.0.0.1:{server.server_port}").bucket
        assert config is not None
        found = keeper.places.probe_bucket(ProbeBucket(pool=UUID, bucket=config))
        server.shutdown()

    assert [field for field, _ in found.problems] == ["endpoint"]
    assert told in found.problems[0][1]


def test_a_probe_tells_what_the_bucket_can_do_and_whose_it_is(keeper: PoolKeeper, key: Path, s3: S3Server) -> None:
    """It leaves nothing there."""
    config = bucket(s3, key).bucket
    assert config is not None
    before = keeper.places.probe_bucket(ProbeBucket(pool=UUID, bucket=config))
    assert s3.names() == []
    configure(keeper, bucket(s3, key))

    assert (before.problems, before.pool, before.conditional_writes) == ([], "", True)
    assert keeper.places.probe_bucket(ProbeBucket(pool=UUID, bucket=config)).pool == UUID
