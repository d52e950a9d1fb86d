"""After a crash at any step older records are whole, and the next backup works."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore import _packing, pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.crashes import Crash, Crasher, at_every_step, everything, half, nothing_unsynced

OLD = {"/old": noise(90_000, 1), "/both": noise(50_000, 2)}
NEW = {"/new": noise(120_000, 3), "/both": noise(50_000, 2), "/text": b"text " * 5000}


def _run(place: Place, step: int, survivors: Callable[[MemoryBackend], MemoryBackend]) -> Crasher:
    """A pool with an old record, crashed at a step of a backup and a drop, unless it came to its end before."""
    pool = place.open()
    Client().backup(begin(pool, 1), OLD)
    Client().backup(begin(pool, 5), {"/dropped": noise(1000, 9)})
    place.close()
    crasher = Crasher(place, step, survivors)
    place.wrap = lambda backend: FaultyBackend(backend, crasher)
    with crasher.watching():
        pool = place.open()
        Client().backup(begin(pool, 2), NEW)
        crasher.promised.append(record_id(2))
        pool.drop(record_id(5))
    return crasher


def _check(survivor: Place, promised: list[str]) -> None:
    """What was promised is listed; what is listed is whole; a backup of the same data works and, later, sends nothing."""
    pool = survivor.open()
    assert {*promised} <= {record.record for record in pool.records()} <= {record_id(n) for n in (1, 2, 5)}
    assert restore(pool, record_id(1)) == OLD
    for record in pool.records():
        result = pool.verify(record.record, lambda *_: None, lambda: None)
        assert result.damaged == []
    Client().backup(begin(pool, 3), NEW)
    pool = survivor.reopen()
    assert pool.problems == []
    assert restore(pool, record_id(3)) == NEW
    again = Client()
    again.backup(begin(pool, 4), NEW)
    assert again.sent == 0
    assert not [name for name in survivor.memory().files if name.endswith(".open")]
    survivor.close()


@pytest.mark.parametrize("survivors", [everything, nothing_unsynced, half])
@pytest.mark.parametrize("lose_index", [False, True])
def test_a_crash_at_any_step_harms_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, survivors: Callable, lose_index: bool
) -> None:
    """Before and after every operation on the storage, with and without the index left."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    monkeypatch.setattr(_packing, "CLOSING", 0)  # one step after the other, so that each run has the same ones
    crashes = 0
    for crashed, crasher in at_every_step(quick_folder, _run, survivors, lose_index=lose_index):
        _check(crashed, crasher.promised)
        crashes += 1

    assert crashes > 30


def test_what_was_sent_before_a_checkpoint_is_not_sent_again(place: Place) -> None:
    """A checkpoint survives a loss of power, also in a pack that is still open."""
    pool = place.open()
    client = Client()
    session = begin(pool, 1)
    client.send(session, client.chunks(noise(100_000)))
    session.checkpoint()
    client.send(session, client.chunks(noise(100_000, 1)))
    crashed = Place(Path(f"{place.folder}-crashed"))
    shutil.copytree(place.folder, crashed.folder)
    crashed.backends["one"] = place.memory().after_power_loss()
    after = crashed.open()
    again = Client()
    again.send(begin(after, 1, fence=2, record=record_id(2)), client.chunks(noise(100_000)))

    assert again.sent == 0
    again.backup(begin(after, 3), {"/a": noise(100_000), "/b": noise(100_000, 1)})
    assert restore(after, record_id(3)) == {"/a": noise(100_000), "/b": noise(100_000, 1)}
    crashed.close()


def test_an_interrupted_session_leaves_what_arrived(place: Place) -> None:
    """After an abort the chunks stay, without a record."""
    pool = place.open()
    client = Client()
    session = begin(pool, 1)
    client.send(session, client.chunks(noise(100_000)))
    session.put_manifest(b"half a manifest")
    session.abort()
    session.abort()
    client.sent = 0
    client.backup(begin(pool, 1, fence=2, record=record_id(2)), {"/a": noise(100_000)})

    assert client.sent == 0
    assert [record.record for record in pool.records()] == [record_id(2)]
    assert not [name for name in place.memory().files if name.endswith(".open")]


def test_an_interrupted_rebuild_is_begun_again(place: Place) -> None:
    """An index that was not finished is not believed."""
    Client().backup(begin(place.open(), 1), OLD)
    place.close()
    place.lose_index()
    calls = 0

    def script(operation: str, name: str, done: bool) -> None:
        nonlocal calls
        calls += operation == "read" and name.endswith(".manifest")
        if calls == 2:
            raise Crash

    place.wrap = lambda backend: FaultyBackend(backend, script)
    with pytest.raises(Crash):
        place.open()
    place.wrap = lambda backend: backend

    assert restore(place.open(), record_id(1)) == OLD


def test_a_failed_fsync_is_never_believed_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an fsync that failed, the pack is neither closed nor indexed by this process."""
    broken = [False]

    def script(operation: str, name: str, done: bool) -> None:
        if broken[0] and operation == "sync":
            broken[0] = False
            raise OSError("the disk is failing")

    def wrap(backend: Backend) -> Backend:
        return FaultyBackend(backend, script)

    place.wrap = wrap
    pool = place.open()
    client = Client()
    session = begin(pool, 1)
    client.send(session, client.chunks(noise(100_000)))
    broken[0] = True
    with pytest.raises(OSError, match="failing"):
        session.checkpoint()
    client.sent = 0
    client.backup(begin(pool, 2), {"/a": noise(100_000)})

    assert client.sent > 0
    assert [name for name in place.memory().files if name.endswith(".open")]
    assert restore(place.reopen(), record_id(2)) == {"/a": noise(100_000)}


class SlowDisk:
    """A disk whose fsyncs of packs wait until they may go on, and then fail if they are told to."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        """One for each fsync that has begun."""
        self.go_on = threading.Event()
        self.error: Exception | None = None

    def __call__(self, operation: str, name: str, done: bool) -> None:
        """The script of a FaultyBackend."""
        if operation == "sync" and not done and threading.current_thread().name.startswith("close-pack"):
            self.waiting.release()
            assert self.go_on.wait(60)
            if self.error is not None:
                raise self.error


@pytest.fixture
def slow(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """The place's disk, slow; packs are small."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    disk = SlowDisk()
    place.wrap = lambda backend: FaultyBackend(backend, disk)
    yield disk
    disk.go_on.set()


def test_a_pack_that_is_not_synced_is_not_in_the_index(place: Place, slow: SlowDisk) -> None:
    """While one pack waits for its disk the session goes on, counts its chunks as sent, and the index knows none of them."""
    pool = place.open()
    client = Client()
    session = begin(pool, 1)
    tree = {f"/{i}": noise(120_000, i) for i in range(2)}
    client.send(session, [chunk for data in tree.values() for chunk in client.chunks(data)])
    assert slow.waiting.acquire(timeout=60)
    client.sent = 0
    client.send(session, client.chunks(tree["/0"]))

    assert client.sent == 0
    assert pool._index.chunk_count == 0
    slow.go_on.set()
    client.backup(session, tree)
    assert restore(pool, record_id(1)) == tree


def test_few_packs_wait_for_their_disk(place: Place, slow: SlowDisk) -> None:
    """A session whose disk is too slow waits with its third full pack."""
    before = set(threading.enumerate())
    session = begin(place.open(), 1)
    client = Client()
    went = threading.Event()

    def send() -> None:
        for number in range(6):
            client.send(session, client.chunks(noise(120_000, number)))
        went.set()

    sender = threading.Thread(target=send)
    sender.start()
    assert slow.waiting.acquire(timeout=60)
    assert not went.wait(0.3)
    assert len([name for name in place.memory().files if name.endswith(".open")]) <= _packing.CLOSING + 1
    slow.go_on.set()
    sender.join(60)
    assert went.is_set()
    session.abort()
    assert not [one for one in set(threading.enumerate()) - before if one.name.startswith("close-pack")]


def test_a_pack_that_cannot_be_closed_ends_the_session(place: Place, slow: SlowDisk) -> None:
    """A failed fsync beside the session is told at a later call; what that pack held is sent again."""
    pool = place.open()
    session = begin(pool, 1)
    client = Client()
    slow.error = OSError("the disk is failing")
    slow.go_on.set()

    def send() -> None:
        client.send(session, client.chunks(noise(120_000, 0)))
        session.checkpoint()

    with pytest.raises(OSError, match="failing"):
        send()
    slow.error = None
    client.sent = 0
    client.backup(begin(pool, 2), {"/0": noise(120_000, 0)})

    assert client.sent > 0
    assert restore(place.reopen(), record_id(2)) == {"/0": noise(120_000, 0)}


def test_what_waits_for_the_index_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session makes a checkpoint by itself before it holds too many chunks."""
    monkeypatch.setattr(_packing, "MAX_PENDING", 100)
    session = begin(place.open(), 1)
    client = Client(group_bytes=1000)
    tree = {f"/{i}": noise(50, i) for i in range(1000)}
    client.send(session, [chunk for data in tree.values() for chunk in client.chunks(data)])

    assert len(session._packing.pending) <= 100 + 20
    client.backup(session, tree)
