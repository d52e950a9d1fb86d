"""Garbage collection removes nothing that a record needs, though the index may have lost rows without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import lmdb
import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore._marks import GOING, Mark
from rubackup.chunkstore.pool import GcSafety
from rubackup.chunkstore.seals import manifest_name
from rubackup.domain.errors import Corrupt
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import AT_ONCE, collect, packs

A, B = noise(60_000, 1), noise(60_000, 2)
EMPTYING = GcSafety(grace_seconds=0, compact_share=0.05)


def lose(place: Place, *losses: tuple[str, Callable[[bytes], bool]]) -> int:
    """Take rows with such keys out of tables of a closed index; how many."""
    gone = 0
    with lmdb.open(str(place.metadata / "index"), max_dbs=32, map_size=1 << 30) as env:
        for table, is_lost in losses:
            database = env.open_db(table.encode(), create=False)
            with env.begin(write=True) as txn:
                keys: Iterable[bytes] = [key for key, _ in txn.cursor(database) if is_lost(key)]
                gone += sum(txn.delete(key, db=database) for key in keys)
    return gone


def chunks_of(*contents: bytes) -> Callable[[bytes], bool]:
    """Whether a key of `chunks` is one of these contents."""
    names = {name for data in contents for name, _ in Client().chunks(data)}
    return lambda key: key[:32] in names


def every(_: bytes) -> bool:
    """All rows of a table."""
    return True


@pytest.mark.parametrize(
    ("losses", "safety"),
    [
        ([("chunks", every)], AT_ONCE),
        ([("chunks", chunks_of(A))], EMPTYING),
        ([("chunks", every), ("record_packs", every)], AT_ONCE),
        ([("chunks", chunks_of(A)), ("record_packs", every)], EMPTYING),
    ],
    ids=["whole pack", "part of a pack", "whole pack and sets", "part of a pack and sets"],
)
def test_lost_rows_stop_the_run(
    place: Place, losses: list[tuple[str, Callable[[bytes], bool]]], safety: GcSafety
) -> None:
    """Nothing is marked; once the index is rebuilt, the next run finds everything in its place."""
    tree = {"/a": A, "/b": B}
    Client().backup(begin(place.open(), 1), tree)
    place.close()
    before = packs(place)
    assert lose(place, *losses) > 0
    pool = place.open()

    with pytest.raises(Corrupt, match="Nothing is collected"):
        collect(pool, unfinished=[], safety=safety)
    assert pool.index_damaged
    assert pool.condemned_packs == 0
    pool = place.reopen()
    assert collect(pool, unfinished=[], safety=safety).problems == []
    assert packs(place) == before
    assert restore(pool, record_id(1)) == tree


def test_rows_that_a_fresh_index_loses_keep_their_packs(place: Place) -> None:
    """It is not rebuilt again within the hour; until then nothing is collected."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    place.close()
    place.lose_index()
    pool = place.open()
    pool._index.marks.forget_chunks([row for rows in list(pool._index.marks.chunks()) for row in rows])
    with pytest.raises(Corrupt, match="Nothing is collected"):
        collect(pool, unfinished=[])

    assert len(packs(place)) == 1
    place.close()
    place.lose_index()
    assert restore(place.open(), record_id(1)) == {"/a": A}


def test_a_forgotten_record_costs_an_index_and_no_copy(place: Place) -> None:
    """Its manifest is there and was readable: the index is wrong, not the manifest."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool._index.delete_record(record_id(1))
    with pytest.raises(Corrupt, match="is there, and the index does not know it"):
        collect(pool, unfinished=[])
    assert pool.index_damaged
    pool = place.reopen()

    assert collect(pool, unfinished=[]).problems == []
    assert restore(pool, record_id(1)) == {"/a": A}


def test_a_manifest_that_cannot_be_read_is_not_the_fault_of_the_index(place: Place) -> None:
    """It stops each collection, and costs no index."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    place.close()
    manifest = place.memory().files[manifest_name(record_id(1))]
    manifest.data[:] = bytes(len(manifest.data))
    pool = place.open()
    for _ in range(2):
        with pytest.raises(Corrupt, match="cannot be read"):
            collect(pool, unfinished=[])

    assert not pool.index_damaged


def two_packs_of_one_content(place: Place) -> list[str]:
    """Two sessions that run side by side store the same; the index names the pack that was there first."""
    pool = place.open()
    sessions = [begin(pool, 1), begin(pool, 2)]
    client = Client()
    for session in sessions:
        client.send(session, client.chunks(A))
    for session in sessions:
        session.checkpoint()
        client.manifest(session, {"/a": A})
        session.seal(1, 0, len(A))
    (number,) = {int.from_bytes(value[:4], "little") for rows in pool._index.marks.chunks() for _, value in rows}
    first = pool._index.pack(number)
    assert first is not None
    return sorted(packs(place), key=lambda name: name != pack.closed_name(first.id))


def test_a_second_copy_goes(place: Place) -> None:
    """The pack that the index names was asked, and has the chunks."""
    first, _ = two_packs_of_one_content(place)
    result = collect(place.opened[0], unfinished=[])

    assert (result.removed_packs, result.problems) == (1, [])
    assert packs(place) == [first]
    assert restore(place.reopen(), record_id(2)) == {"/a": A}


def test_a_second_copy_goes_though_the_first_has_a_damaged_header(place: Place) -> None:
    """A damaged header names no other pack, and the group is where the index says. The run makes the header good."""
    first, _ = two_packs_of_one_content(place)
    place.memory().files[first].data[20] ^= 1
    pool = place.reopen()

    assert collect(pool, unfinished=[]).problems == []
    assert restore(place.reopen(), record_id(2)) == {"/a": A}


@pytest.mark.parametrize("damage", ["gone", "exchanged", "overwritten"])
def test_a_second_copy_stays_when_the_first_is_not_there(place: Place, damage: str) -> None:
    """With the next index it is the one that is used."""
    first, second = two_packs_of_one_content(place)
    pool = place.opened[0]
    files = place.memory().files
    if damage == "gone":
        del files[first]
    elif damage == "exchanged":
        Client().backup(begin(pool, 3), {"/b": noise(70_000, 3)})
        (third,) = set(packs(place)) - {first, second}
        files[first], files[third] = files[third], files[first]
    else:
        files[first].data[pack.HEADER_BYTES : pack.HEADER_BYTES + 4] = b"\0" * 4
    with pytest.raises(Corrupt, match="not where the index says"):
        collect(pool, unfinished=[])

    assert second in packs(place)
    pool = place.reopen()
    assert restore(pool, record_id(2))["/a"] == A
    collect(pool, unfinished=[])
    assert restore(pool, record_id(2))["/a"] == A


def test_a_pack_without_a_trailer_is_asked_group_by_group(place: Place) -> None:
    """What is whole in it counts: nothing of it is live, so it goes."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))
    (name,) = packs(place)
    place.memory().files[name].data[-1] ^= 1
    result = collect(pool, unfinished=[])

    assert (result.removed_packs, result.problems) == (1, [])


def test_a_pack_that_is_being_removed_by_mistake_stops_the_run(place: Place) -> None:
    """The mark of another pack came to it: nothing more is removed, and the marks go with the index."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool._index.marks.condemn([1], Mark(1, GOING, 0, 0))
    with pytest.raises(Corrupt, match="are being removed hold chunks"):
        collect(pool, unfinished=[])

    assert restore(place.reopen(), record_id(1)) == {"/a": A}
