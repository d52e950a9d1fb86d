"""Every folder of a pool tells which storages the pool has, so that nothing is collected while one of them is away."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.gc import live
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.manifest import ManifestWriter, Summary
from rubackup.domain.errors import NotFound, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore, write_tree
from support.collecting import collect, damaged, packs

A, B = noise(60_000, 1), noise(60_000, 2)


def two_storages(place: Place) -> None:
    """The packs of records 1 and 2 lie in storage one, the manifest of record 2 in storage two; record 1 is dropped."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.reconfigure(folders([Path("two"), Path("one")]), 0, 1)
    Client().backup(begin(pool, 2), {"/a": A, "/b": B})
    pool.drop(record_id(1))
    place.close()
    place.storages = ["two", "one"]


def test_a_lost_index_and_a_folder_that_is_not_mounted(place: Place) -> None:
    """An empty folder at the place of a storage is not taken for a new one."""
    two_storages(place)
    there = place.backends["two"]
    place.backends["two"] = MemoryBackend("two")
    place.lose_index()
    with pytest.raises(StorageFault, match="mounted"):
        place.open()
    place.backends["two"] = there

    assert restore(place.open(), record_id(2)) == {"/a": A, "/b": B}


@pytest.mark.parametrize("lost", ["index", "metadata"])
def test_a_lost_index_and_a_storage_left_out(place: Place, lost: str) -> None:
    """The storage that is there tells of the other one; until that is back nothing is collected."""
    two_storages(place)
    if lost == "index":
        place.lose_index()
    else:
        shutil.rmtree(place.metadata)
    place.storages = ["one"]
    pool = place.open()
    with pytest.raises(StorageFault, match="two belongs to the pool and is away"):
        collect(pool)
    assert packs(place) != []
    pool.reconfigure(folders([Path("one"), Path("two")]), 0, 1)
    collect(pool)

    assert damaged(pool, record_id(2)) == []


def test_the_metadata_folder_tells_too(place: Place) -> None:
    """It names the storages even when none of those that are left does."""
    two_storages(place)
    place.lose_index()
    place.storages = ["one"]
    del place.memory("one").files["storages"]
    with pytest.raises(StorageFault, match="two belongs to the pool"):
        collect(place.open())


def test_a_storage_that_left_empty_is_not_missed(place: Place) -> None:
    """Nothing of the pool was in it; it may come back later."""
    place.storages = ["one", "two"]
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    assert pool.needs("two") == ""
    pool.reconfigure(folders([Path("one")]), 0, 1)
    pool.drop(record_id(1))
    assert collect(pool).removed_packs == 1
    place.close()
    place.lose_index()
    place.storages = ["one"]
    pool = place.open()
    collect(pool)
    pool.reconfigure(folders([Path("one"), Path("two")]), 0, 1)
    pool.reconfigure(folders([Path("one")]), 0, 1)

    assert collect(pool).problems == []


def test_the_last_storage_leaves_too(place: Place) -> None:
    """A pool that lost its only, empty folder is collected when it has got another one."""
    pool = place.open()
    pool.reconfigure([], 0, 1)
    place.storages = ["two"]
    pool = place.reopen()
    Client().backup(begin(pool, 1), {"/a": A})
    pool.drop(record_id(1))

    assert collect(pool).removed_packs == 1


def test_damaged_rows_tell_nothing_and_are_written_again(place: Place) -> None:
    """A row that a crash cut off or that rotted is left out; the other folder's copy fills it in."""
    two_storages(place)
    data = place.memory("one").files["storages"].data
    data[5] ^= 1
    del data[-3:]
    place.lose_index()
    place.open()
    place.close()
    shutil.rmtree(place.metadata)
    place.storages = ["one"]

    with pytest.raises(StorageFault, match="two belongs to the pool"):
        collect(place.open())


@pytest.mark.parametrize("few", [250_000, 0], ids=["one partition", "many"])
def test_a_record_with_chunks_that_are_nowhere_stops_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """When every storage is there it is named, until a backup has healed it; the rest is collected."""
    monkeypatch.setattr(live, "_FEW", few)
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    [lost] = packs(place)
    Client().backup(begin(pool, 2), {"/b": B})
    Client().backup(begin(pool, 3), {"/c": noise(60_000, 3)})
    pool.drop(record_id(3))
    place.close()
    place.lose_index()
    del place.memory().files[lost]
    pool = place.open()
    first = collect(pool)
    assert (first.damaged, first.removed_packs) == ([record_id(1)], 1)
    assert restore(pool, record_id(2)) == {"/b": B}
    Client().backup(begin(pool, 4), {"/a": A})

    assert collect(pool).damaged == []
    assert restore(pool, record_id(1)) == {"/a": A}


def test_a_storage_that_is_lost_for_good_is_given_up(place: Place) -> None:
    """It is not waited for any more, also after the next opening; what it held is missing and is named."""
    two_storages(place)
    place.lose_index()
    place.storages = ["one"]
    pool = place.open()
    with pytest.raises(NotFound, match="away: two"):
        pool.give_up_storage("three")
    pool.give_up_storage("two")
    place.close()
    place.lose_index()

    assert collect(place.open()).removed_packs >= 1


def test_holes_are_no_lost_chunks(place: Place) -> None:
    """A row of a hole names no chunk."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    client, session = Client(), begin(pool, 2)
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, client.header(session.record))
    write_tree(writer, {"/hole": b"x"}, lambda _: [(HOLE, 4096)])
    writer.finish(Summary(files=1, size_bytes=4096))
    session.put_manifest(b"".join(parts))
    session.seal(1, 0, 4096)

    assert collect(pool).problems == []
