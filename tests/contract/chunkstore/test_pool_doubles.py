"""A pack that lies in two storages, as somebody copied it: one whole copy of each group is enough."""

from __future__ import annotations

import pytest

from rubackup.chunkstore import pack
from support.chunkstore import Client, Place, begin, noise, record_id, restore

TREE = {"/a": noise(150_000, 1), "/b": noise(100_000, 2)}


def _verify(place: Place) -> list[str]:
    return place.opened[-1].verify(record_id(1), lambda *_: None, lambda: None).damaged


def _double(place: Place) -> tuple[bytearray, bytearray]:
    """A record whose pack is copied to a second storage; the bytes of both files."""
    place.storages = ["one", "two"]
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    one, two = place.memory("one"), place.memory("two")
    [name] = [name for name in one.files if name.endswith(".pack")]
    two.put(name, bytes(one.files[name].data))
    return one.files[name].data, two.files[name].data


@pytest.mark.parametrize("lose_index", [False, True])
@pytest.mark.parametrize("rotten", [0, 1])
def test_the_whole_one_is_used(place: Place, rotten: int, lose_index: bool) -> None:
    """Whichever is rotten, and whether the index knew the pack before."""
    _double(place)[rotten][pack.HEADER_BYTES + 5000] ^= 1
    if lose_index:
        place.lose_index()
    pool = place.open()

    assert _verify(place) == []
    assert restore(pool, record_id(1)) == TREE


def test_rot_in_both_at_different_places_costs_nothing(place: Place) -> None:
    """Group by group, the copy that is whole is read, also when the rot comes while the pool is open."""
    one, two = _double(place)
    pool = place.open()
    one[pack.HEADER_BYTES + 5000] ^= 1
    two[-20_000] ^= 1

    assert _verify(place) == []
    assert restore(pool, record_id(1)) == TREE


def test_rot_in_both_at_one_place_is_told(place: Place) -> None:
    """Then the group is damaged, as it would be with one copy."""
    one, two = _double(place)
    place.open()
    for data in (one, two):
        data[pack.HEADER_BYTES + 5000] ^= 1

    assert _verify(place) == ["/a"]
