"""What a media server says of its pools' folders."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import PoolConfig, StorageConfig


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[PoolKeeper]:
    """One pool in two folders."""
    pools = PoolKeeper(tmp_path / "metadata")
    storages = [StorageConfig(id=number, path=str(tmp_path / f"storage{number}")) for number in (4, 2)]
    pools.configure(
        [
            PoolConfig(
                id=1, uuid=uuid.uuid4().hex, name="Default", compression="fast", reserve_bytes=0, storages=storages
            )
        ]
    )
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
