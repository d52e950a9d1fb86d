"""Items that are many go to a file, and come back whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.chunkstore.gc.spill import Buckets


@pytest.mark.parametrize("held", [10, 10_000])
@pytest.mark.parametrize("count", [1, 4, 256])
def test_what_was_added_comes_back(tmp_path: Path, held: int, count: int) -> None:
    """Each item comes back from the bucket of its first byte, however often it was added."""
    items = {number.to_bytes(8, "little") for number in range(0, 900, 7)}
    buckets = Buckets(tmp_path / "test", count, 8, held)
    for item in [*items, *items]:
        buckets.add([item])
    taken = [buckets.take(bucket) for bucket in range(count)]

    assert set().union(*taken) == items
    assert sum(map(len, taken)) == len(items)
    assert all(item[0] * count // 256 == bucket for bucket, found in enumerate(taken) for item in found)
    assert (tmp_path / "test").exists() == (held < len(items))
