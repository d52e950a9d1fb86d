"""Where a client's own pools may lie, and what is said of them."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from pathlib import Path

import pytest

from rubackup.agent.folders import Ground
from rubackup.client.own_pools import NoFolder, OwnPools, parse_storages
from rubackup.domain.errors import Invalid, StorageFault
from rubackup.wire.messages import ClientPool

CLIENT = "00000000000000aa"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("nas=/mnt/nas", {"nas": "/mnt/nas"}),
        ("nas=/mnt/nas 'big disk=/srv/big one'  a=b=/x", {"nas": "/mnt/nas", "big disk": "/srv/big one", "a=b": "/x"}),
        ("=/mnt/nas", {"": "/mnt/nas"}),
    ],
)
def test_a_setting_names_folders(text: str, found: dict[str, str]) -> None:
    """Pairs, quoted as for a shell; a name may be empty and hold an equals sign."""
    assert {name: str(path) for name, path in parse_storages(text).items()} == found


@pytest.mark.parametrize("text", ["nas", "nas=relative", "'nas=/x", "nas=/x nas=/y", "nas = /x"])
def test_what_is_no_pair_is_named(text: str) -> None:
    """With the setting's name and form."""
    with pytest.raises(Invalid, match=r"CLIENT_DEFINED_STORAGES has pairs such as name=/folder"):
        parse_storages(text)


class Place:
    """A folder, and a client that names it for the storage `nas`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "nas"
        self.folder.mkdir(mode=0o700)
        self.state = folder / "state"
        self.config = ClientPool(id=7, uuid=uuid.uuid4().hex, name="Mine", storages=[(1, "nas"), (2, "usb")])

    def pools(self, *, memory: bool = True) -> OwnPools:
        """The client's pools."""
        ground = Ground((self.state,), memory=memory, host="client")
        return OwnPools(CLIENT, {"nas": self.folder}, self.state, ground)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """As above."""
    return Place(tmp_path)


def test_a_pool_without_a_folder_names_the_setting_and_the_storages(place: Place) -> None:
    """So that whoever reads the task's message knows what to do."""
    pools = OwnPools(CLIENT, {"other": place.folder}, place.state)

    with pytest.raises(NoFolder, match=r"pool Mine: its setting CLIENT_DEFINED_STORAGES .* \('nas', 'usb'\)"):
        pools.told(place.config)
    pools.configure([place.config])
    assert pools.states() == []


def world_writable(place: Place) -> None:
    """Chmod 777."""
    place.folder.chmod(0o777)


def is_a_link(place: Place) -> None:
    """To somewhere else."""
    place.folder.rmdir()
    (place.folder.parent / "real").mkdir()
    place.folder.symlink_to(place.folder.parent / "real")


def is_missing(place: Place) -> None:
    """Its disk was never mounted."""
    place.folder.rmdir()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (world_writable, "can be written by"),
        (is_a_link, "symbolic links"),
        (is_missing, "is not a folder on the client"),
    ],
)
def test_a_folder_is_held_to_the_rules_of_storages(place: Place, wrong: object, told: str) -> None:
    """The reason is the pool's problem, and nothing is made there."""
    assert callable(wrong)
    wrong(place)
    pools = place.pools()
    pools.configure([place.config])

    with pytest.raises(StorageFault, match=told):
        pools.told(place.config)
    (state,) = pools.states()
    assert told in state.problem
    assert [one.problem for one in state.storages] == [state.problem]
    assert not (place.folder.is_dir() and any(place.folder.iterdir()))


def test_an_unused_pool_is_told_of_and_not_made(place: Place) -> None:
    """Its room is that of the folder; the first backup makes the pool, for this client alone to read."""
    pools = place.pools()
    pools.configure([place.config])
    (state,) = pools.states()
    assert (state.problem, state.used_bytes) == ("", 0)
    assert (
        0
        < state.free_bytes
        <= state.total_bytes
        == sum(os.statvfs(place.folder)[i] for i in (2,)) * os.statvfs(place.folder)[1]
    )
    assert list(place.folder.iterdir()) == []
    pools.told(place.config)
    (made,) = place.folder.iterdir()
    assert made.name == f"{place.config.uuid}-{CLIENT}"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert pools.states()[0].problem == ""
    pools.close()


def test_a_disk_that_is_not_mounted_is_waited_for(place: Place) -> None:
    """An empty folder in its place is not taken for the pool, and nothing is made in it, until the disk is back."""
    pools = place.pools()
    pools.told(place.config)
    pools.close()
    aside = place.folder.with_name("aside")
    place.folder.rename(aside)
    place.folder.mkdir(mode=0o700)
    pools = place.pools()
    pools.configure([place.config])
    with pytest.raises(StorageFault, match="is its disk mounted"):
        pools.told(place.config)
    assert "is its disk mounted" in pools.states()[0].problem
    assert list(place.folder.iterdir()) == []
    shutil.rmtree(place.folder)
    aside.rename(place.folder)
    assert pools.told(place.config).usage().problem == ""
    pools.close()


def test_a_pool_that_left_the_configuration_is_closed(place: Place) -> None:
    """And its lock with it."""
    pools = place.pools()
    pools.told(place.config)
    pools.configure([])
    assert pools.ids() == []
    other = place.pools()
    other.told(place.config)
    other.close()
    with pytest.raises(StorageFault, match="has not been told this pool"):
        pools.get(7)
