"""Content-defined chunks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.chunkstore.chunker import MAX_SEED, Chunker
from support.chunkstore import noise

GOLDEN = {
    0: [
        160462,
        133275,
        128652,
        120141,
        233235,
        173962,
        132437,
        188137,
        142114,
        166664,
        112431,
        62563,
        157646,
        390902,
        133456,
        108046,
        80919,
        118002,
        170239,
        86717,
    ],
    2**62 + 12345: [
        141363,
        161981,
        175049,
        84851,
        147356,
        151503,
        380839,
        103362,
        133389,
        129614,
        379036,
        191452,
        237000,
        131504,
        123363,
        92419,
        71970,
        163949,
    ],
}


def _streamed(chunker: Chunker, data: bytes, parts: list[int]) -> list[int]:
    """The lengths of all chunks when the stream is handed over in parts of these sizes."""
    lengths: list[int] = []
    at = end = 0
    for part in parts:
        end = min(len(data), end + part)
        lengths += chunker.cut(memoryview(data)[at:end], final=False)
        at = sum(lengths)
    return lengths + chunker.cut(memoryview(data)[at:], final=True)


@pytest.mark.parametrize("seed", GOLDEN)
def test_cut_points_never_change(seed: int) -> None:
    """The cut points of given data are part of the format: without them nothing is found again."""
    lengths = Chunker(seed=seed).cut(memoryview(noise(3_000_000, 1)), final=True)

    assert lengths == GOLDEN[seed]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60_000), st.integers(0, 5), st.lists(st.integers(0, 30_000), max_size=8))
def test_cut_points_do_not_depend_on_the_parts_of_the_stream(size: int, seed: int, parts: list[int]) -> None:
    """Chunks joined are the stream, and the same however it was handed over."""
    data = noise(size, seed)
    chunker = Chunker(256, 1024, 4096, seed)

    lengths = _streamed(chunker, data, parts)

    assert lengths == chunker.cut(memoryview(data), final=True)
    assert sum(lengths) == size
    assert all(length <= 4096 for length in lengths)


def test_an_insertion_changes_few_chunks() -> None:
    """Behind an inserted byte the old chunks are found again."""
    data = noise(500_000)
    chunker = Chunker(1024, 4096, 16384)

    def pieces(content: bytes) -> set[bytes]:
        found, at = set(), 0
        for length in chunker.cut(memoryview(content), final=True):
            found.add(content[at : at + length])
            at += length
        return found

    assert len(pieces(b"x" + data) - pieces(data)) <= 3


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    """Seeds have 63 bits."""
    with pytest.raises(ValueError, match="seed"):
        Chunker(seed=seed)
