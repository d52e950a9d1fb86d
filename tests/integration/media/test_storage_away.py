"""A storage of two is away: what lies there is neither called damaged nor lost, and is listed with that word."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rubackup.agent.folders import Ground
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.agent.verifying import verify
from rubackup.domain.errors import StorageFault
from rubackup.media.listing import list_records
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import AskRecords, Order, PoolConfig, RunVerify, StorageConfig
from support.chunkstore import Client, begin, noise, record_id

FIRST = {f"/first{i}": noise(40_000, i) for i in range(5)}
SECOND = {f"/second{i}": noise(40_000, 100 + i) for i in range(5)}
UUID = uuid.uuid4().hex


@pytest.fixture
def pools(tmp_path: Path) -> Iterator[PoolKeeper]:
    """Record 1 lies in the folder one, record 2 in two; the list of record 3 lies in one, and it needs both."""
    found = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    for number, tree in ((1, FIRST), (2, SECOND)):
        serve(found, tmp_path, number)
        Client().backup(begin(found.get(1), number), tree)
    serve(found, tmp_path, 1, 2)
    Client().backup(begin(found.get(1), 3), FIRST | SECOND)
    yield found
    found.close()


def serve(pools: PoolKeeper, folder: Path, *numbers: int) -> None:
    """The pool in the folders of these numbers."""
    storages = [StorageConfig(id=one, path=str(folder / f"store{one}")) for one in numbers]
    config = PoolConfig(id=1, uuid=UUID, name="p", compression="fast", reserve_bytes=0, storages=storages)
    pools.configure([config])


class Interrupted(RunningTask):
    """A task in the middle of which something happens, so often."""

    def __init__(self, event: Callable[[], None]) -> None:
        super().__init__(7, 1)
        self._event = event

    def check(self) -> None:
        """Nobody stops it."""
        self._event()


def verified(pools: PoolKeeper, task: RunningTask, *, contents: bool, number: int = 3) -> Outcome:
    order = Order(task_id=7, fence=1, epoch=1)
    asked = RunVerify(order=order, pool_id=1, record=record_id(number), contents=contents)
    return verify(lambda: pools.wait_for(1), asked, task)


@pytest.mark.parametrize("contents", [True, False])
@pytest.mark.parametrize("noticed", [True, False])
def test_a_disk_that_goes_during_a_verification_damages_nothing(
    pools: PoolKeeper, tmp_path: Path, contents: bool, noticed: bool
) -> None:
    """Whether the media server has looked since or not; when it is back the copy is whole."""
    disk = tmp_path / "store2"

    def go() -> None:
        if disk.exists():
            disk.rename(tmp_path / "aside")
            if noticed:
                pools.get(1).look()

    outcome = verified(pools, Interrupted(go), contents=contents)
    assert (outcome.outcome, outcome.damaged) == ("error", ())
    assert str(disk) in outcome.message
    (tmp_path / "aside").rename(disk)
    pools.get(1).look()
    again = verified(pools, RunningTask(7, 1), contents=contents)
    assert (again.outcome, again.damaged) == ("done", ())


@pytest.mark.parametrize("contents", [True, False])
def test_a_disk_that_is_back_before_the_end_is_read_again(pools: PoolKeeper, tmp_path: Path, contents: bool) -> None:
    """What was missed meanwhile is found: the verification goes over the copy once more, and says so."""
    disk, aside, checks = tmp_path / "store2", tmp_path / "aside", []

    def flicker() -> None:
        checks.append(1)
        if len(checks) == 1:
            disk.rename(aside)
            pools.get(1).look()
        elif aside.exists() and len(checks) > 1:
            aside.rename(disk)

    task = Interrupted(flicker)
    outcome = verified(pools, task, contents=contents)
    report = task.unsent()
    assert (outcome.outcome, outcome.damaged) == ("done", ())
    assert [line.text for line in report.lines if "away for a while" in line.text]


def test_what_only_the_absent_storage_knows_is_not_called_lost(pools: PoolKeeper, tmp_path: Path) -> None:
    """The index is gone, and the catalogue names the first folder only: its roster tells of the second."""
    pools.close()
    (tmp_path / "store2").rename(tmp_path / "aside")
    for file in (tmp_path / "metadata" / UUID / "index").iterdir():
        file.unlink()
    fresh = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    serve(fresh, tmp_path, 1)
    pool, away = fresh.get(1), str(tmp_path / "store2")
    answer = list_records(pool, AskRecords(pool_id=1))
    assert ([one.record for one in answer.records], answer.away) == ([record_id(1), record_id(3)], [away])
    for number in (2, 3):
        outcome = verified(fresh, RunningTask(7, 1), contents=True, number=number)
        assert (outcome.outcome, outcome.damaged) == ("error", ())
        assert away in outcome.message
    session = pool.read(record_id(3))  # a client that verifies its copy would call chunks that are lost damage
    with pytest.raises(StorageFault, match=f"may lie in a storage that is away: {away}"):
        list(session.groups([(0, session._reader.row_count)]))
    assert verified(fresh, RunningTask(7, 1), contents=True, number=1).outcome == "done"
    fresh.close()


@pytest.mark.parametrize("by_time", [True, False])
def test_records_of_a_storage_that_is_away_are_listed_with_that_word(
    pools: PoolKeeper, tmp_path: Path, by_time: bool
) -> None:
    """Their locks lie there, too, so nothing is known of these."""
    pool = pools.get(1)
    for number in (1, 2, 3):
        pool.lock(record_id(number), 2_000_000_000_000_000_000)
    (tmp_path / "store2").rename(tmp_path / "aside")

    def told() -> tuple[dict[str, tuple[bool, bool]], list[str]]:
        answer = list_records(pool, AskRecords(pool_id=1, by_time=by_time))
        return {one.record: (one.away, one.locked_until_ns > 0) for one in answer.records}, answer.away

    for _ in range(2):
        assert told() == (
            {record_id(1): (False, True), record_id(2): (True, False), record_id(3): (False, True)}, [str(tmp_path / "store2")]
        )  # fmt: skip
        pool.look()
    (tmp_path / "aside").rename(tmp_path / "store2")
    pool.look()
    assert told() == ({record_id(number): (False, True) for number in (1, 2, 3)}, [])
