"""The emergency folder is the media server's alone, and what a pool has no room for goes there and comes back."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.agent.folders import Ground
from rubackup.agent.tasks import RunningTask
from rubackup.agent.verifying import verify
from rubackup.chunkstore.pool import NOT_SPARED
from rubackup.domain.errors import StorageFault
from rubackup.media.emergency import emergency_folder
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import Order, PoolConfig, RunVerify, StorageConfig
from support.chunkstore import Client, begin, noise, record_id, restore

UUID = uuid.uuid4().hex
TREE = {f"/{i}": noise(40_000, i) for i in range(4)}


def folder_of(base: Path, **ground: object):
    """What the pool is given."""
    return emergency_folder(str(base), "media", UUID, list, Ground(memory=True, **ground))  # type: ignore[arg-type]


def test_it_is_made_for_the_media_server_alone(tmp_path: Path) -> None:
    """Mode 0700, whatever the umask; nothing is made before it is needed."""
    base = tmp_path / "emergency"
    folder = folder_of(base)
    assert folder(False) is None
    assert not base.exists()
    old = os.umask(0o000)
    try:
        made = folder(True)
    finally:
        os.umask(old)

    assert made == base / "media" / UUID
    assert [stat.S_IMODE(one.stat().st_mode) for one in (base, made.parent, made)] == [0o700] * 3
    assert folder(False) == made
    assert folder(True) == made


def _link(base: Path) -> None:
    (base.parent / "elsewhere").mkdir(mode=0o700)
    base.symlink_to(base.parent / "elsewhere")


def _inner_link(base: Path) -> None:
    base.mkdir(mode=0o700)
    (base.parent / "elsewhere").mkdir(mode=0o700)
    (base / "media").mkdir(mode=0o700)
    (base / "media" / UUID).symlink_to(base.parent / "elsewhere")


def _open_to_all(base: Path) -> None:
    base.mkdir()
    base.chmod(0o777)


def _of_another(base: Path) -> None:
    base.mkdir(mode=0o700)
    os.chown(base, 1234, 1234)


def _inner_of_another(base: Path) -> None:
    (base / "media" / UUID).mkdir(mode=0o700, parents=True)
    base.chmod(0o700)
    (base / "media").chmod(0o700)
    os.chown(base / "media" / UUID, 1234, 1234)


def _file(base: Path) -> None:
    base.write_text("")


def _full_of_others(base: Path) -> None:
    (base / "media" / UUID).mkdir(mode=0o700, parents=True)
    base.chmod(0o700)
    (base / "media").chmod(0o700)
    (base / "media" / UUID / "something").write_text("")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (_link, "is a link"),
        (_inner_link, "leads to"),
        (_open_to_all, "open to others"),
        (_of_another, "belongs to the user 1234"),
        (_inner_of_another, "belongs to the user 1234"),
        (_file, "is a link or a file"),
        (_full_of_others, "not empty"),
    ],
)
def test_what_somebody_else_prepared_is_refused(tmp_path: Path, prepare, told: str) -> None:
    """No link is followed, and nothing is written where another user could look or change something."""
    if os.geteuid():
        pytest.skip("giving files away takes root")
    base = tmp_path / "emergency"
    prepare(base)
    with pytest.raises(StorageFault, match=told):
        folder_of(base)(True)
    assert not list((tmp_path / "elsewhere").iterdir()) if (tmp_path / "elsewhere").exists() else True


def test_a_parent_that_others_can_change_is_refused(tmp_path: Path) -> None:
    """Unless it is sticky, as /tmp is: there nobody renames the folder of another."""
    tmp_path.chmod(0o777)
    with pytest.raises(StorageFault, match="others can change"):
        folder_of(tmp_path / "emergency")(True)
    tmp_path.chmod(0o1777)
    assert folder_of(tmp_path / "emergency")(True) is not None


def test_a_parent_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Somebody could point it elsewhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StorageFault, match="symbolic link"):
        folder_of(tmp_path / "link" / "emergency")(True)


def test_memory_is_no_place_for_copies(tmp_path: Path) -> None:
    """A restart would empty it; MEMORY_STORAGES allows it, as for every storage."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 1 0:1 / {tmp_path} rw - tmpfs tmpfs rw\n")
    refusing = emergency_folder(str(tmp_path / "emergency"), "media", UUID, list, Ground(mountinfo=mountinfo))
    with pytest.raises(StorageFault, match="does not keep data"):
        refusing(True)


def config(folder: Path, **fields: object) -> list[PoolConfig]:
    """One pool in one folder."""
    storages = [StorageConfig(id=1, path=str(folder / "storage"))]
    plain = {"id": 1, "uuid": UUID, "name": "Default", "compression": "fast", "reserve_bytes": 0, "storages": storages}
    return [PoolConfig(**(plain | fields))]  # type: ignore[arg-type]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[PoolKeeper]:
    """Of a media server whose storages may lie anywhere."""
    pools = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    yield pools
    pools.close()


def test_a_pool_without_room_goes_on_there(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Its state tells of the emergency storage; with an empty value there is none."""
    keeper.configure(config(tmp_path, emergency=str(tmp_path / "emergency")))
    pool = keeper.get(1)
    Client().backup(begin(pool, 1), TREE)
    assert keeper.states()[0].emergency == []
    (tmp_path / "storage").rename(tmp_path / "disk")  # its disk is unmounted
    (tmp_path / "storage").mkdir()
    more = {"/more": noise(60_000, 9)}
    Client().backup(begin(keeper.get(1), 2), more)

    (state,) = keeper.states()
    (emergency,) = state.emergency
    assert emergency.path == str(tmp_path / "emergency" / "media" / UUID)
    assert emergency.used_bytes > 50_000
    assert state.away == [str(tmp_path / "storage")]
    assert "marker" in state.storages[0].problem
    assert restore(keeper.get(1), record_id(2)) == more

    keeper.configure(config(tmp_path))
    assert restore(keeper.get(1), record_id(2)) == more
    with pytest.raises(StorageFault):
        Client().backup(begin(keeper.get(1), 3), {"/x": noise(60_000, 10)})
    assert not list((tmp_path / "storage").iterdir())
    (tmp_path / "storage").rmdir()
    (tmp_path / "disk").rename(tmp_path / "storage")
    assert keeper.states()[0].away == []
    assert restore(keeper.get(1), record_id(1)) == TREE


def test_a_pool_that_could_not_be_opened_is_tried_again(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Its disk came late: nobody has to configure it anew."""
    keeper.configure(config(tmp_path))
    Client().backup(begin(keeper.get(1), 1), TREE)
    keeper.close()
    (tmp_path / "storage").rename(tmp_path / "away")
    (tmp_path / "storage").mkdir()
    keeper.configure(config(tmp_path))
    assert "mounted" in keeper.states()[0].problem
    (tmp_path / "storage").rmdir()
    (tmp_path / "away").rename(tmp_path / "storage")

    assert keeper.states()[0].problem == ""
    assert restore(keeper.get(1), record_id(1)) == TREE


def test_the_reserve_is_kept_unless_the_pool_ignores_it(keeper: PoolKeeper, tmp_path: Path) -> None:
    """With `ignore_free_space_check` the media server is told a reserve of 0."""
    keeper.configure(config(tmp_path, reserve_bytes=1 << 60))
    with pytest.raises(StorageFault, match=f"{1 << 60} bytes are kept in reserve"):
        Client().backup(begin(keeper.get(1), 1), TREE)
    assert "kept in reserve" in keeper.states()[0].problem
    keeper.configure(config(tmp_path, reserve_bytes=0))
    Client().backup(begin(keeper.get(1), 2), TREE)
    assert keeper.states()[0].problem == ""


def keeper_of(folder: Path, hwid: str, metadata: str = "metadata") -> PoolKeeper:
    """The keeper of a media server with this hardware id."""
    return PoolKeeper(folder / metadata, Ground((folder / metadata,), memory=True), hwid=hwid)


def pull_out(folder: Path) -> None:
    """The disk of the pool's storage is unmounted."""
    (folder / "storage").rename(folder / "disk")
    (folder / "storage").mkdir()


def plug_in(folder: Path) -> None:
    """It is back."""
    (folder / "storage").rmdir()
    (folder / "disk").rename(folder / "storage")


def test_media_servers_that_share_the_folder_keep_apart(tmp_path: Path) -> None:
    """Each has a folder of its own, named by its hardware id."""
    for digit in "ab":
        home = tmp_path / digit
        home.mkdir()
        keeper = keeper_of(home, digit * 64)
        keeper.configure(config(home, emergency=str(tmp_path / "emergency"), reserve_bytes=0))
        Client().backup(begin(keeper.get(1), 1), TREE)
        pull_out(home)
        Client().backup(begin(keeper.get(1), 2), {"/more": noise(60_000, 9)})
        keeper.close()
    assert {one.name for one in (tmp_path / "emergency").iterdir()} == {"a" * 16, "b" * 16}


@pytest.mark.parametrize("lost", ["nothing", "the index"])
def test_packs_in_the_folder_of_before_are_found(tmp_path: Path, lost: str) -> None:
    """Directly below the folder, or below one that is not configured any more: they restore, and a cleaning brings them back."""
    more = {"/more": noise(60_000, 9)}
    before = keeper_of(tmp_path, "")  # earlier versions had no folder for each media server
    before.configure(config(tmp_path, emergency=str(tmp_path / "old")))
    Client().backup(begin(before.get(1), 1), TREE)
    pull_out(tmp_path)
    Client().backup(begin(before.get(1), 2), more)
    assert before.get(1).spared(record_id(2)).path == str(tmp_path / "old" / UUID)
    plug_in(tmp_path)
    assert before.states()[0].away == []
    before.close()

    again = keeper_of(tmp_path, "a" * 64, "metadata" if lost == "nothing" else "new")
    again.configure(config(tmp_path, emergency=str(tmp_path / "new-emergency")))
    assert restore(again.get(1), record_id(2)) == more
    pull_out(tmp_path)
    Client().backup(begin(again.get(1), 3), {"/third": noise(60_000, 11)})
    new = tmp_path / "new-emergency" / ("a" * 16) / UUID
    assert {one.path for one in again.states()[0].emergency} == {str(new), str(tmp_path / "old" / UUID)}
    again.configure(config(tmp_path, emergency=str(tmp_path / "old")))
    Client().backup(begin(again.get(1), 4), {"/fourth": noise(60_000, 12)})
    assert not (tmp_path / "old" / ("a" * 16)).exists()  # a pool goes on where its packs are
    again.close()


def verified(keeper: PoolKeeper, number: int) -> tuple[str, str]:
    """How a verification ended, and where it says, in its message and in its log, that the copy lies."""
    task = RunningTask(7, 1)
    order = RunVerify(order=Order(task_id=7, fence=1, epoch=1), pool_id=1, record=record_id(number))
    outcome = verify(lambda: keeper.wait_for(1), order, task)
    report = task.unsent()
    lines = [line.text for line in report.lines if line.level == "warning"] if report else []
    whole, _, place = outcome.message.partition("is whole.")
    assert (whole, outcome.damaged) == ("Every chunk was read again and ", ())
    assert place.strip() == " ".join(lines)
    return outcome.outcome, place.strip().partition(", until a cleaning")[0]


def test_a_copy_says_what_of_it_lies_there_and_why(keeper: PoolKeeper, tmp_path: Path) -> None:
    """Bytes, place and reason; of a copy that lies in the pool nothing."""
    keeper.configure(config(tmp_path, emergency=str(tmp_path / "emergency")))
    pool = keeper.get(1)
    Client().backup(begin(pool, 1), TREE)
    assert pool.spared(record_id(1)) == NOT_SPARED
    pull_out(tmp_path)
    Client().backup(begin(keeper.get(1), 2), {"/more": noise(60_000, 9)})

    spared = keeper.get(1).spared(record_id(2))
    assert spared.path == str(tmp_path / "emergency" / "media" / UUID)
    assert 60_000 < spared.size_bytes < 90_000
    assert "storage" in spared.reason
    assert "bytes are kept in reserve" in spared.reason
    assert verified(keeper, 2) == (
        "done",
        f"{spared.size_bytes} bytes that it needs lie in the emergency storage {spared.path}",
    )
    plug_in(tmp_path)
    keeper.states()
    assert keeper.get(1).spared(record_id(1)) == NOT_SPARED
    assert verified(keeper, 1) == ("done", "")


def test_a_place_that_hosts_empty_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """In the media server's log, when it is made."""
    base = Path(tempfile.mkdtemp(dir="/tmp", prefix="rubackup-test-"))
    try:
        assert emergency_folder(str(base), "media", UUID, list, Ground(memory=True))(True) is not None
        assert "Hosts empty /tmp when they boot" in caplog.text
    finally:
        shutil.rmtree(base)
