"""A collection that ends at any step harms nothing, and the next one finishes it; chance finds no order that loses a chunk."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.pool import GcSafety
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import AT_ONCE, SECOND_NS, collect, damaged, packs, sweep
from support.crashes import Crasher, at_every_step, everything, half, nothing_unsynced

KEPT = {"/c": noise(60_000, 3)}
DROPPED = {"/a": noise(60_000, 1), "/c": KEPT["/c"], "/z": noise(60_000, 4)}


def _run(place: Place, step: int, survivors: Callable[[MemoryBackend], MemoryBackend]) -> Crasher:
    """A pool whose collection moves, zeroes and removes packs, crashed at a step unless it came to its end before."""
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), DROPPED)
    client.backup(begin(pool, 2), KEPT)
    place.close()
    crasher = Crasher(place, step, survivors)
    place.wrap = lambda backend: FaultyBackend(backend, crasher)
    with crasher.watching():
        pool = place.open()
        pool.drop(record_id(1), zeroing=True)
        assert collect(pool, zeroing=True).moved_bytes > 0
    return crasher


def _check(survivor: Place) -> None:
    """What is listed is whole, the next backup and collection work, and nothing but live data is left."""
    pool = survivor.open()
    assert pool.problems == []
    records = {record.record for record in pool.records()}
    assert record_id(2) in records
    for record in records:
        assert damaged(pool, record) == []
    pool.drop(record_id(1))
    collect(pool)
    Client(group_bytes=4096).backup(begin(pool, 3), KEPT)
    pool = survivor.reopen()
    collect(pool)
    assert pool.problems == []
    assert restore(pool, record_id(2)) == restore(pool, record_id(3)) == KEPT
    assert pool.usage().chunks == len(Client().chunks(KEPT["/c"]))
    assert {name.rpartition(".")[2] for name in packs(survivor)} == {"pack"}
    assert sum(len(survivor.memory().files[name].data) for name in packs(survivor)) < 80_000
    survivor.close()


@pytest.mark.parametrize("survivors", [everything, nothing_unsynced, half])
@pytest.mark.parametrize("lose_index", [False, True])
def test_a_collection_may_crash_anywhere(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, survivors: Callable, lose_index: bool
) -> None:
    """Before and after every operation on the storage, with and without the index left."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    crashes = 0
    for crashed, _ in at_every_step(quick_folder, _run, survivors, lose_index=lose_index):
        _check(crashed)
        crashes += 1

    assert crashes > 20


class Chance:
    """Random work on a pool: sessions that overlap, drops, collections with and without grace, restarts."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.pool = place.open()
        self.files = [noise(9_000 + 1000 * i, i) for i in range(12)]
        self.kept: dict[str, dict[str, bytes]] = {}
        self.open: list[tuple] = []
        self.next = 0

    def step(self) -> None:
        """One random thing."""
        at_random = [self.begin] * 3 + [self.seal] * 3 + [self.abort, self.drop, self.drop, self.collect, self.collect]
        self.random.choice([*at_random, self.sweep, self.restart, self.late_seal])()

    def begin(self) -> None:
        """A session that sends its files."""
        self.next += 1
        names = self.random.sample(range(len(self.files)), 4)
        tree = {f"/{i}": self.files[i] for i in sorted(names)}
        client = Client(group_bytes=self.random.choice([2048, 16_384]))
        session = begin(self.pool, self.next)
        for data in tree.values():
            client.send(session, client.chunks(data))
        self.open.append((client, session, tree))

    def seal(self) -> None:
        """Any open session comes to its end."""
        if self.open:
            client, session, tree = self.open.pop(self.random.randrange(len(self.open)))
            summary = client.manifest(session, tree)
            session.seal(summary.files, summary.files_failed, summary.size_bytes)
            self.kept[session.record] = tree

    def late_seal(self) -> None:
        """A session seals while a collection runs."""
        when = self.random.randrange(1, 10)
        calls = 0

        def check() -> None:
            nonlocal calls
            calls += 1
            if calls == when:
                self.seal()

        self.pool.collect(lambda *_: None, check, unfinished=[], safety=AT_ONCE)

    def abort(self) -> None:
        """Any open session ends without a record."""
        if self.open:
            self.open.pop(self.random.randrange(len(self.open)))[1].abort()

    def drop(self) -> None:
        """Any record goes."""
        if self.kept:
            record = self.random.choice(sorted(self.kept))
            self.pool.drop(record)
            del self.kept[record]

    def collect(self) -> None:
        """With or without grace."""
        collect(self.pool, unfinished=[], safety=GcSafety(grace_seconds=self.random.choice([0, 5])))

    def sweep(self) -> None:
        """Later."""
        self.place.now_ns += 3 * SECOND_NS
        sweep(self.pool, safety=GcSafety(grace_seconds=5))

    def restart(self) -> None:
        """Open sessions are lost, sometimes the index, too."""
        self.open.clear()
        self.place.close()
        if self.random.random() < 0.3:
            self.place.lose_index()
        self.pool = self.place.open()

    def check(self) -> None:
        """Every record is whole."""
        assert {record.record for record in self.pool.records()} == set(self.kept)
        for record, tree in self.kept.items():
            assert self.pool.verify(record, lambda *_: None, lambda: None, contents=False).damaged == []
            assert restore(self.pool, record) == tree


@pytest.mark.parametrize("seed", range(8))
def test_chance_loses_nothing(quick_folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever happens in whatever order, records are whole, and in the end nothing but them is left."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 60_000)
    chance = Chance(Place(quick_folder), seed)
    for _ in range(40):
        chance.step()
        chance.check()
    for _, session, _ in chance.open:
        session.abort()
    for _ in range(2):
        collect(chance.pool, unfinished=[])
    chance.check()
    live = {name for tree in chance.kept.values() for data in tree.values() for name, _ in Client().chunks(data)}

    assert chance.pool.problems == []
    assert chance.pool.usage().chunks <= 1.3 * len(live)
    chance.place.close()
