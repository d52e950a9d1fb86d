"""Garbage collection frees what no record needs, and nothing that a record, a session or a task needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Capabilities
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.gc import live, spill
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import GcSafety
from rubackup.domain.errors import Busy, Conflict, Corrupt, Stopped, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import AT_ONCE, SECOND_NS, collect, damaged, packs, sweep

A, B, C = noise(60_000, 1), noise(60_000, 2), noise(60_000, 3)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup makes several packs."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)


def test_what_only_a_dropped_record_needs_goes(any_place: Place) -> None:
    """Its packs are removed, the other record stays whole."""
    pool = any_place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    Client().backup(begin(pool, 2), {"/a": A, "/b": B})
    used = pool.usage().used_bytes
    pool.drop(record_id(2))
    result = collect(pool)

    assert result.freed_bytes > 60_000
    assert pool.usage().used_bytes < used - 60_000
    assert restore(pool, record_id(1)) == {"/a": A}
    assert pool.usage().chunks == len(Client().chunks(A))
    assert any_place.reopen().problems == []


def test_a_second_collection_finds_nothing(place: Place) -> None:
    """What was collected is not collected again, and nothing is copied back and forth."""
    pool = place.open()
    for number in range(1, 6):
        Client().backup(begin(pool, number), {"/a": A, "/own": noise(30_000, 10 + number)})
    pool.drop(record_id(3))
    collect(pool)
    before = packs(place)
    result = collect(pool)

    assert (result.condemned_packs, result.moved_bytes, result.removed_packs) == (0, 0, 0)
    assert packs(place) == before


def test_removal_waits_for_the_grace(place: Place) -> None:
    """Condemned chunks count as unknown at once; their pack goes when the grace is over."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    first = collect(pool, safety=GcSafety())
    place.now_ns += 899 * SECOND_NS
    early = sweep(pool)
    place.now_ns += SECOND_NS
    late = sweep(pool)

    assert (first.condemned_packs, first.removed_packs, first.waiting_packs) == (1, 0, 1)
    assert (early.removed_packs, early.waiting_packs) == (0, 1)
    assert (late.removed_packs, late.waiting_packs) == (1, 0)
    assert packs(place) == []


def test_the_mark_outlives_the_process(place: Place) -> None:
    """After a restart condemned chunks are still unknown, and their pack still goes."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    collect(pool, safety=GcSafety())
    pool = place.reopen()
    client = Client()
    client.backup(begin(pool, 2), {"/a": A})

    assert client.sent > 0
    place.now_ns += 900 * SECOND_NS
    assert sweep(pool).removed_packs == 1
    assert damaged(pool, record_id(2)) == []
    assert restore(place.reopen(), record_id(2)) == {"/a": A}


def test_a_session_that_was_told_stored_can_seal(place: Place) -> None:
    """Chunks that it was told of before the mark are there until it ends, and its seal takes the mark back."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    client = Client()
    session = begin(pool, 2)
    client.send(session, client.chunks(A))
    pool.drop(record_id(1))
    marked = collect(pool)
    summary = client.manifest(session, {"/a": A})
    session.seal(summary.files, summary.files_failed, summary.size_bytes)
    collect(pool)

    assert (client.sent, marked.condemned_packs, marked.removed_packs) == (0, 1, 0)
    assert restore(pool, record_id(2)) == {"/a": A}
    assert damaged(pool, record_id(2)) == []
    again = Client()
    again.backup(begin(pool, 3), {"/a": A})
    assert again.sent == 0


def test_a_session_begun_after_the_mark_does_not_hold_it_up(place: Place) -> None:
    """It is told to send, what it sends gets a new place, and the old pack goes."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    old = packs(place)
    pool.drop(record_id(1))
    waiting = begin(pool, 9)
    collect(pool)
    client = Client()
    session = begin(pool, 2)
    client.send(session, client.chunks(A))
    waiting.abort()
    result = sweep(pool, safety=AT_ONCE)
    summary = client.manifest(session, {"/a": A})
    session.seal(summary.files, summary.files_failed, summary.size_bytes)

    assert client.sent > 0
    assert result.removed_packs == len(old)
    assert not set(old) & set(packs(place))
    assert restore(place.reopen(), record_id(2)) == {"/a": A}


def test_an_interrupted_task_keeps_what_it_sent(place: Place) -> None:
    """Until the server says that the task is over."""
    pool = place.open()
    client = Client()
    session = begin(pool, 7)
    client.send(session, client.chunks(A))
    session.checkpoint()
    session.abort()
    pool = place.reopen()
    kept = collect(pool), collect(pool, unfinished=[7])
    client.sent = 0
    again = begin(pool, 7, fence=2, record=record_id(8))
    client.send(again, client.chunks(A))
    still = collect(pool, unfinished=[])  # it writes: a list that is too old does not harm it
    again.abort()
    over = collect(pool, unfinished=[])

    assert [result.condemned_packs for result in kept] == [0, 0]
    assert client.sent == 0
    assert still.condemned_packs == 0
    assert over.removed_packs == 1
    assert packs(place) == []


def test_a_sealed_record_needs_no_pins(place: Place) -> None:
    """Dropped after its seal, its packs go although nobody said that the task is over."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))

    assert collect(pool).removed_packs == 1


def test_a_half_used_pack_is_emptied(place: Place) -> None:
    """Its live groups move as they are; records and index agree with the new place, also after a rebuild."""
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/a": A, "/c": C})
    old = packs(place)
    client.backup(begin(pool, 2), {"/c": C})
    pool.drop(record_id(1))
    result = collect(pool)

    assert 0 < result.moved_bytes < 60_000
    assert len(set(old) - set(packs(place))) == 1
    assert sum(len(place.memory().files[name].data) for name in packs(place)) < 90_000
    assert damaged(pool, record_id(2)) == []
    again = Client(group_bytes=4096)
    again.backup(begin(pool, 3), {"/c": C})
    assert again.sent == 0
    place.close()
    place.lose_index()
    pool = place.open()
    assert pool.problems == []
    assert restore(pool, record_id(2)) == {"/c": C}
    assert collect(pool).moved_bytes == 0


def test_a_pack_that_is_mostly_used_stays(place: Place) -> None:
    """Nothing is copied for less than the share; with a budget of nothing, nothing is copied at all."""
    pool = place.open()
    client = Client(group_bytes=2048)
    client.backup(begin(pool, 1), {"/a": A, "/s": noise(3000, 9)})
    client.backup(begin(pool, 2), {"/a": A})
    client.backup(begin(pool, 3), {"/c": C, "/b": B[:20_000]})
    client.backup(begin(pool, 4), {"/b": B[:20_000]})
    pool.drop(record_id(1))
    pool.drop(record_id(3))
    before = packs(place)
    result = collect(pool, safety=GcSafety(grace_seconds=0, compact_bytes=0))

    assert (result.moved_bytes, result.removed_packs) == (0, 0)
    assert packs(place) == before
    assert result.unused_bytes > 50_000
    assert 15_000 < collect(pool).moved_bytes < 30_000


def test_a_reader_that_looked_up_before_a_move_goes_on(place: Place) -> None:
    """Its groups are read where they are now, although the old pack is gone."""
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/a": A, "/c": C})
    client.backup(begin(pool, 2), {"/c": C})
    pool.drop(record_id(1))
    session = pool.read(record_id(2))
    stream = session.groups([(0, session._reader.row_count)])
    first = next(stream)
    result = collect(pool)
    groups = [first, *stream]

    assert result.removed_packs > 0
    assert sum(map(len, groups)) > 60_000


def test_a_damaged_group_keeps_its_pack(place: Place) -> None:
    """It is named, and its pack is neither moved nor removed."""
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/c": C})
    (name,) = packs(place)
    client.backup(begin(pool, 2), {"/c": C[:30_000]})
    pool.drop(record_id(1))
    place.memory().files[name].data[1000] ^= 1
    result = collect(pool)

    assert len(result.problems) == 1
    assert name in result.problems[0]
    assert "damaged" in result.problems[0]
    assert name in packs(place)
    assert damaged(pool, record_id(2)) == ["/c"]
    client.sent = 0
    client.backup(begin(pool, 3), {"/c": C[:30_000]})
    assert client.sent > 0


def test_a_manifest_that_cannot_be_read_stops_everything(place: Place) -> None:
    """It is named and nothing is collected, until its record is dropped."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    Client().backup(begin(pool, 2), {"/b": B})
    pool.drop(record_id(1))
    data = place.memory().files[f"manifests/{record_id(2)}.manifest"].data
    data[len(data) // 2] ^= 1
    before = packs(place)
    with pytest.raises(Corrupt, match=record_id(2)):
        collect(pool)

    assert packs(place) == before
    pool.drop(record_id(2))
    collect(pool)
    assert packs(place) == []


def test_a_manifest_without_a_seal_stops_everything(place: Place) -> None:
    """One that recovery could not list counts, too: its file is there."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    name = f"manifests/{record_id(1)}.manifest"
    place.memory().files[name].data[-60] ^= 1
    place.close()
    place.lose_index()
    pool = place.open()
    with pytest.raises(Corrupt, match=name):
        collect(pool)

    assert packs(place) != []
    pool.drop(record_id(1))
    collect(pool)
    assert packs(place) == []


def test_a_storage_that_is_away_stops_everything(place: Place) -> None:
    """Its manifests may need what lies in the others."""
    place.storages = ["one", "two"]
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    del place.memory("two").files["pool"]
    with pytest.raises(StorageFault, match="marker"):
        collect(pool)

    assert packs(place) != []


def test_nothing_is_removed_from_a_disk_that_is_not_mounted(place: Place) -> None:
    """What is condemned waits until the storage is there again."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    collect(pool, safety=GcSafety())
    marker = place.memory().files.pop("pool")
    with pytest.raises(StorageFault, match="marker"):
        sweep(pool, safety=AT_ONCE)
    place.memory().files["pool"] = marker

    assert sweep(pool, safety=AT_ONCE).removed_packs == 1


def test_storages_that_change_end_the_collection(place: Place) -> None:
    """A storage that joins may bring manifests."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    Client().backup(begin(pool, 2), {"/b": B})
    pool.drop(record_id(1))

    def check() -> None:
        pool.reconfigure(folders([Path("one"), Path("two")]), 0, 1)

    with pytest.raises(Conflict, match="storages"):
        pool.collect(lambda *_: None, check, safety=AT_ONCE)
    assert packs(place) != []
    assert collect(pool).removed_packs == 1


def test_one_collection_at_a_time(place: Place) -> None:
    """A second one, and a sweep, are Busy; after one that was stopped the next works."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    seen: list[type] = []

    def check() -> None:
        for attempt in (collect, sweep):
            try:
                attempt(pool)
            except Busy as error:
                seen.append(type(error))
        raise Stopped

    Client().backup(begin(pool, 2), {"/b": B})
    with pytest.raises(Stopped):
        pool.collect(lambda *_: None, check, safety=AT_ONCE)

    assert seen == [Busy, Busy]
    assert collect(pool).removed_packs == 1


@pytest.mark.parametrize("step", range(12))
def test_a_seal_at_any_moment_of_a_collection_is_whole(place: Place, step: int) -> None:
    """A record sealed in between keeps what it names, be it dead, condemned or moved just then."""
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/a": A, "/b": B, "/c": C})
    client.backup(begin(pool, 2), {"/c": C})
    session = begin(pool, 3)
    client.sent = 0
    client.send(session, client.chunks(A) + client.chunks(C))
    pool.drop(record_id(1))
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == step + 1:
            summary = client.manifest(session, {"/a": A, "/c": C})
            session.seal(summary.files, summary.files_failed, summary.size_bytes)

    pool.collect(lambda *_: None, check, safety=AT_ONCE)
    session.abort()
    sealed = [record.record for record in pool.records()]
    assert client.sent == 0
    assert (record_id(3) in sealed) == (calls > step)
    for _ in range(2):
        collect(pool)
        for record in sealed:
            assert damaged(pool, record) == []
            assert restore(pool, record) == ({"/c": C} if record == record_id(2) else {"/a": A, "/c": C})


def test_a_seal_looks_again_when_collections_come_between(place: Place) -> None:
    """Between its check and its end chunks move, and their new pack is condemned: the record has them all the same."""
    later: list[Callable[[], object]] = []

    def script(operation: str, name: str, done: bool) -> None:
        if operation == "sync" and name == f"manifests/{record_id(3)}.open" and done:
            while later:
                later.pop(0)()

    place.wrap = lambda backend: FaultyBackend(backend, script)
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/a": A[:30_000], "/c": C})
    client.backup(begin(pool, 2), {"/c": C})
    session = begin(pool, 3)
    client.send(session, client.chunks(C))
    pool.drop(record_id(1))
    moved: list[int] = []
    later += [
        lambda: moved.append(collect(pool).moved_bytes),
        lambda: pool.drop(record_id(2)),
        lambda: moved.append(collect(pool).condemned_packs),
    ]
    summary = client.manifest(session, {"/c": C})
    session.seal(summary.files, summary.files_failed, summary.size_bytes)

    assert all(moved)
    assert pool.verify(record_id(3), lambda *_: None, lambda: None, contents=False).damaged == []
    collect(pool)
    assert restore(pool, record_id(3)) == {"/c": C}


def test_zeroing_overwrites_what_goes(place: Place) -> None:
    """Packs and manifests get zeroes under another name before they are removed."""
    done: list[tuple[str, str]] = []
    place.wrap = lambda backend: FaultyBackend(backend, lambda op, name, _: done.append((op, name)))
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    (name,) = packs(place)
    pool.drop(record_id(1), zeroing=True)
    collect(pool, zeroing=True, safety=GcSafety())
    result = sweep(pool, safety=AT_ONCE)

    erased = [name for op, name in done if op == "erase"]
    assert erased == [f"manifests/{record_id(1)}.gone"] * 2 + [name.replace(".pack", ".gone")] * 2
    assert result.removed_packs == 1
    assert result.problems == []
    assert packs(place) == []


def test_a_folder_that_cannot_overwrite_says_so(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Where old bytes stay, the data goes all the same, and result and log name the folder."""
    place.memory().capabilities = Capabilities(overwrite=False)
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1), zeroing=True)
    result = collect(pool, zeroing=True)

    assert result.problems == ["The folder one cannot overwrite what is deleted: its file system copies on write."]
    assert "cannot overwrite" in caplog.text
    assert packs(place) == []


def test_old_tombstones_go(place: Place) -> None:
    """After 400 days, and not before."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    name = f"manifests/{record_id(1)}.tombstone"
    place.now_ns += 400 * 86_400 * SECOND_NS
    kept = pool.tidy(lambda: None).removed_tombstones
    place.now_ns += 1
    removed = pool.tidy(lambda: None).removed_tombstones

    assert (kept, removed) == (0, 1)
    assert name not in place.memory().files


def test_many_chunks_are_collected_by_partition(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files in between the result is the same, and the files are gone afterwards."""
    monkeypatch.setattr(live, "_FEW", 10)
    monkeypatch.setattr(spill, "HELD", 50)
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/a": A, "/c": C})
    client.backup(begin(pool, 2), {"/c": C, "/b": B})
    pool.drop(record_id(1))
    result = collect(pool)

    assert result.moved_bytes > 0
    assert restore(pool, record_id(2)) == {"/c": C, "/b": B}
    assert damaged(pool, record_id(2)) == []
    assert pool.usage().chunks == len(client.chunks(B)) + len(client.chunks(C))
    assert not (place.metadata / "collect").exists()


def test_moved_chunks_keep_their_owners(place: Place) -> None:
    """Who proved to have a chunk has it still after a move; who did not, still does not."""
    pool = place.open()
    client, other = Client(group_bytes=4096), Client(owner="00000000000000bb", group_bytes=4096)
    client.backup(begin(pool, 1), {"/a": A, "/c": C})
    client.backup(begin(pool, 2), {"/c": C})
    other.backup(begin(pool, 3, owner=other.owner, share=True), {"/c": C})
    pool.drop(record_id(1))
    assert collect(pool).moved_bytes > 0
    states = {
        owner: set(begin(pool, task, owner=owner).query(b"".join(name for name, _ in client.chunks(C)))[0])
        for task, owner in enumerate([client.owner, other.owner, "00000000000000cc"], 10)
    }

    assert states == {client.owner: {1}, other.owner: {1}, "00000000000000cc": {0}}


def test_a_record_that_is_being_dropped_does_not_stop_a_run(place: Place) -> None:
    """Its manifest is gone and its row is not yet: it is looked at again when the drop is over."""
    gone = threading.Event()

    def script(operation: str, name: str, done: bool) -> None:
        if operation == "delete" and done and name.endswith(f"{record_id(2)}.manifest"):
            gone.set()
            time.sleep(0.3)  # the collection looks for it meanwhile

    place.wrap = lambda inner: FaultyBackend(inner, script)
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    Client().backup(begin(pool, 2), {"/b": B})
    dropper = threading.Thread(target=pool.drop, args=(record_id(2),))

    def check() -> None:
        if not dropper.ident:
            dropper.start()
            assert gone.wait(60)

    try:
        result = pool.collect(lambda *_: None, check, unfinished=[], safety=AT_ONCE)
    finally:
        dropper.join()

    assert result.removed_packs == 1
    assert restore(pool, record_id(1)) == {"/a": A}
