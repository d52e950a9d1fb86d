"""Fences of tasks that have not ended outlive the index."""

from __future__ import annotations

import pytest

from rubackup.chunkstore import _fences
from rubackup.domain.errors import Conflict, Fenced
from support.chunkstore import Client, Place, begin


def test_a_lost_index_lifts_no_fence(place: Place) -> None:
    """Neither of a task that did not seal nor of one that did."""
    pool = place.open()
    begin(pool, 1, fence=4).abort()
    begin(pool, 1, fence=5).abort()
    Client().backup(begin(pool, 2, fence=7), {"/a": b"a"})
    place.close()
    place.lose_index()
    pool = place.open()

    with pytest.raises(Fenced, match="fence 5"):
        begin(pool, 1, fence=4)
    with pytest.raises(Fenced, match="fence 7"):
        begin(pool, 2, fence=6, record="f" * 32)
    begin(pool, 1, fence=5).abort()
    with pytest.raises(Conflict):
        begin(pool, 2, fence=7)


def test_damaged_rows_lift_no_other_fence(place: Place) -> None:
    """A torn row and a rotten one count for nothing, and the next row is whole."""
    pool = place.open()
    for number in (1, 2, 3):
        begin(pool, number, fence=9).abort()
    place.close()
    file = place.metadata / "fences"
    data = bytearray(file.read_bytes())
    data[3] ^= 1
    file.write_bytes(data[:-5])
    pool = place.open()
    begin(pool, 4, fence=9).abort()
    place.close()
    place.lose_index()
    pool = place.open()

    begin(pool, 1, fence=1).abort()
    for number in (2, 4):
        with pytest.raises(Fenced):
            begin(pool, number, fence=8)


def test_the_list_does_not_grow_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that have sealed leave it, then the oldest."""
    monkeypatch.setattr(_fences, "_MAX_ROWS", 8)
    pool = place.open()
    for number in range(1, 5):
        Client().backup(begin(pool, number, fence=3), {"/a": b"a"})
    for number in range(11, 17):
        begin(pool, number, fence=3).abort()
    assert len((place.metadata / "fences").read_bytes()) == 10 * 48
    pool = place.reopen()
    assert len((place.metadata / "fences").read_bytes()) == 4 * 48
    place.close()
    place.lose_index()
    pool = place.open()

    for number in range(13, 17):
        with pytest.raises(Fenced):
            begin(pool, number, fence=2)
