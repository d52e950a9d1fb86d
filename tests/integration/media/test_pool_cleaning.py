"""A media server cleans a pool for the server, and removes what is due by itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rubackup.agent.cleaning import Sweeper
from rubackup.agent.tasks import RunningTask
from rubackup.chunkstore.pool import GcSafety
from rubackup.domain.errors import Conflict
from rubackup.media.cleaning import clean
from rubackup.media.listing import list_records
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import AskRecords, Order, PoolConfig, RunClean, StorageConfig
from support.chunkstore import POOL, Client, noise, record_id, restore

ORDER = Order(task_id=9, fence=1, epoch=1)


@pytest.fixture
def pools(tmp_path: Path) -> PoolKeeper:
    """One pool with two records, the first of which was dropped."""
    found = PoolKeeper(tmp_path / "metadata")
    storages = [StorageConfig(id=1, path=str(tmp_path / "storage"))]
    found.configure([PoolConfig(id=1, uuid=POOL, name="pool", compression="fast", reserve_bytes=0, storages=storages)])
    pool = found.get(1)
    for number, tree in ((1, {"/a": noise(90_000, 1)}), (2, {"/b": noise(90_000, 2)})):
        session = pool.begin(
            owner="00000000000000aa", task_id=number, fence=1, record=record_id(number), parent=None, share=False
        )
        Client().backup(session, tree)
    pool.drop(record_id(1))
    return found


def packs(folder: Path) -> int:
    """How many packs lie below a folder."""
    return len(list(folder.rglob("*.pack")))


def test_a_cleaning_reports_what_it_did_and_the_sweeper_ends_it(tmp_path: Path, pools: PoolKeeper) -> None:
    """What nothing needs is condemned, and goes when its grace is over; the rest restores."""
    task = RunningTask(9, 1)
    outcome = clean(pools, RunClean(order=ORDER, pool_id=1, storages=True, zeroing=True, unfinished=[]), task)
    Sweeper(pools).sweep()
    early = packs(tmp_path)
    clock = pools.get(1).steady_ns
    pools.get(1).steady_ns = lambda: clock() + 901 * 1_000_000_000  # type: ignore[method-assign]
    Sweeper(pools).sweep()

    assert outcome.outcome == "done"
    assert "(1 packs) go when their grace is over" in outcome.message
    assert "0 old tombstones removed" in outcome.message
    assert task.state().bytes_done > 0
    assert (early, packs(tmp_path)) == (2, 1)
    assert restore(pools.get(1), record_id(2)) == {"/b": noise(90_000, 2)}
    pools.close()


def test_without_grace_a_cleaning_frees_the_space_itself(tmp_path: Path, pools: PoolKeeper) -> None:
    """GC_GRACE_SECONDS 0: the pack is gone when the cleaning ends; what is needed restores."""
    pools.safety = GcSafety(grace_seconds=0)
    outcome = clean(pools, RunClean(order=ORDER, pool_id=1, unfinished=[]), RunningTask(9, 1))

    assert "0 bytes (0 packs) go when their grace is over" in outcome.message
    assert packs(tmp_path) == 1
    assert restore(pools.get(1), record_id(2)) == {"/b": noise(90_000, 2)}
    pools.close()


def test_without_blocks_only_the_folders_are_tidied(tmp_path: Path, pools: PoolKeeper) -> None:
    """Nothing is condemned; what an interrupted write left is gone."""
    left = tmp_path / "storage/manifests/x.tombstone.tmp"
    left.write_bytes(b"half")
    outcome = clean(pools, RunClean(order=ORDER, pool_id=1, blocks=False, storages=True), RunningTask(9, 1))

    assert outcome.message == "0 old tombstones removed."
    assert pools.get(1).condemned_packs == 0
    assert not left.exists()
    pools.close()


def test_a_pool_that_does_not_know_the_catalogue_deletes_nothing(tmp_path: Path, pools: PoolKeeper) -> None:
    """Neither a cleaning nor the sweeper removes anything until it was reconciled, and the state says so."""
    config = PoolConfig(
        id=1, uuid=POOL, name="pool", compression="fast", reserve_bytes=0,
        storages=[StorageConfig(id=1, path=str(tmp_path / "storage"))],
    )  # fmt: skip
    pools.configure([config], [(1, "a")])  # it holds something, and nobody knows of which catalogue
    assert [state.reconciled for state in pools.states()] == [False]
    pools.configure([msgspec.structs.replace(config, reconciled=True)], [(1, "a")])
    clean(pools, RunClean(order=ORDER, pool_id=1, unfinished=[]), RunningTask(9, 1))
    clock = pools.get(1).steady_ns
    pools.get(1).steady_ns = lambda: clock() + 901 * 1_000_000_000  # type: ignore[method-assign]
    pools.configure([config], [(1, "b")])
    Sweeper(pools).sweep()
    with pytest.raises(Conflict, match="reconcile --apply"):
        clean(pools, RunClean(order=ORDER, pool_id=1), RunningTask(9, 1))
    with pytest.raises(Conflict):
        pools.to_delete_from(1)

    assert [state.reconciled for state in pools.states()] == [False]
    assert packs(tmp_path) == 2
    pools.configure([msgspec.structs.replace(config, reconciled=True)], [(1, "b")])
    Sweeper(pools).sweep()
    assert packs(tmp_path) == 1
    pools.close()


def test_an_older_dump_of_the_same_term_is_noticed_by_the_next_question(tmp_path: Path, pools: PoolKeeper) -> None:
    """No server has taken over since; the state tells of the last contact that the pool has kept."""
    config = PoolConfig(
        id=1, uuid=POOL, name="pool", compression="fast", reserve_bytes=0,
        storages=[StorageConfig(id=1, path=str(tmp_path / "storage"))], contact=20, reconciled=True,
    )  # fmt: skip
    pools.configure([config], [(1, "a")])
    pools.meet_again([(1, 21), (7, 1)])
    before = [(state.reconciled, state.contact) for state in pools.states()]
    pools.meet_again([(1, 12)])

    assert before == [(True, 21)]
    assert [state.reconciled for state in pools.states()] == [False]
    with pytest.raises(Conflict, match="reconcile --apply"):
        pools.to_delete_from(1)
    pools.close()


def test_records_are_listed_in_pages(pools: PoolKeeper) -> None:
    """In the order of their ids, each once, dropped ones left out."""
    pool = pools.get(1)
    session = pool.begin(owner="00000000000000aa", task_id=3, fence=1, record=record_id(3), parent=None, share=False)
    Client().backup(session, {"/c": b"c"})
    first = list_records(pool, AskRecords(pool_id=1, limit=1))
    second = list_records(pool, AskRecords(pool_id=1, after=first.records[-1].record))

    assert [one.record for one in first.records + second.records] == [record_id(2), record_id(3)]
    assert (first.more, second.more) == (True, False)
    assert (second.records[0].client_hwid, second.records[0].task_id, second.records[0].files) == (
        "0" * 14 + "aa",
        3,
        1,
    )
    pools.close()
