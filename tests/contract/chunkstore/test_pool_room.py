"""A pool without room says so, stays consistent, and works again when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Invalid, RubackupError, StorageFault, StorageFull
from support.chunkstore import Client, Place, Tree, begin, noise, record_id, restore

TREE = {f"/{i}": noise(40_000, i) for i in range(8)}

UNCHECKED = -(1 << 50)
"""A reserve that lets every write go on until the disk itself refuses."""


def _used(place: Place, name: str = "one") -> int:
    return sum(len(file.data) for file in place.memory(name).files.values())


def test_the_reserve_is_kept(place: Place) -> None:
    """A backup that would eat into the reserve ends with a sentence that says where and how much."""
    place.reserve_bytes = 500_000
    place.memory().capacity_bytes = 700_000
    pool = place.open()

    with pytest.raises(StorageFull, match=r"one has \d+ bytes free; 500000 bytes are kept in reserve"):
        Client().backup(begin(pool, 1), TREE)
    assert place.memory().space().free_bytes >= 500_000
    assert pool.records() == []


@pytest.mark.parametrize("reserve", [0, UNCHECKED])
def test_a_full_disk_at_any_moment_harms_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, reserve: int
) -> None:
    """However much room there was, older records stay whole and the next backup works once there is room."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    full = 0
    for room in range(0, 400_000, 9_973):
        place = Place(quick_folder / str(room), reserve_bytes=reserve)
        pool = place.open()
        Client().backup(begin(pool, 1), {"/old": noise(30_000, 99)})
        place.memory().capacity_bytes = _used(place) + room
        try:
            Client().backup(begin(pool, 2), TREE)
        except StorageFull:
            full += 1
            assert [record.record for record in pool.records()] == [record_id(1)]
        assert restore(pool, record_id(1)) == {"/old": noise(30_000, 99)}

        place.memory().capacity_bytes = 1 << 40
        Client().backup(begin(pool, 3), TREE)
        assert restore(pool, record_id(3)) == TREE
        assert not [name for name in place.memory().files if name.endswith(".open")]
        assert restore(place.reopen(), record_id(3)) == TREE
        assert place.opened[0].problems == []
        place.close()

    assert full > 20


def test_a_session_that_ran_out_of_room_is_over(place: Place) -> None:
    """Nothing more is taken after StorageFull."""
    place.memory().capacity_bytes = 60_000
    session = begin(place.open(), 1)
    with pytest.raises(StorageFull):
        Client().backup(session, TREE)

    with pytest.raises(Invalid):
        session.checkpoint()


def test_storages_are_filled_one_after_another(place: Place) -> None:
    """When the first has no room the next is used, within one backup; restores read from both."""
    place.storages = ["one", "two"]
    place.reserve_bytes = 10_000
    place.memory("one").capacity_bytes = 150_000
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)

    assert _used(place, "one") > 100_000
    assert _used(place, "two") > 100_000
    assert restore(place.reopen(), record_id(1)) == TREE
    usage = place.opened[0].usage()
    assert usage.problem == ""
    assert 300_000 < usage.used_bytes <= _used(place, "one") + _used(place, "two")


def test_storages_are_filled_evenly_where_it_is_wanted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new pack goes to the storage with most room, from the next pack on after a change."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    place.storages = ["one", "two"]
    place.memory("one").capacity_bytes = place.memory("two").capacity_bytes = 2_000_000
    pool = place.open()
    pool.reconfigure(folders([Path("one"), Path("two")]), 0, 1, evenly=True)
    Client().backup(begin(pool, 1), TREE)
    assert abs(_used(place, "one") - _used(place, "two")) < 150_000
    pool.reconfigure(folders([Path("one"), Path("two")]), 0, 1)
    before = _used(place, "two")
    Client().backup(begin(pool, 2), {f"/{i}": noise(40_000, i) for i in range(8, 16)})

    assert _used(place, "two") == before
    assert restore(pool, record_id(1)) == TREE


def test_usage_tells_what_is_wrong(place: Place) -> None:
    """A pool without room has a problem that names the folder."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    good = pool.usage()
    pool.reconfigure(folders([Path("one")]), 1 << 50, None)

    assert (good.problem, good.records) == ("", 1)
    assert good.used_bytes == _used(place) - sum(len(place.memory().files[name].data) for name in ("pool", "storages"))
    assert "one" in pool.usage().problem
    assert pool.usage().records == 1


def test_a_storage_is_added_while_a_backup_runs(place: Place) -> None:
    """The running session uses the new folder as soon as it needs it; none can leave meanwhile."""
    place.memory("one").capacity_bytes = 150_000
    place.reserve_bytes = 10_000
    pool = place.open()
    session = begin(pool, 1)
    client = Client()
    client.send(session, client.chunks(TREE["/0"]))
    pool.reconfigure(folders([Path("one"), Path("two")]), 10_000, 3)
    with pytest.raises(RubackupError):
        pool.reconfigure(folders([Path("two")]), 10_000, 3)
    client.backup(session, TREE)

    assert restore(pool, record_id(1)) == TREE


def test_a_storage_that_left_makes_its_chunks_unknown(place: Place) -> None:
    """Chunks out of reach are asked for again, so the next copy is whole without them; it may come back."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    pool.reconfigure(folders([Path("two")]), 0, None)
    with pytest.raises(StorageFault):
        restore(pool, record_id(1))
    client = Client()
    client.backup(begin(pool, 2), TREE)

    assert client.sent > 0
    assert restore(pool, record_id(2)) == TREE
    pool.reconfigure(folders([Path("two"), Path("one")]), 0, None)
    assert restore(pool, record_id(1)) == TREE


def test_a_folder_of_another_pool_is_refused(place: Place) -> None:
    """The marker binds a folder to one pool."""
    place.memory().put("pool", f"rubackup pool 0 {'f' * 32} {'e' * 32}\n".encode())

    with pytest.raises(StorageFault, match="another pool"):
        place.open()


def test_a_folder_that_lost_its_marker_is_refused(place: Place) -> None:
    """An empty folder where a storage was is a disk that is not mounted: nothing is written there."""
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    files = dict(place.memory().files)
    place.memory().files.clear()
    with pytest.raises(StorageFault, match="mounted"):
        place.open()
    assert not place.memory().files
    place.memory().files.update(files)
    del place.memory().files["pool"]  # the marker alone is lost: the packs tell whose they are

    assert restore(place.open(), record_id(1)) == TREE


def test_a_disk_that_is_unmounted_while_the_pool_is_open(place: Place) -> None:
    """Nothing is written to the empty folder that is left, and the pool says what is wrong."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    place.memory().files.clear()
    with pytest.raises(StorageFault, match="mounted"):
        Client().backup(begin(pool, 2), {"/new": noise(5000, 77)})

    assert not place.memory().files
    assert "mounted" in pool.usage().problem


def test_the_same_folder_twice_is_one_storage(place: Place) -> None:
    """By whatever name: the other name is left out, and the pool serves what it has."""
    Client().backup(begin(place.open(), 1), TREE)
    place.backends["other name"] = place.memory()
    place.storages = ["one", "other name"]

    pool = place.reopen()

    one, other = pool.fills()
    assert (one.problem, other.path) == ("", "other name")
    assert "given twice" in other.problem
    assert restore(pool, record_id(1)) == TREE


def test_a_folder_that_never_belonged_to_the_pool_is_left_out(place: Place) -> None:
    """It is reported, the pool goes on without it, also after a start; mended, it is taken."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    place.memory("two").put("pool", f"rubackup pool 0 {'f' * 32} {'e' * 32}\n".encode())
    place.storages = ["one", "two"]

    pool.reconfigure(folders([Path("one"), Path("two")]), 0, None)
    for start in (False, True):
        opened = place.reopen() if start else pool
        assert [fill.problem == "" for fill in opened.fills()] == [True, False]
        assert "another pool" in opened.fills()[1].problem
        assert opened.usage().problem == ""
        assert restore(opened, record_id(1)) == TREE
        assert opened.is_left_out("two")
        assert opened.needs("two") == ""

    place.memory("two").files.clear()
    opened.reconfigure(folders([Path("one"), Path("two")]), 0, None)
    assert [fill.problem for fill in opened.fills()] == ["", ""]


def test_a_storage_that_became_another_pools_is_no_reason_to_lose_records(place: Place) -> None:
    """Disks that were swapped: what lies in the others is served, and what may have lain there is said to be away."""
    place.storages = ["one", "two"]
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    place.memory("two").files.clear()
    place.memory("two").put("pool", f"rubackup pool 0 {'f' * 32} {'e' * 32}\n".encode())

    pool = place.open()

    assert pool.away() == ["two"]
    assert "another pool" in pool.needs("two")
    assert "another pool" in pool.fills()[1].problem
    assert restore(pool, record_id(1)) == TREE
    with pytest.raises(StorageFault, match="two"):
        pool.collect(lambda *_: None, lambda: None)


def test_without_an_index_no_folder_may_be_away(place: Place) -> None:
    """Nobody knows then which copies it held."""
    place.storages = ["one", "two"]
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    place.lose_index()
    place.memory("two").files.clear()
    place.memory("two").put("pool", f"rubackup pool 0 {'f' * 32} {'e' * 32}\n".encode())

    with pytest.raises(StorageFault, match="another pool"):
        place.open()


def test_a_pool_says_whether_it_needs_a_folder(place: Place) -> None:
    """Not one in which nothing of it lies; every one while a backup writes."""
    place.storages = ["one", "two"]
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    session = begin(pool, 2)
    assert "write" in pool.needs("two")
    session.abort()

    assert "holds data" in pool.needs("one")
    assert pool.needs("two") == ""
    assert "does not know" in pool.needs("three")
    place.memory("two").put(f"manifests/{record_id(3)}.tombstone", b"x")
    assert "holds data" in pool.needs("two")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("cannot mount a small file system here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_a_real_disk_that_fills_up(small_disk: Path, tmp_path: Path) -> None:
    """ENOSPC of the kernel is StorageFull; after making room the same pool goes on."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    place = Place(tmp_path, reserve_bytes=UNCHECKED)
    place.backends["one"] = LocalBackend(small_disk)
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    with pytest.raises(StorageFull, match="disk"):
        Client().backup(begin(pool, 2), {"/big": noise(3 << 20)})
    assert restore(pool, record_id(1)) == TREE
    ballast.unlink()

    big = {"/big": noise(1 << 20)}
    Client().backup(begin(pool, 3), big)
    assert restore(place.reopen(), record_id(3)) == big
    place.close()


def _fill(file: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def _backup(pool: Pool, number: int, tree: Tree) -> None:
    """A backup whose small files travel together."""
    client, session = Client(), begin(pool, number)
    client.send(session, [chunk for data in tree.values() for chunk in client.chunks(data)])
    client.backup(session, tree)


@pytest.mark.root
def test_a_full_metadata_disk(small_disk: Path, tmp_path: Path) -> None:
    """When the index has no room the backup fails with a sentence, the pool can be opened, and it goes on once there is."""
    place = Place(small_disk)
    place.backends["one"] = LocalBackend(tmp_path)
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    ballast = small_disk / "ballast"
    _fill(ballast)
    tree = {f"/{i}": b"%d" % i for i in range(4000)}
    with pytest.raises(StorageFull, match="metadata"):
        _backup(pool, 2, tree)
    assert restore(pool, record_id(1)) == TREE
    ballast.unlink()

    _backup(pool, 3, tree)
    assert restore(place.reopen(), record_id(3)) == tree
    place.close()
