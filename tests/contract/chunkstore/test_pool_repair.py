"""A manifest that is made anew takes the place of the damaged one at once or not at all, sealed as the record was.

How the parts of a damaged manifest are found again is tested with the manifest; here it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from rubackup.chunkstore.manifest import Header, ManifestReader
from rubackup.chunkstore.pool import Pool
from rubackup.chunkstore.repair import Rebuild
from rubackup.domain.errors import Corrupt, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore

TREE = {"/home/big": noise(200_000), "/text": b"text " * 300}
FILE = f"manifests/{record_id(1)}.manifest"


class _Rebuilt(NamedTuple):
    header: Header
    damaged: list[str]


def _giving(pool: Pool, number: int) -> Rebuild:
    """Finds the whole manifest of a record, as it is now."""
    session = pool.read(record_id(number))
    stream = session.read_manifest(0, session.manifest_bytes)
    header = ManifestReader(session.read_manifest, session.manifest_bytes).header

    def rebuild(read_at: Callable[[int, int], bytes], size: int, sink: Callable[[bytes], None]) -> _Rebuilt:
        assert len(read_at(0, size)) == size
        for at in range(0, len(stream), 100):
            sink(stream[at : at + 100])
        return _Rebuilt(header, [])

    return rebuild


def _damaged_pool(place: Place) -> tuple[Pool, Rebuild]:
    """A pool with two records, the first of which has a manifest with a damaged end, and what makes it anew."""
    pool = place.open()
    for number in (1, 2):
        Client().backup(begin(pool, number), TREE)
    rebuild = _giving(pool, 1)
    place.memory().files[FILE].data[pool.read(record_id(1)).manifest_bytes - 10] ^= 1
    return pool, rebuild


def _verify(pool: Pool) -> list[str]:
    return pool.verify(record_id(1), lambda *_: None, lambda: None).damaged


def test_a_repaired_manifest_is_that_of_the_record(place: Place) -> None:
    """It verifies and restores, also for a pool that knows nothing but its storages; its record is the same."""
    pool, rebuild = _damaged_pool(place)
    sealed = pool.sealed(record_id(1))
    with pytest.raises(Corrupt):
        _verify(pool)

    assert pool.repair_manifest(record_id(1), rebuild) == []
    assert _verify(pool) == []
    place.close()
    place.lose_index()
    again = place.open()
    assert again.problems == []
    assert again.sealed(record_id(1)) == sealed
    assert restore(again, record_id(1)) == TREE
    assert again.usage().used_bytes == sum(
        len(file.data) for name, file in place.memory().files.items() if name != "pool"
    )


@pytest.mark.parametrize("cut", [100, 0])
def test_a_manifest_that_was_cut_off_can_be_repaired(place: Place, cut: int) -> None:
    """The seal is gone with its end, and comes from the index."""
    pool, rebuild = _damaged_pool(place)
    del place.memory().files[FILE].data[cut:]
    pool.repair_manifest(record_id(1), rebuild)

    assert restore(place.reopen(), record_id(1)) == TREE


def test_a_repair_that_fails_changes_nothing(place: Place) -> None:
    """No room, a manifest of another record, parts that do not fit: the damaged manifest stays, and nothing beside it."""
    pool, rebuild = _damaged_pool(place)
    before = bytes(place.memory().files[FILE].data)
    foreign = _giving(pool, 2)

    def full(_read_at: object, _size: int, sink: Callable[[bytes], None]) -> _Rebuilt:
        sink(b"x")
        raise StorageFault("There is no room.")

    def torn(read_at: Callable[[int, int], bytes], size: int, sink: Callable[[bytes], None]) -> _Rebuilt:
        return rebuild(read_at, size, lambda data: sink(data[:-1]))  # type: ignore[return-value]

    for wrong in (full, torn, foreign):
        with pytest.raises((Corrupt, StorageFault)):
            pool.repair_manifest(record_id(1), wrong)

        assert bytes(place.memory().files[FILE].data) == before
        assert not [name for name in place.memory().files if name.endswith(".open")]
