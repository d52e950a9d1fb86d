"""One damaged byte costs the group it is in and no other, whatever else is lost, and is told."""

from __future__ import annotations

import shutil

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.memory import MemoryBackend
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import damaged, packs

FILES = [noise(60_000, number) for number in range(8)]
TREE = {f"/{number}": data for number, data in enumerate(FILES)}


def crashed(place: Place) -> bytearray:
    """A sealed record whose chunks all lie in a pack that another session had open when the host lost its power."""
    pool = place.open()
    client = Client()
    session = begin(pool, 1, owner="00000000000000bb")
    for data in FILES:
        client.send(session, client.chunks(data))
    session.checkpoint()
    Client().backup(begin(pool, 2, share=True), TREE)
    memory = place.memory().after_power_loss()
    left = place.folder / "left"
    shutil.copytree(place.metadata, left)
    place.close()
    shutil.rmtree(place.metadata)
    left.rename(place.metadata)
    place.backends["one"] = memory
    [name] = [name for name in memory.files if name.endswith(".open")]
    return memory.files[name].data


@pytest.mark.parametrize("at", [0, 70, 3000], ids=["header", "sum", "payload"])
@pytest.mark.parametrize("first", [True, False])
def test_rot_in_an_open_pack_costs_one_group(place: Place, first: bool, at: int) -> None:
    """The groups behind it stay, and the problem names the place; the next backup heals it."""
    data = crashed(place)
    offset = pack.HEADER_BYTES if first else data.rindex(b"RBGR")
    data[offset + at] ^= 1
    pool = place.open()

    assert len(pool.problems) == 1
    assert (f"damaged at offset {offset}" if first else f"lost what lay behind byte {offset}") in pool.problems[0]
    assert len(damaged(pool, record_id(2))) <= 2
    Client().backup(begin(pool, 3), TREE)
    assert restore(pool, record_id(2)) == TREE
    assert place.reopen().problems == []


def test_rot_in_the_header_of_an_open_pack_costs_nothing(place: Place) -> None:
    """Not even when the index is lost too: whose chunks they are is told by the manifests."""
    data = crashed(place)
    data[60] ^= 1
    place.lose_index()
    pool = place.open()

    assert any("damaged header" in problem for problem in pool.problems)
    assert restore(pool, record_id(2)) == TREE


def test_rot_in_trailer_and_a_group_and_a_lost_index_cost_one_group(place: Place) -> None:
    """Without its trailer a pack is read group by group, past the damaged one."""
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    memory = place.memory()
    assert isinstance(memory, MemoryBackend)
    [name] = packs(place)
    memory.files[name].data[pack.HEADER_BYTES + 5000] ^= 1
    memory.files[name].data[-60] ^= 1
    place.lose_index()
    pool = place.open()

    assert pool.problems
    assert 1 <= len(damaged(pool, record_id(1))) <= 2
