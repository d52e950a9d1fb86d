"""A whole pool on a block device: life of a copy, ends of the process, a full device, a lost directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.block import layout, rebuild
from rubackup.chunkstore.pool import GcSafety, Pool
from rubackup.domain.errors import StorageFault, StorageFull
from support.chunkstore import Client, Place, begin, noise, record_id, restore

MIB = 1 << 20
DAY_NS = 86_400_000_000_000


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of a few groups."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 200_000)


def tree(number: int) -> dict[str, bytes]:
    """Half of it changes with each number."""
    return {"/same": noise(400_000), "/other": noise(400_000, number), "/small": b"x" * number}


def collect(pool: Pool) -> None:
    """All that can be freed is freed."""
    pool.collect(lambda *_: None, lambda: None, unfinished=())


def test_a_copy_lives_and_dies_on_a_device(place: Place) -> None:
    """Backup, restore, verification, restart, lost index, deletion, collection: and the room is back."""
    place.make_device()
    pool = place.open()
    free = pool.usage().free_bytes
    for number in (1, 2, 3):
        Client().backup(begin(pool, number), tree(number))
    pool = place.reopen()
    assert pool.problems == []
    for number in (1, 2, 3):
        assert restore(pool, record_id(number)) == tree(number)
        result = pool.verify(record_id(number), lambda *_: None, lambda: None)
        assert not result.damaged
    place.close()
    place.lose_index()
    pool = place.open()
    for number in (1, 2):
        pool.drop(record_id(number), zeroing=number == 1)
    collect(pool)
    place.now_ns += DAY_NS
    collect(pool)
    assert restore(pool, record_id(3)) == tree(3)
    pool.drop(record_id(3))
    collect(pool)
    place.now_ns += DAY_NS
    collect(pool)

    assert 0 <= free - pool.usage().free_bytes < 64 << 10
    assert GcSafety().tombstone_days > 1


def test_a_device_fills_up(place: Place) -> None:
    """The backup that does not fit is refused; what is there stays whole, and deleting gives room for it."""
    place.make_device(size_bytes=4 * MIB)
    pool = place.open()
    Client().backup(begin(pool, 1), {"/one": noise(1_500_000, 1)})
    with pytest.raises(StorageFull):
        Client().backup(begin(pool, 2), {"/two": noise(3_000_000, 2)})
    pool = place.reopen()
    assert restore(pool, record_id(1)) == {"/one": noise(1_500_000, 1)}
    pool.drop(record_id(1))
    for _ in range(3):
        pool.collect(lambda *_: None, lambda: None, unfinished=())
        place.now_ns += DAY_NS
    Client().backup(begin(pool, 3), {"/three": noise(3_000_000, 3)})

    assert restore(pool, record_id(3)) == {"/three": noise(3_000_000, 3)}


def test_two_devices_share_a_pool(place: Place) -> None:
    """Filled one after another; a lost one is named, and costs what lies on it until it is back."""
    place.storages = ["one", "two"]
    paths = [place.make_device(name, 4 * MIB) for name in place.storages]
    pool = place.open()
    trees = {number: {"/file": noise(1_200_000, number)} for number in range(1, 5)}
    for number, files in trees.items():
        Client().backup(begin(pool, number), files)
    assert all(fill.used_bytes > MIB for fill in pool.fills())
    pool = place.reopen()
    assert {number: restore(pool, record_id(number)) for number in trees} == trees
    place.close()
    paths[1].rename(paths[1].with_suffix(".away"))
    paths[1].touch()
    pool = place.open()
    lost, _ = pool.list_unavailable("", 10)
    assert pool.away() == [str(paths[1])]
    assert 0 < len(lost) < len(trees)
    whole = [number for number in trees if record_id(number) not in lost]
    assert {number: restore(pool, record_id(number)) for number in whole} == {number: trees[number] for number in whole}
    paths[1].with_suffix(".away").replace(paths[1])
    pool.look()

    assert (pool.away(), pool.list_unavailable("", 10)) == ([], ([], ""))
    assert {number: restore(pool, record_id(number)) for number in trees} == trees


def test_a_lost_device_is_named_while_the_pool_is_open(place: Place) -> None:
    """In the pool's fill, and by the backup that needs it."""
    path = place.make_device()
    pool = place.open()
    path.rename(path.with_suffix(".away"))

    assert str(path) in pool.fills()[0].problem
    with pytest.raises(StorageFault, match=f"{path}"):
        Client().backup(begin(pool, 1), tree(1))


def half(path: Path) -> tuple[int, int]:
    """Where the directory lies that counts."""
    block = layout.parse(path.read_bytes()[:4096])
    return block.half_start, block.half_bytes


def test_a_metafile_brings_every_copy_back(place: Place) -> None:
    """The directory is overwritten, superblocks too."""
    path = place.make_device()
    pool = place.open()
    for number in (1, 2):
        Client().backup(begin(pool, number), tree(number))
    metafile = pool._storages.all[0].backend.metafile()
    place.close()
    start, length = half(path)
    with path.open("r+b") as file:
        file.write(noise(4096))
        file.seek(start)
        file.write(noise(length))
    rebuild(path, metafile)
    pool = place.open()

    assert [restore(pool, record_id(number)) for number in (1, 2)] == [tree(1), tree(2)]


@pytest.mark.parametrize("index", [True, False])
def test_without_a_metafile_the_chunks_are_found(place: Place, index: bool) -> None:
    """Copies are lost with their manifests, but the packs are there again: the next backup sends nothing."""
    path = place.make_device()
    Client().backup(begin(place.open(), 1), tree(1))
    place.close()
    start, length = half(path)
    with path.open("r+b") as file:
        file.seek(start)
        file.write(noise(length))
    told = rebuild(path)
    if not index:
        place.folder.joinpath("metadata", "storages").unlink()
        place.lose_index()
    pool = place.open()
    client = Client()
    client.backup(begin(pool, 2), tree(1))

    assert "packs were found" in told[-1]
    assert client.sent == 0
    assert restore(pool, record_id(2)) == tree(1)
