"""Sessions of many threads on one pool."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rubackup.chunkstore import pack, seals
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Fenced, Invalid
from support.chunkstore import Client, Place, begin, noise, record_id, restore

SHARED = {f"/shared/{i}": noise(3_000, i) for i in range(30)}


def _tree(number: int) -> dict[str, bytes]:
    return SHARED | {f"/own/{i}": noise(500, 1000 * number + i) for i in range(200)}


def _backup(pool: Pool, number: int) -> None:
    """Back up, interleaved with others, and look at the result."""
    client = Client(owner=f"{number % 2:016x}", group_bytes=5_000)
    client.backup(begin(pool, number, owner=client.owner, share=True), _tree(number))
    assert restore(pool, record_id(number)) == _tree(number)
    assert pool.verify(record_id(number), lambda *_: None, lambda: None).damaged == []


def test_backups_restores_and_verifications_at_once(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight sessions share chunks, packs are closed and the index grows all the time, and every record is whole."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 40_000)
    place = Place(quick_folder, map_bytes=64 << 10)
    pool = place.open()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: _backup(pool, number), range(1, 17)))

    pool = place.reopen()
    assert pool.problems == []
    assert len(pool.records()) == 16
    for number in range(1, 17):
        assert restore(pool, record_id(number)) == _tree(number)
    place.close()


def test_only_the_last_of_many_workers_seals(quick_folder: Path) -> None:
    """However the hand-overs of one task race, the newest worker seals, and no older one after it began."""
    place = Place(quick_folder)
    pool = place.open()
    start = threading.Barrier(6)
    sealed: list[int] = []

    def work(fence: int) -> None:
        start.wait(timeout=60)
        try:
            session = begin(pool, 1, fence=fence, record=record_id(fence))
            Client().backup(session, SHARED)
            sealed.append(fence)
        except (Fenced, Invalid):
            pass

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(1, 7)))

    assert max(sealed, default=0) == 6
    assert {record.fence for record in pool.records()} == set(sealed)
    place.close()


def test_a_hand_over_in_the_middle_of_a_seal_wins(place: Place) -> None:
    """A worker that lost its task after it wrote the manifest, but before it was published, publishes nothing."""
    fenced = threading.Event()
    takers: list[threading.Thread] = []

    def script(operation: str, name: str, done: bool) -> None:
        if operation == "sync" and name == seals.open_name(record_id(1)) and not done:
            takers.append(threading.Thread(target=lambda: begin(pool, 1, fence=2, record=record_id(2))))
            takers[0].start()
            assert fenced.wait(timeout=60)

    place.wrap = lambda backend: FaultyBackend(backend, script)
    pool = place.open()
    keep = pool._index.set_fences
    pool._index.set_fences = lambda fences: (keep(fences), 2 in fences.values() and fenced.set())
    session = begin(pool, 1)
    with pytest.raises(Fenced):
        Client().backup(session, SHARED)
    takers[0].join(timeout=60)

    assert pool.records() == []


def test_closing_ends_the_sessions(place: Place) -> None:
    """A pool that closes keeps what arrived and refuses the rest."""
    pool = place.open()
    client = Client()
    session = begin(pool, 1)
    client.send(session, client.chunks(noise(50_000)))
    pool.close()
    with pytest.raises(Fenced):
        session.checkpoint()
    client.sent = 0
    client.backup(begin(place.reopen(), 2), {"/a": noise(50_000)})

    assert client.sent == 0
