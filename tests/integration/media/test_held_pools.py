"""A media server tells which pools it has served that it is not told of now: what lies where, and nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rubackup.agent.folders import Ground
from rubackup.chunkstore.backends.block.prepare import format_device
from rubackup.chunkstore.locations import Device, Folder
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Busy
from rubackup.domain.pools import client_pool_uuid, kept_folder
from rubackup.media.device_markers import scan
from rubackup.media.devices import Kernel
from rubackup.media.held import FilePool, unknown_pools
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import HeldPool, HeldStorage, PoolConfig, StorageConfig
from support.chunkstore import Client, begin, noise

OLD, NEW, EMPTY = "1" * 32, "2" * 32, "3" * 32
TERMS = [(1, "a" * 32)]
NO_DEVICES = Kernel(*[Path("/nonexistent")] * 3)
"""A host without any: other tests have devices."""


def keeper_of(folder: Path) -> PoolKeeper:
    """A media server with its state."""
    return PoolKeeper(folder / "metadata", Ground((folder / "metadata",), memory=True), kernel=NO_DEVICES)


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
    (found,) = unknown_pools(folder / "metadata", {OLD, EMPTY}, kernel=NO_DEVICES)
    assert [(one.path, one.away, one.copies) for one in found.storages] == [
        (str(folder / "three"), False, 0),
        (str(folder / "two"), True, 0),
    ]


def test_a_folder_of_another_pool_is_no_storage_of_this_one(folder: Path) -> None:
    """It was given to another one since: nothing of the first is left."""
    _give_away(folder)
    assert unknown_pools(folder / "metadata", {OLD}, kernel=NO_DEVICES) == []


def test_an_emergency_storage_is_told_as_such(tmp_path: Path) -> None:
    """It comes in with its pool: nobody has to name it."""
    main, spare = tmp_path / "main", tmp_path / "spare" / NEW
    Pool.open(
        uuid=NEW, metadata=tmp_path / "metadata" / NEW, storages=[Folder(main), Folder(spare)], reserve_bytes=0, level=1
    ).close()
    assert unknown_pools(tmp_path / "metadata", set(), kernel=NO_DEVICES) == []
    spare.rename(tmp_path / "away")
    (found,) = unknown_pools(tmp_path / "metadata", set(), kernel=NO_DEVICES)
    assert {one.path: (one.kind, one.away) for one in found.storages} == {
        str(main): ("folder", False),
        str(spare): ("emergency", True),
    }


DEVICE_BYTES = 16 << 20


class Disks:
    """Files in the places of block devices, and the folders of the kernel that list them."""

    def __init__(self, root: Path) -> None:
        self.kernel = Kernel(root / "proc", root / "sys", root / "dev")
        self.kernel.dev.mkdir(parents=True)

    def add(self, name: str, *, of: Path | None = None) -> Path:
        """A device with a storage in it, or another node of one."""
        listed = self.kernel.sys / "class" / "block" / name
        (listed / "holders").mkdir(parents=True)
        (listed / "size").write_text(f"{DEVICE_BYTES // 512}\n")
        path = self.kernel.dev / name
        if of is not None:
            path.symlink_to(of)
        else:
            format_device(path, size_bytes=DEVICE_BYTES)
        return path

    def hold(self, name: str, holder: str) -> None:
        """Another device lies on this one."""
        (self.kernel.sys / "class" / "block" / name / "holders" / holder).mkdir()


def pool_on(metadata: Path, uuid: str, *devices: Path) -> Pool:
    """A pool on these devices."""
    return Pool.open(
        uuid=uuid, metadata=metadata / uuid, storages=[Device(path) for path in devices], reserve_bytes=0, level=1
    )


def test_devices_tell_whose_they_are_without_any_state(tmp_path: Path) -> None:
    """As when the media server's disk was lost: the pool, its devices, and the pool that keeps their metadata."""
    disks = Disks(tmp_path / "host")
    first, second = disks.add("vdb"), disks.add("vdc")
    disks.add("vdd")  # made ready, and never added
    disks.add("dm-0", of=second)
    disks.hold("vdc", "dm-0")
    (disks.kernel.dev / "vde").write_bytes(bytes(DEVICE_BYTES))
    (disks.kernel.sys / "class/block/vde/holders").mkdir(parents=True)
    (disks.kernel.sys / "class/block/vde/size").write_text("32768\n")
    pool = pool_on(tmp_path / "lost", NEW, first, second)
    files = Pool.open(
        uuid=OLD, metadata=tmp_path / "metadata" / OLD, storages=[Folder(tmp_path / "files")], reserve_bytes=0, level=1
    )
    for one in pool.metafiles():
        files.keep_metafile(one.device, one.read())
    pool.close()
    before = listing(tmp_path)

    found = unknown_pools(tmp_path / "metadata", {OLD}, [FilePool("Files", files)], disks.kernel)

    storages = [HeldStorage(path=str(disks.kernel.dev / name), kind="device") for name in ("dm-0", "vdb")]
    assert found == [HeldPool(uuid=NEW, name="", storages=storages, kept_in="Files")]
    assert unknown_pools(tmp_path / "metadata", {OLD, NEW}, [], disks.kernel) == []
    assert listing(tmp_path) == before
    files.close()


def test_a_device_is_told_by_its_marker_not_by_its_name(tmp_path: Path) -> None:
    """Names of disks change: one that is not where it was is away, or found at its new place; another pool's is none."""
    disks = Disks(tmp_path / "host")
    first = disks.add("vdb")
    pool_on(tmp_path / "metadata", NEW, first).close()
    moved = first.rename(disks.kernel.dev / "vdf")
    (disks.kernel.sys / "class/block/vdb").rename(disks.kernel.sys / "class/block/vdf")

    (found,) = unknown_pools(tmp_path / "metadata", set(), [], disks.kernel)
    assert str(moved) in {one.path for one in found.storages if one.kind == "device" and not one.away}

    disks.add("vdb")
    pool_on(tmp_path / "metadata", OLD, first).close()
    (found,) = unknown_pools(tmp_path / "metadata", {OLD}, [], disks.kernel)
    assert found.storages == [HeldStorage(path=str(moved), kind="device")]


def test_devices_that_nobody_can_read_are_left_out(tmp_path: Path) -> None:
    """The kernel lists one that is gone, one that says nothing of its size, and drives that move something."""
    disks = Disks(tmp_path / "host")
    for name, size in (("vdb", "8"), ("vdc", "x"), ("sr0", "8"), ("vdd", "0")):
        (disks.kernel.sys / "class/block" / name).mkdir(parents=True)
        (disks.kernel.sys / "class/block" / name / "size").write_text(size)
    (disks.kernel.dev / "vdd").write_bytes(b"")
    assert scan(disks.kernel) == []
    assert scan(Kernel(tmp_path, tmp_path, tmp_path)) == []


def test_pools_of_clients_are_told_by_the_lists_that_are_kept(tmp_path: Path) -> None:
    """Whose copies they are, and in which pool: the pool itself lies with the clients."""
    hwid, other = "ab" * 8, "cd" * 8
    own = Pool.open(
        uuid=client_pool_uuid(NEW, hwid), metadata=tmp_path / "client", storages=[Folder(tmp_path / "own")],
        reserve_bytes=0, level=None,
    )  # fmt: skip
    Client().backup(begin(own, 1), {"/file": noise(5_000, 1)})
    files = Pool.open(
        uuid=OLD, metadata=tmp_path / "metadata" / OLD, storages=[Folder(tmp_path / "files")], reserve_bytes=0, level=1
    )
    for name in (kept_folder(NEW, hwid), kept_folder(EMPTY, other), "nothing of ours"):
        (tmp_path / "files" / "clients" / name).mkdir(parents=True)
    (manifest,) = (tmp_path / "own" / "manifests").glob("*.manifest")
    (tmp_path / "files" / "clients" / kept_folder(NEW, hwid) / manifest.name).write_bytes(manifest.read_bytes())
    (tmp_path / "files" / "clients" / "nothing of ours" / "x.manifest").write_bytes(b"")

    found = unknown_pools(tmp_path / "metadata", {OLD}, [FilePool("Files", files)], NO_DEVICES)

    part = HeldStorage(path=kept_folder(NEW, hwid), kind="client", client=hwid, copies=1)
    assert found == [HeldPool(uuid=NEW, name="", storages=[part], kept_in="Files")]
    assert unknown_pools(tmp_path / "metadata", {OLD, NEW}, [FilePool("Files", files)], NO_DEVICES) == []
    own.close()
    files.close()
