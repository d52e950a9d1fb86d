"""The records of a pool are listed page by page, by their ids and by time, whatever happens to the pool meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore.locations import Folder
from rubackup.chunkstore.pool import Pool
from rubackup.media.listing import list_records
from rubackup.wire.messages import AskRecords, PoolRecord
from support import many_records
from support.chunkstore import POOL, restore
from support.many_records import scattered

COUNT = 250


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pool."""
    vault = tmp_path_factory.mktemp("many") / "vault"
    many_records.fill(vault, COUNT)
    return vault


@pytest.fixture
def pool(filled: Path, tmp_path: Path) -> Iterator[Pool]:
    """A pool whose index has to be made anew."""
    shutil.copytree(filled, tmp_path / "vault")
    found = Pool.open(
        uuid=POOL, metadata=tmp_path / "metadata", storages=[Folder(tmp_path / "vault")], reserve_bytes=0, level=1
    )
    yield found
    found.close()


def pages(pool: Pool, *, by_time: bool, limit: int = 40) -> Iterator[list[PoolRecord]]:
    """Every page."""
    last: PoolRecord | None = None
    while True:
        asked = AskRecords(
            pool_id=1, limit=limit, by_time=by_time, after=last.record if last else "",
            after_ns=last.sealed_at_ns if last and by_time else 0,
        )  # fmt: skip
        answer = list_records(pool, asked)
        yield answer.records
        if not answer.more:
            return
        last = answer.records[-1]


def names(found: Iterator[list[PoolRecord]]) -> list[str]:
    return [one.record for page in found for one in page]


def test_every_record_is_listed_once_in_either_order(pool: Pool) -> None:
    """What lies there was sealed as sessions seal: it is whole, and can be read."""
    by_time = [scattered(number) for number in range(COUNT)]
    assert not pool.problems
    assert restore(pool, by_time[7]) == {"/data/empty": b""}
    for limit in (1, 40, COUNT):
        assert names(pages(pool, by_time=True, limit=limit)) == by_time
        assert names(pages(pool, by_time=False, limit=limit)) == sorted(by_time)


def test_a_walk_goes_on_when_records_are_dropped_locked_or_the_server_was_started_again(
    pool: Pool, tmp_path: Path
) -> None:
    """Behind a record that is gone, too; locks are told."""
    pool.lock(scattered(100), 2_000_000_000_000_000_000)
    walk = pages(pool, by_time=True)
    seen = next(walk)
    for number in (39, 41, *range(80, 90)):
        pool.drop(scattered(number))
    seen += [one for page in walk for one in page]
    assert [one.record for one in seen] == [scattered(n) for n in range(COUNT) if n not in {41, *range(80, 90)}]
    assert {one.record: one.locked_until_ns for one in seen if one.locked_until_ns} == {
        scattered(100): 2_000_000_000_000_000_000
    }
    pool.close()
    again = Pool.open(
        uuid=POOL, metadata=tmp_path / "metadata", storages=[Folder(tmp_path / "vault")], reserve_bytes=0, level=1
    )
    asked = AskRecords(pool_id=1, limit=3, by_time=True, after=seen[39].record, after_ns=seen[39].sealed_at_ns)
    assert [one.record for one in list_records(again, asked).records] == [scattered(n) for n in (40, 42, 43)]
    again.close()
