"""A pool without room goes on in its emergency storage, and comes back from there when there is room again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import GcSafety, Pool
from rubackup.domain.errors import StorageFault, StorageFull
from support.chunkstore import POOL, Client, Place, begin, noise, record_id, restore

OLD = {f"/old{i}": noise(40_000, i) for i in range(4)}
NEW = {f"/new{i}": noise(40_000, 100 + i) for i in range(6)}
SAFETY = GcSafety(grace_seconds=0)


class Emergency:
    """The media server's part: a folder below one that is configured."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asked = 0
        self.problem = ""

    @property
    def memory(self) -> MemoryBackend:
        """The folder."""
        return self.place.memory(POOL)

    def __call__(self, make: bool) -> Path | None:
        if self.problem:
            raise StorageFault(self.problem)
        self.asked += make
        return Path(POOL) if make or self.memory.files else None


@pytest.fixture
def emergency(place: Place, monkeypatch: pytest.MonkeyPatch) -> Emergency:
    """Packs are small."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 60_000)
    monkeypatch.setattr(pack, "MAX_BYTES", 20_000)
    return Emergency(place)


def opened(place: Place, emergency: Emergency | None) -> Pool:
    """The pool with one storage of 250 kB."""
    pool = place.reopen()
    pool.reconfigure(folders([Path("one")]), 0, 1, emergency=emergency)
    return pool


def fill(place: Place, emergency: Emergency, room: int = 90_000) -> Pool:
    """Record 1 in the regular storage, then 2, for which there is no room."""
    pool = opened(place, emergency)
    Client().backup(begin(pool, 1), OLD)
    place.memory().capacity_bytes = sum(len(file.data) for file in place.memory().files.values()) + room
    Client().backup(begin(pool, 2), NEW)
    return pool


def collect(pool: Pool) -> list[str]:
    """A cleaning, and what it says."""
    return pool.collect(lambda *_: None, lambda: None, safety=SAFETY).problems


def test_a_running_backup_goes_on_there_and_what_has_room_does_not(place: Place, emergency: Emergency) -> None:
    """Only the packs that no other storage has room for; also after a restart, with other words or none configured."""
    pool = fill(place, emergency)
    regular, spare = pool.fills()
    assert (regular.emergency, spare.emergency, spare.path, spare.problem) == (False, True, POOL, "")
    assert 100_000 < spare.used_bytes < 240_000
    assert restore(pool, record_id(2)) == NEW

    for other in (emergency, None):
        again = opened(place, other)
        assert [one.emergency for one in again.fills()] == [False, True]
        assert restore(again, record_id(2)) == NEW
        assert restore(again, record_id(1)) == OLD
    with pytest.raises(StorageFull, match="no room"):
        Client().backup(begin(again, 3), {"/more": noise(200_000, 7)})


def test_none_is_made_while_there_is_room(place: Place, emergency: Emergency) -> None:
    """Opening, asking and writing leave the emergency folder alone."""
    pool = opened(place, emergency)
    Client().backup(begin(pool, 1), OLD)
    pool.usage()

    assert emergency.asked == 0
    assert not emergency.memory.files


def test_what_keeps_it_from_being_used_is_said(place: Place, emergency: Emergency) -> None:
    """The sentence names the full storage and the reason."""
    emergency.problem = "The folder /tmp/x belongs to the user 1000."
    place.memory().capacity_bytes = 100_000
    with pytest.raises(StorageFull, match=r"one has .* the emergency storage cannot be used: .* user 1000"):
        Client().backup(begin(opened(place, emergency), 1), OLD)

    emergency.problem = ""
    emergency.memory.capacity_bytes = 30_000
    with pytest.raises(StorageFull, match=rf"{POOL} has .* bytes free"):
        Client().backup(begin(opened(place, emergency), 2), OLD)


def test_a_storage_that_is_away_is_as_good_as_full(place: Place, emergency: Emergency) -> None:
    """The backup goes into the emergency storage, and nothing into the bare folder."""
    place.storages = ["one", "two"]
    pool = place.open()
    pool.reconfigure(folders([Path("one"), Path("two")]), 0, 1, emergency=emergency)
    place.memory("two").capacity_bytes = 0
    files = dict(place.memory().files)
    place.memory().files.clear()
    Client().backup(begin(pool, 1), NEW)

    assert not place.memory().files
    assert restore(pool, record_id(1)) == NEW
    place.memory().files.update(files)
    pool.look()
    assert pool.away() == []
    assert restore(pool, record_id(1)) == NEW


def test_a_cleaning_brings_everything_back(place: Place, emergency: Emergency) -> None:
    """Packs, manifests, locks and tombstones; then the emergency storage leaves the pool, empty."""
    pool = fill(place, emergency, room=0)
    Client().backup(begin(pool, 3), {"/third": noise(50_000, 3)})
    pool.lock(record_id(3), place.now_ns + 10**9)
    Client().backup(begin(pool, 4), {"/fourth": noise(50_000, 4)})
    pool.drop(record_id(4))
    assert any("emergency" in text or "room" in text for text in collect(pool))
    assert restore(pool, record_id(2)) == NEW

    place.memory().capacity_bytes = 1 << 30
    assert collect(pool) == []
    assert collect(pool) == []

    assert [one.emergency for one in pool.fills()] == [False]
    assert not emergency.memory.files
    assert pool.locked_until_ns(record_id(3)) == place.now_ns + 10**9
    for start in (False, True):
        again = opened(place, emergency) if start else pool
        assert again.problems == []
        assert again.away() == []
        for number, tree in {1: OLD, 2: NEW, 3: {"/third": noise(50_000, 3)}}.items():
            assert restore(again, record_id(number)) == tree
        assert sorted(one.record for one in again.records()) == [record_id(n) for n in (1, 2, 3)]
        assert again._dropped(record_id(4))


def test_who_reads_meanwhile_reads_on_until_the_grace_is_over(place: Place, emergency: Emergency) -> None:
    """The moved manifest's old file stays so long; a restart in between leaves one."""
    pool = fill(place, emergency, room=0)
    place.memory().capacity_bytes = 1 << 30
    session = pool.read(record_id(2))
    first = session.read_manifest(0, 100)
    pool.collect(lambda *_: None, lambda: None)
    name = f"manifests/{record_id(2)}.manifest"
    assert name in emergency.memory.files
    assert session.read_manifest(0, 100) == first
    assert pool.sweepable

    again = opened(place, emergency)
    assert name not in emergency.memory.files
    assert restore(again, record_id(2)) == NEW


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_a_crash_at_any_step_of_a_drain_loses_nothing(place: Place, emergency: Emergency, at: int) -> None:
    """Everything restores after it, and a later cleaning ends it."""

    class Crash(BaseException):
        """The process ends."""

    fill(place, emergency, room=0)
    place.memory().capacity_bytes = 1 << 30
    steps = iter(range(10_000))
    armed = False

    def script(operation: str, name: str, after: bool) -> None:
        if armed and operation not in {"read", "size", "list", "space"} and next(steps) == at:
            raise Crash

    def wrap(inner: Backend) -> Backend:
        return FaultyBackend(inner, script)

    place.wrap = wrap
    pool = opened(place, emergency)
    armed = True
    with suppress(Crash):
        collect(pool)
    armed = False
    place.wrap = lambda inner: inner
    pool = opened(place, emergency)
    for _ in range(3):
        assert restore(pool, record_id(1)) == OLD
        assert restore(pool, record_id(2)) == NEW
        assert collect(pool) == []
    assert not emergency.memory.files
    assert restore(opened(place, emergency), record_id(2)) == NEW


def test_an_emergency_storage_that_is_lost_is_named(place: Place, emergency: Emergency) -> None:
    """As any other storage; what does not need it is served."""
    pool = fill(place, emergency)
    emergency.memory.files.clear()
    pool.look()

    assert pool.away() == [POOL]
    assert POOL in pool.unavailable(record_id(2))
    assert restore(pool, record_id(1)) == OLD


def test_a_pool_whose_own_storages_are_all_away_says_so(place: Place, emergency: Emergency) -> None:
    """The emergency storage that it used is still its own; nothing is written there any more, and the reason is a sentence."""
    pool = fill(place, emergency)
    place.memory().files.clear()
    pool.reconfigure(folders([Path("one")]), 0, 1, emergency=lambda _make: None)

    with pytest.raises(StorageFault, match="none of the pool's own storages can be used now"):
        Client().backup(begin(pool, 3), {"/more": noise(2_000, 7)})
