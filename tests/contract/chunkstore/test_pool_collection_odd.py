"""Garbage collection where clocks are set and files are not what they should be."""

from __future__ import annotations

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.pool import GcSafety
from support.chunkstore import Client, Place, begin, noise, record_id
from support.collecting import SECOND_NS, collect, damaged, packs, sweep

A, B = noise(60_000, 1), noise(60_000, 2)
DAY_NS = 86_400 * SECOND_NS


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup makes several packs."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)


def condemned(place: Place) -> None:
    """One pack waits for the end of its grace."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    assert collect(pool, safety=GcSafety()).condemned_packs == 1


@pytest.mark.parametrize("days", [-4000, 4000])
def test_the_grace_is_as_long_when_the_clock_is_set(place: Place, days: int) -> None:
    """While the process lives it is judged by a clock that nobody sets."""
    condemned(place)
    place.set_clock(days * DAY_NS)
    [pool] = place.opened
    early = sweep(pool)
    place.now_ns += 899 * SECOND_NS
    almost = sweep(pool)
    place.now_ns += SECOND_NS

    assert (early.removed_packs, almost.removed_packs, sweep(pool).removed_packs) == (0, 0, 1)


def test_a_clock_set_back_before_a_restart_costs_one_grace(place: Place) -> None:
    """A mark of the future counts from the opening."""
    condemned(place)
    place.set_clock(-4000 * DAY_NS)
    pool = place.reopen()
    place.now_ns += 899 * SECOND_NS
    early = sweep(pool)
    place.now_ns += SECOND_NS

    assert (early.removed_packs, sweep(pool).removed_packs) == (0, 1)


@pytest.mark.parametrize("dead", [True, False], ids=["removed", "emptied"])
def test_files_that_were_swapped_are_left_alone(place: Place, dead: bool) -> None:
    """Neither is a live pack removed under the name of an unused one, nor are groups moved from it; a new index finds all."""
    pool = place.open()
    tree = {f"/a{i}": noise(20_000, i) for i in range(4)}
    Client().backup(begin(pool, 1), tree)
    first = packs(place)
    other = {f"/b{i}": noise(20_000, 9 + i) for i in range(4)}
    Client().backup(begin(pool, 2), other)
    if not dead:
        Client().backup(begin(pool, 3), {"/a0": tree["/a0"]})
    [one], [two] = first, sorted(set(packs(place)) - set(first))[:1]
    files = place.memory().files
    files[one], files[two] = files[two], files[one]
    pool.drop(record_id(1))
    result = collect(pool)

    assert (result.removed_packs, result.moved_bytes) == (0, 0)
    assert any(one in problem and "header of pack" in problem for problem in result.problems)
    place.close()
    place.lose_index()
    pool = place.open()
    assert damaged(pool, record_id(2)) == []
    assert dead or damaged(pool, record_id(3)) == []


def test_an_unused_pack_with_a_damaged_header_goes(place: Place) -> None:
    """The ids in it still say what it is; one that is cut off holds nothing."""
    for number, spoil in ((1, "flip"), (2, "cut")):
        pool = place.open()
        Client().backup(begin(pool, number), {"/a": noise(60_000, number)})
        [name] = packs(place)
        data = place.memory().files[name].data
        if spoil == "flip":
            data[60] ^= 1
        else:
            del data[40:]
        pool.drop(record_id(number))

        assert collect(pool).removed_packs == 1
        place.close()


def test_a_pack_that_recovery_closed_is_weighed_whole(place: Place) -> None:
    """Its trailer counts as that of any other pack: what is unused in it is seen however little it is."""
    session = begin(place.open(), 1)
    client = Client()
    for data in (A[:9_000], B[:9_000], b"little"):
        client.send(session, client.chunks(data))
    session.checkpoint()
    left = {name: bytes(file.data) for name, file in place.memory().files.items()}
    session.abort()
    place.close()
    place.lose_index()
    place.memory().files.clear()
    for name, data in left.items():  # as a crash leaves it, with the pack open
        place.memory().put(name, data)
    assert [name for name in left if name.endswith(".open")]
    pool = place.open()
    client.backup(begin(pool, 2), {"/a": A[:9_000], "/b": B[:9_000]})
    client.backup(begin(pool, 3), {"/little": b"little"})
    pool.drop(record_id(3))
    [before] = packs(place)

    result = collect(pool, safety=GcSafety(grace_seconds=0, compact_share=0.0))

    assert result.moved_bytes > 9_000
    assert packs(place) != [before]
    assert damaged(pool, record_id(2)) == []
