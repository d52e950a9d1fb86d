"""Manifests that lie under each other's names: nothing that removes one removes another, and they get their names back."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubackup.chunkstore import seals
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool
from rubackup.cli.media import app
from rubackup.domain.errors import Corrupt, NotFound, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import collect

TREES = {number: {"/a": noise(900, number)} for number in (1, 2, 3)}
"""All alike long, so that lengths tell nothing."""


def _name(number: int) -> str:
    return seals.manifest_name(record_id(number))


def _pool(place: Place) -> Pool:
    pool = place.open()
    for number, tree in TREES.items():
        Client().backup(begin(pool, number), tree)
    assert len({len(place.memory().files[_name(number)].data) for number in TREES}) == 1
    return pool


def _turn(place: Place, *numbers: int) -> None:
    """Give each record's file to the next one of these."""
    files = place.memory().files
    found = [files[_name(number)] for number in numbers]
    for number, file in zip(numbers, found[1:] + found[:1], strict=True):
        files[_name(number)] = file


def _restorable(pool: Pool) -> list[int]:
    return [number for number in TREES if _restores(pool, number)]


def _restores(pool: Pool, number: int) -> bool:
    try:
        return restore(pool, record_id(number)) == TREES[number]
    except (Corrupt, NotFound):
        return False


@pytest.mark.parametrize("turned", [(1, 2), (1, 2, 3)])
def test_deleting_one_keeps_the_other(place: Place, turned: tuple[int, ...]) -> None:
    """What is removed is the record that was named; the others are readable again, also after a restart and a collection."""
    pool = _pool(place)
    _turn(place, *turned)
    assert _restorable(pool) == [number for number in TREES if number not in turned]

    pool.drop(record_id(1))
    assert _restorable(pool) == [2, 3]
    collect(pool)
    assert _restorable(place.reopen()) == [2, 3]
    place.close()
    place.lose_index()
    pool = place.open()
    assert pool.problems == []
    assert _restorable(pool) == [2, 3]


def test_what_may_be_all_that_is_left_of_another_stays(place: Place) -> None:
    """The file of the one record was written over that of the other: both cannot be, and the error names the file."""
    pool = _pool(place)
    place.memory().files[_name(1)] = place.memory().files.pop(_name(2))
    place.memory().files[_name(2)] = place.memory().files[_name(3)]  # a copy: its record has its own

    with pytest.raises(Corrupt, match=f"{_name(1)} is that of record {record_id(2)}"):
        pool.drop(record_id(1))
    assert record_id(1) in {record.record for record in pool.records()}
    pool.drop(record_id(2))
    pool.drop(record_id(1))
    assert _restorable(pool) == [3]


def test_what_cannot_be_read_stays_while_another_is_missing(place: Place) -> None:
    """Nobody can tell whose it was. Where all others have theirs, or it is as long as its own, it goes."""
    pool = _pool(place)
    kept, file = place.memory().files.pop(_name(2)), place.memory().files[_name(1)]
    file.data[:200] = bytes(200)
    del file.data[-20:]
    with pytest.raises(Corrupt, match=f"{_name(1)} cannot be read"):
        pool.drop(record_id(1))

    place.memory().files[_name(2)] = kept
    pool.drop(record_id(1))
    assert _restorable(pool) == [2, 3]


@pytest.mark.parametrize("lost", [False, True], ids=["index", "no index"])
def test_opening_puts_them_back(place: Place, lost: bool) -> None:
    """A pool that knows nothing but its storages lists all of them; one with an index does when it is told to look."""
    _pool(place)
    place.close()
    _turn(place, 1, 2, 3)
    if lost:
        place.lose_index()
    pool = place.open()
    if not lost:
        pool.put_back()

    assert len(pool.repaired) == 3
    assert pool.problems == []
    assert _restorable(pool) == [1, 2, 3]
    assert pool.put_back() == []


def test_verification_puts_one_back(place: Place) -> None:
    """It is told that the manifest is another's, and the repair that follows gives both their names."""
    pool = _pool(place)
    _turn(place, 1, 2)
    with pytest.raises(Corrupt, match=f"manifest of record {record_id(2)}"):
        pool.verify(record_id(1), lambda *_: None, lambda: None)

    assert pool.repair_manifest(record_id(1)) == []
    assert _restorable(pool) == [1, 2, 3]


def test_they_come_back_across_storages(place: Place) -> None:
    """The index tells where they lie now."""
    pool = _pool(place)
    place.memory("two")
    place.storages.append("two")
    pool = place.reopen()
    place.memory("two").files[_name(1)] = place.memory().files.pop(_name(2))
    pool.drop(record_id(3))
    assert pool.put_back() == [f"two/{_name(1)} was the manifest of record {record_id(2)}: it has its name again."]
    assert _restorable(pool) == [1, 2]
    assert _restorable(place.reopen()) == [1, 2]


def test_a_manifest_beside_the_tombstone_of_another_stays(place: Place) -> None:
    """An opening finishes a drop only of the record that was dropped."""
    pool = _pool(place)
    pool.drop(record_id(1))
    place.close()
    place.memory().files[_name(1)] = place.memory().files.pop(_name(2))
    pool = place.open()

    assert _restorable(pool) == [2, 3]
    assert record_id(1) not in {record.record for record in pool.records()}


def test_a_crash_at_any_step_loses_none(place: Place) -> None:
    """Each lies under some name, and the next opening goes on."""
    _pool(place)
    place.close()
    step = 0
    while True:
        step += 1
        _turn(place, 1, 2, 3)
        left = step

        def script(operation: str, _name: str, done: bool) -> None:
            nonlocal left
            if operation == "publish":
                left -= 1
                if not left:
                    raise StorageFault("the power is gone")

        pool = place.open()
        for storage in pool._storages.all:
            storage.backend = FaultyBackend(storage.backend, script)
        try:
            pool.put_back()
        except StorageFault:
            place.reopen().put_back()
            assert _restorable(place.opened[0]) == [1, 2, 3]
            place.close()
            continue
        break
    assert step > 6


def test_the_command_puts_them_back(tmp_path: Path) -> None:
    """An administrator's `rubackup media repair` says what it did, and ends as for a whole pool."""
    (tmp_path / "storage").mkdir()
    place = Place(tmp_path, backends={"storage": LocalBackend(tmp_path / "storage")})
    pool = Pool.open(
        uuid="0" * 32, metadata=place.metadata, storages=folders([tmp_path / "storage"]), reserve_bytes=0, level=1
    )  # fmt: skip
    for number, tree in TREES.items():
        Client().backup(begin(pool, number), tree)
    pool.close()
    one, two = (tmp_path / "storage" / _name(number) for number in (1, 2))
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    done = CliRunner().invoke(app, ["repair", "--metadata", str(place.metadata), str(tmp_path / "storage"), "--verify"])

    assert (done.exit_code, done.output.count("repaired: "), done.output.count("  whole")) == (0, 2, 3), done.output
