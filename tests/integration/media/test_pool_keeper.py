"""What a media server says of its pools' folders."""

from __future__ import annotations

import shutil
import struct
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rubackup.agent.folders import Ground
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Busy, Conflict, Invalid, StorageFault
from rubackup.domain.pools import PoolProblem
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import PoolConfig, StorageConfig, StorageNeed

UUID = uuid.uuid4().hex


def configured(folder: Path, *numbers: int) -> list[PoolConfig]:
    """One pool in folders of these numbers."""
    storages = [StorageConfig(id=number, path=str(folder / f"storage{number}")) for number in numbers]
    return [PoolConfig(id=1, uuid=UUID, name="Default", compression="fast", reserve_bytes=0, storages=storages)]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[PoolKeeper]:
    """One pool in two folders."""
    pools = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    pools.configure(configured(tmp_path, 4, 2))
    yield pools
    pools.close()


def test_each_folder_is_told_with_its_room(keeper: PoolKeeper, tmp_path: Path) -> None:
    """By its number in the catalogue, in the order in which they are filled."""
    (state,) = keeper.states()

    assert [(one.id, one.problem, one.used_bytes) for one in state.storages] == [(4, "", 0), (2, "", 0)]
    assert all(0 < one.free_bytes <= one.total_bytes for one in state.storages)
    assert shutil.disk_usage(tmp_path).total == state.storages[0].total_bytes


def test_a_folder_that_lost_its_disk_says_so(keeper: PoolKeeper, tmp_path: Path) -> None:
    """The others are told as before."""
    (tmp_path / "storage2" / "pool").unlink()

    good, lost = keeper.states()[0].storages

    assert good.problem == ""
    assert "lost its marker" in lost.problem


def test_each_problem_has_a_code_for_programs(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Whoever waits for a pool, or not, goes by that, never by the sentence."""

    def told(config: PoolConfig) -> tuple[str, bool]:
        keeper.configure([config])
        (state,) = keeper.states()
        return state.code, bool(state.problem)

    (whole,) = configured(tmp_path, 4, 2)
    replaced = msgspec.structs.replace
    assert told(whole) == ("", False)
    assert told(replaced(whole, reserve_bytes=1 << 60)) == (PoolProblem.FULL, True)
    for number in (2, 4):
        (tmp_path / f"storage{number}" / "pool").rename(tmp_path / f"marker{number}")
    assert told(whole) == (PoolProblem.UNUSABLE, True)
    keeper.close()
    assert told(whole) == (PoolProblem.UNUSABLE, True)
    for number in (2, 4):
        (tmp_path / f"marker{number}").rename(tmp_path / f"storage{number}" / "pool")
    assert told(whole) == ("", False)
    assert told(replaced(whole, storages=[])) == (PoolProblem.NO_STORAGE, True)


def test_a_folder_of_another_pool_takes_nothing_out_of_service(keeper: PoolKeeper, tmp_path: Path) -> None:
    """It is told with its reason, and the pool can do without it; those that it had are asked for what lies in them."""
    (tmp_path / "storage9").mkdir()
    (tmp_path / "storage9" / "pool").write_text(f"rubackup pool 0 {'f' * 32} {'e' * 32}\n")
    keeper.configure(configured(tmp_path, 4, 2, 9))

    (state,) = keeper.states()

    assert (state.problem, [one.id for one in state.storages if one.problem]) == ("", [9])
    assert "another pool" in state.storages[2].problem
    assert keeper.need(1, 9) == StorageNeed(in_pool=False, reason="")
    assert keeper.need(1, 2) == StorageNeed(in_pool=True, reason="")
    (tmp_path / "storage2" / "packs").mkdir()
    (tmp_path / "storage2" / "packs" / "one").write_text("x")
    assert "holds data" in keeper.need(1, 2).reason
    for pool, storage in ((1, 5), (2, 4)):
        assert "does not know" in keeper.need(pool, storage).reason


def test_of_a_pool_that_is_not_open_no_folder_can_be_spared(keeper: PoolKeeper, tmp_path: Path) -> None:
    """When all have lost their markers the pool is out of service, and nothing tells what lay there."""
    keeper.close()
    (tmp_path / "storage2" / "pool").unlink()
    (tmp_path / "storage4" / "pool").unlink()
    keeper.configure(configured(tmp_path, 4, 2))

    assert "lost its marker" in keeper.states()[0].problem
    assert "lost its marker" in keeper.need(1, 4).reason


def test_a_new_folder_is_compared_with_those_that_are_served(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Of every pool of the media server, and with its own state."""
    for taken in ("storage4/inner", "storage2/packs"):
        with pytest.raises(Conflict, match=r"storage[24]"):
            keeper.check_folder(str(tmp_path / taken), "f" * 32)
    with pytest.raises(Conflict, match=UUID):
        keeper.check_folder(str(tmp_path / "storage4"), "f" * 32)
    with pytest.raises(Invalid, match="own state"):
        keeper.check_folder(str(tmp_path / "metadata" / "new"), UUID)
    keeper.check_folder(str(tmp_path / "new"), UUID)


def test_a_pool_that_fails_in_an_unknown_way_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not served, whatever the error was, and the keeper goes on."""

    def fail(**_: object) -> Pool:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(Pool, "open", fail)
    pools = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    pools.configure(configured(tmp_path, 4))

    assert pools.states()[0].problem == "Pool Default cannot be used: error: unpack requires a buffer of 4 bytes"
    with pytest.raises(StorageFault, match="unpack requires"):
        pools.get(1)


def test_a_pool_that_nobody_has_told_yet_is_waited_for(tmp_path: Path) -> None:
    """After a restart, sessions may be quicker than the server; those that cannot wait are told to come again."""
    pools = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    with pytest.raises(Busy, match="has not been told its pools yet"):
        pools.get(1)
    later = threading.Timer(0.2, pools.configure, [configured(tmp_path, 4)])
    later.start()
    try:
        assert pools.wait_for(1) is pools.get(1)
        with pytest.raises(StorageFault, match="does not serve this pool"):
            pools.wait_for(2)
    finally:
        later.join()
        pools.close()
