"""Free blocks and names of a device."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubackup.chunkstore.backends.block import names
from rubackup.chunkstore.backends.block.space import FreeSpace, cut_at, gaps, joined
from rubackup.domain.errors import StorageFull

IDS = st.binary(min_size=16, max_size=16)


@given(st.integers(0, 1 << 30), st.integers(1, 40))
def test_blocks_are_given_out_once(seed: int, steps: int) -> None:
    """Whatever is taken, held and given back: no block is two owners', none is lost, and the count is right."""
    toss = random.Random(seed)
    space = FreeSpace("device", [(0, 60), (100, 40)])
    owned: dict[int, list[tuple[int, int]]] = {}
    for step in range(steps):
        if owned and toss.random() < 0.4:
            owner = toss.choice(list(owned))
            space.release(owner)
            space.give(owned.pop(owner))
        else:
            blocks, owner = toss.randint(1, 50), toss.choice([*owned, step])
            try:
                owned[owner] = joined([*owned.get(owner, []), *space.take(owner, blocks, toss.choice((0, 0, 10, 200)))])
            except StorageFull:
                assert blocks > space.free_blocks
        taken = [extent for extents in owned.values() for extent in extents]
        free, twice = gaps([*taken, (60, 40)], 140)
        assert twice == []
        assert sum(blocks for _, blocks in free) == space.free_blocks
    for owner, extents in owned.items():
        space.release(owner)
        space.give(extents)

    assert sorted(space.runs()) == [(0, 60), (100, 40)]


def test_a_growing_file_stays_in_one_run() -> None:
    """Others get what lies behind what it holds ahead, and small ones the end."""
    space = FreeSpace("device", [(0, 1000)])
    first = space.take("first", 10, 100)
    small = space.take("small", 1)
    second = space.take("second", 10, 100)

    assert joined([*first, *space.take("first", 100, 100)]) == [(0, 110)]
    assert small == [(999, 1)]
    assert second == [(110, 10)]


def test_what_is_held_ahead_is_free_for_others() -> None:
    """When there is nothing else."""
    space = FreeSpace("device", [(0, 100)])
    space.take("first", 10, 90)

    assert space.free_blocks == 90
    assert sum(blocks for _, blocks in space.take("second", 90)) == 90
    with pytest.raises(StorageFull, match="no room left in device"):
        space.take("first", 1, 10)


def test_the_closest_run_is_taken() -> None:
    """Large ones stay for what is large."""
    space = FreeSpace("device", [(0, 500), (600, 20), (700, 30)])

    assert space.take("x", 20) == [(600, 20)]


def test_what_is_promised_is_kept() -> None:
    """Nobody else gets it."""
    space = FreeSpace("device", [(0, 10)])
    space.promise(8)
    with pytest.raises(StorageFull):
        space.take("x", 3)
    with pytest.raises(StorageFull):
        space.promise(3)
    space.promise(-8)

    assert space.take("x", 10) == [(0, 10)]


def test_files_that_lie_over_one_another_are_found() -> None:
    """Each place once, with the free runs between."""
    assert gaps([(10, 10), (0, 5), (15, 10)], 30) == ([(5, 5), (25, 5)], [(15, 5)])
    assert cut_at([(5, 3), (20, 4)], 4) == ([(5, 3), (20, 1)], [(21, 3)])


@pytest.mark.parametrize("form", range(1, 7))
def test_names_of_packs_and_manifests_are_short(form: int) -> None:
    """17 bytes each, and back."""
    short = bytes([form]) + bytes(range(16))
    name = names.full(short)

    assert names.shorten(name) == short
    assert name.startswith(("packs/00/0001", "manifests/0001"))


@given(st.text("0123456789abcdefpks./-ACIK\n ", max_size=60) | IDS.map(lambda one: f"packs/00/{one.hex()}.pack"))
def test_every_name_comes_back(name: str) -> None:
    """Also those that only look like one of a pack."""
    assert names.full(names.shorten(name)) == name


@pytest.mark.parametrize("short", [b"\x7f" + bytes(16), b"\1" + bytes(15), b"\xff", b"\0\xff"])
def test_a_name_of_an_unknown_form_is_damage(short: bytes) -> None:
    """Not another name."""
    with pytest.raises(ValueError, match=r"unknown form|decode"):
        names.full(short)
