"""Lengths that lie, and data that expands ten-thousandfold: memory stays within the bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fuzzers.targets import TARGETS, seeds
from rubackup.chunkstore import group
from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.identity import chunk_id
from rubackup.chunkstore.manifest import ManifestWriter, Summary
from support.chunkstore import Client, Place, begin, record_id, write_tree

MIB = 1 << 20
HUGE = [(2**31 - 1).to_bytes(4, "little"), (2**31 - 1).to_bytes(4, "big")]
BOMBS = 40


@contextmanager
def at_most(mib: int) -> Iterator[None]:
    """Fail when more memory than this was held at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mib * MIB, f"{peak / MIB:.1f} MiB were held at once"


@pytest.mark.parametrize("target", ["group", "pack", "manifest", "seal", "frames"])
def test_a_length_of_two_gib_allocates_nothing(target: str) -> None:
    """Whichever field of whichever format says so, sums right or wrong: an error of the domain, and no memory."""
    with at_most(24):
        for whole in seeds(target)[:4]:
            for at in range(min(len(whole) - 4, 200)):
                for huge in HUGE:
                    TARGETS[target](whole[:at] + huge + whole[at + 4 :])


@pytest.fixture
def bombs(quick_folder: Path) -> Iterator[tuple[Place, bytes]]:
    """A record whose packs are some 10 KiB and whose files are 160 MiB; the place, and one of its groups."""
    place = Place(quick_folder)
    session = begin(place.open(), 1)
    rows: dict[bytes, list[tuple[bytes, int]]] = {}
    packed = b""
    for number in range(BOMBS):
        data = bytes([number]) * group.MAX_RAW_BYTES
        packed = group.encode([(chunk_id(data), data)], 1)
        session.put_group(packed)
        rows[str(number).encode()] = [(chunk_id(data), len(data))]
    writer = ManifestWriter(session.put_manifest, Client().header(session.record))
    tree = {f"/{number:03}": str(number).encode() for number in range(BOMBS)}
    write_tree(writer, tree, lambda name: rows[name])
    writer.finish(Summary(BOMBS, 0, 1, BOMBS * group.MAX_RAW_BYTES))
    session.seal(BOMBS, 0, BOMBS * group.MAX_RAW_BYTES)
    yield place, packed
    place.close()


def test_packs_that_expand_ten_thousandfold_take_bounded_memory(bombs: tuple[Place, bytes], tmp_path: Path) -> None:
    """Verified, read, copied into another pool, and found again without an index, a few groups at a time."""
    place, packed = bombs
    assert len(packed) * 5_000 < group.MAX_RAW_BYTES
    pool = place.opened[0]
    other = Place(tmp_path)

    with at_most(48):
        assert pool.verify(record_id(1), lambda *_: None, lambda: None).damaged == []
        for data in pool.read(record_id(1)).groups([(0, BOMBS)]):
            group.decode(data).check()
        target = begin(other.open(), 2)
        summary = RecordCopy(pool.read(record_id(1)), target, 1, lambda *_: None, lambda: None).run()
        target.seal(summary.files, summary.files_failed, summary.size_bytes)
        other.close()
        place.close()
        place.lose_index()
        assert len(place.open().records()) == 1
