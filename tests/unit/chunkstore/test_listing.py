"""What lies in storages is listed in few bytes a file, and is the same as what a set and a list would hold."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rubackup.chunkstore import pack, seals
from rubackup.chunkstore._listing import Ids, PackFiles, RecordFiles, Sizes
from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.storage import Storage

FILES = 2000
SPENT = 64
"""Bytes a file that a listing may take at its peak; names in a list take ten times as much."""

NAMES = st.lists(st.integers(0, 2**128 - 1).map(lambda number: (number % 2**125).to_bytes(16, "big")), max_size=60)


@given(first=NAMES, asked=NAMES, later=NAMES)
def test_ids_are_a_set(first: list[bytes], asked: list[bytes], later: list[bytes]) -> None:
    """Asked in between, filled on, with ids that come twice."""
    found, model = Ids(), set()
    for names in (first, later, first):
        for name in names:
            found.add(name)
            model.add(name)
        for name in [*asked, *names, bytes(16), b"\xff" * 16]:
            assert (name in found) == (name in model)
        assert set(found) == model


@given(rows=st.lists(st.tuples(NAMES.map(lambda names: (names or [bytes(16)])[0]), st.integers(0, 2**63))))
def test_sizes_are_a_list(rows: list[tuple[bytes, int]]) -> None:
    """In the order in which they came."""
    found = Sizes()
    for name, size_bytes in rows:
        found.add(name, size_bytes)
    assert list(found) == rows


def scattered(number: int) -> bytes:
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big")


def laid(folder: Path) -> Storage:
    """A storage with so many lists of files and packs, and a few of everything else."""
    for number in range(256):
        (folder / "packs" / f"{number:02x}").mkdir(parents=True)
    (folder / "manifests").mkdir()
    for number in range(1, FILES + 1):
        (folder / seals.manifest_name(scattered(number).hex())).write_bytes(b"x" * (number % 3))
        (folder / pack.closed_name(scattered(number))).touch()
    for name in (seals.tombstone_name(scattered(7).hex()), seals.lock_name(scattered(8).hex()), "manifests/stray",
                 seals.open_name(scattered(9).hex()), f"manifests/{scattered(10).hex()}.astray",
                 pack.open_name(scattered(FILES + 1)), f"packs/ab/{scattered(11).hex()}{pack.GONE}"):  # fmt: skip
        (folder / name).touch()
    (folder / "manifests" / "half.tmp").touch()
    return Storage(bytes(16), LocalBackend(folder))


def test_very_many_files_take_little_memory(tmp_path: Path) -> None:
    """Nothing is left out, and no list of all names is ever in memory."""
    storage = laid(tmp_path)
    peaks = []
    for _ in range(3):  # what other threads and first calls take meanwhile is counted, too
        there, files = Ids(), RecordFiles()
        tracemalloc.start()
        try:
            files.list(storage)
            packs = PackFiles(storage, storage.backend.list("packs"), there)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 2 * FILES * SPENT, peaks

    ((_, manifests),) = files.manifests
    assert dict(manifests) == {scattered(number): number % 3 for number in range(1, FILES + 1)}
    assert list(files.tombstones) == [scattered(7)]
    assert [list(locks) for _, locks in files.locks] == [[scattered(8)]]
    assert [item.name for _, item in files.astray] == [f"manifests/{scattered(10).hex()}.astray"]
    assert sorted(item.name for _, item in files.left) == sorted(
        ["manifests/stray", seals.open_name(scattered(9).hex())]
    )
    strange = [Item(pack.open_name(scattered(FILES + 1)), 0), Item(f"packs/ab/{scattered(11).hex()}{pack.GONE}", 0)]
    closed = [Item(pack.closed_name(scattered(number)), 0) for number in range(1, FILES + 1)]
    found = list(packs)
    assert (sorted(found[:-2]), sorted(found[-2:])) == (sorted(closed), sorted(strange))
    assert set(there) == {scattered(number) for number in range(1, FILES + 2)}
