"""A media server tells which pools it has served that it is not told of now: what lies where, and nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rubackup.agent.folders import Ground
from rubackup.chunkstore.locations import Folder
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Busy
from rubackup.media.held import unknown_pools
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import HeldPool, HeldStorage, PoolConfig, StorageConfig
from support.chunkstore import Client, begin, noise

OLD, NEW, EMPTY = "1" * 32, "2" * 32, "3" * 32
TERMS = [(1, "a" * 32)]


def keeper_of(folder: Path) -> PoolKeeper:
    """A media server with its state."""
    return PoolKeeper(folder / "metadata", Ground((folder / "metadata",), memory=True))


def config(folder: Path, number: int, uuid: str, *names: str) -> PoolConfig:
    """A pool in these folders."""
    storages = [StorageConfig(id=10 * number + at, path=str(folder / name)) for at, name in enumerate(names)]
    return PoolConfig(
        id=number, uuid=uuid, name=f"Pool {number}", compression="fast", reserve_bytes=0, storages=storages, contact=1
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a media server has left: two pools with copies, one without, of which the catalogue now knows the first only."""
    pools = keeper_of(tmp_path)
    every = [
        config(tmp_path, 1, OLD, "one"), config(tmp_path, 2, NEW, "two", "three"), config(tmp_path, 3, EMPTY, "four")
    ]  # fmt: skip
    pools.configure(every, TERMS)
    for number, record in ((1, 1), (2, 2), (2, 3)):
        Client().backup(begin(pools.get(number), record), {"/file": noise(5_000, record)})
    pools.close()
    return tmp_path


def listing(folder: Path) -> list[tuple[str, float]]:
    """Everything below it that a look could have changed."""
    return sorted((str(path), path.lstat().st_mtime) for path in folder.rglob("*") if path.name != "lock.mdb")


def test_what_the_catalogue_does_not_know_is_told(folder: Path) -> None:
    """With its name, its folders and how much lies there; one in which nothing lies is left out."""
    pools = keeper_of(folder)
    with pytest.raises(Busy):
        pools.held()
    pools.configure([config(folder, 1, OLD, "one")], TERMS)
    before = listing(folder)
    three, two = (str(folder / name) for name in ("three", "two"))
    storages = [HeldStorage(path=three, kind="folder"), HeldStorage(path=two, kind="folder", copies=2)]
    assert pools.held() == [HeldPool(uuid=NEW, name="Pool 2", storages=storages)]
    assert listing(folder) == before
    pools.configure([config(folder, 1, OLD, "one"), config(folder, 7, NEW, "two", "three")], TERMS)
    assert pools.held() == []
    pools.close()


def _unmount(folder: Path) -> None:
    (folder / "two").rename(folder / "elsewhere")


def _cover(folder: Path) -> None:
    _unmount(folder)
    (folder / "two").mkdir()


def _give_away(folder: Path) -> None:
    _cover(folder)
    (folder / "two" / "pool").write_text(f"rubackup pool 0 {OLD} {'e' * 32}\n")


def _loop(folder: Path) -> None:
    _unmount(folder)
    os.mkfifo(folder / "two")


@pytest.mark.parametrize("change", [_unmount, _cover, _loop])
def test_a_folder_that_is_not_there_may_hold_copies(folder: Path, change: Callable[[Path], Any]) -> None:
    """The pool is told, and the folder as away."""
    change(folder)
    (found,) = unknown_pools(folder / "metadata", {OLD, EMPTY})
    assert [(one.path, one.away, one.copies) for one in found.storages] == [
        (str(folder / "three"), False, 0),
        (str(folder / "two"), True, 0),
    ]


def test_a_folder_of_another_pool_is_no_storage_of_this_one(folder: Path) -> None:
    """It was given to another one since: nothing of the first is left."""
    _give_away(folder)
    assert unknown_pools(folder / "metadata", {OLD}) == []


def test_an_emergency_storage_is_told_as_such(tmp_path: Path) -> None:
    """It comes in with its pool: nobody has to name it."""
    main, spare = tmp_path / "main", tmp_path / "spare" / NEW
    Pool.open(
        uuid=NEW, metadata=tmp_path / "metadata" / NEW, storages=[Folder(main), Folder(spare)], reserve_bytes=0, level=1
    ).close()
    assert unknown_pools(tmp_path / "metadata", set()) == []
    spare.rename(tmp_path / "away")
    (found,) = unknown_pools(tmp_path / "metadata", set())
    assert {one.path: (one.kind, one.away) for one in found.storages} == {
        str(main): ("folder", False),
        str(spare): ("emergency", True),
    }
