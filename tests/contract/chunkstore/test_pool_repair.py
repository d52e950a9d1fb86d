"""A manifest that is made anew takes the place of the damaged one at once or not at all, sealed as the record was."""

from __future__ import annotations

import pytest

from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.manifest import ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Corrupt, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore, write_tree

TREE = {f"/folder{number}/{name}": noise(2_000, number) for number in range(40) for name in ("a", "b")}
FILE = f"manifests/{record_id(1)}.manifest"


def _pool(place: Place) -> tuple[Pool, int]:
    """A pool with two records, and the length of the stream of the first; its trailer counts folders, as a client's does."""
    pool = place.open()
    for number in (1, 2):
        client, session = Client(), begin(pool, number)
        for data in TREE.values():
            client.send(session, client.chunks(data))
        writer = ManifestWriter(session.put_manifest, client.header(session.record))
        size = sum(map(len, TREE.values()))
        write_tree(writer, TREE, lambda data, client=client: [(name, len(one)) for name, one in client.chunks(data)])
        writer.finish(Summary(files=len(TREE), folders=40, size_bytes=size))
        session.seal(len(TREE), 0, size)
    return pool, pool.read(record_id(1)).manifest_bytes


def _verify(pool: Pool) -> list[str]:
    found = pool.verify(record_id(1), lambda *_: None, lambda: None)
    return found.damaged + found.flaws


def _data(place: Place) -> bytearray:
    return place.memory().files[FILE].data


@pytest.mark.parametrize("damage", ["trailer", "footer", "seal", "index"])
def test_a_damaged_end_is_made_anew(place: Place, damage: str) -> None:
    """It verifies and restores, also for a pool that knows nothing but its storages; its record is the same."""
    pool, stream = _pool(place)
    sealed, whole = pool.sealed(record_id(1)), bytes(_data(place))
    at = {
        "trailer": stream - 30,
        "footer": stream - 3,
        "seal": len(whole) - 3,
        "index": whole.rindex(b"I\0\0\0", 0, stream) + 60,
    }
    _data(place)[at[damage]] ^= 1

    assert pool.repair_manifest(record_id(1)) == []
    assert bytes(_data(place)) == whole
    assert _verify(pool) == []
    place.close()
    place.lose_index()
    again = place.open()
    assert again.problems == []
    assert again.sealed(record_id(1)) == sealed
    assert restore(again, record_id(1)) == TREE


def test_parts_that_are_lost_are_only_given_up_when_asked(place: Place) -> None:
    """Then the rest can be read, and every later verification tells that the copy is not whole."""
    pool, stream = _pool(place)
    _data(place)[stream // 2] ^= 1
    damaged = bytes(_data(place))
    with pytest.raises(Corrupt, match="Parts of the manifest are lost"):
        pool.repair_manifest(record_id(1))
    assert bytes(_data(place)) == damaged

    assert pool.repair_manifest(record_id(1), lose=True)
    left = restore(pool, record_id(1))
    assert left.items() < TREE.items()
    place.close()
    place.lose_index()
    again = place.open()
    assert again.sealed(record_id(1)).lost_parts > 0
    assert any("has lost" in one for one in _verify(again))


def test_a_repair_that_fails_changes_nothing(place: Place) -> None:
    """No room for it, or a header that is damaged: the damaged manifest stays, and nothing beside it."""
    pool, stream = _pool(place)
    _data(place)[stream - 30] ^= 1
    damaged = bytes(_data(place))
    place.close()

    def script(operation: str, name: str, _done: bool) -> None:
        if operation in {"write", "sync", "replace"} and name.endswith(".open") and armed:
            raise StorageFault("There is no room.")

    def wrap(backend: Backend) -> Backend:
        return FaultyBackend(backend, script)

    armed: list[bool] = []
    place.wrap = wrap
    pool = place.open()
    armed.append(True)
    with pytest.raises(StorageFault):
        pool.repair_manifest(record_id(1))
    armed.clear()
    _data(place)[20] ^= 1
    with pytest.raises(Corrupt):
        pool.repair_manifest(record_id(1))
    _data(place)[20] ^= 1

    assert bytes(_data(place)) == damaged
    assert not [name for name in place.memory().files if name.endswith(".open")]
