"""Items that are many go to files, and come back whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.chunkstore.gc.spill import Buckets


@pytest.mark.parametrize("held", [10, 10_000])
@pytest.mark.parametrize("count", [1, 4, 256])
def test_what_was_added_is_taken_once(tmp_path: Path, held: int, count: int) -> None:
    """Each item comes back from the bucket of its byte, however often it was added, and no file is left."""
    items = {number.to_bytes(8, "big") for number in range(0, 900, 7)}
    buckets = Buckets(tmp_path, "test", count, 7, held)
    for item in [*items, *items]:
        buckets.add([item])
    taken = [buckets.take(bucket, 8) for bucket in range(count)]

    assert set().union(*taken) == items
    assert sum(map(len, taken)) == len(items)
    assert all(item[7] % count == bucket for bucket, found in enumerate(taken) for item in found)
    assert list(tmp_path.iterdir()) == []
    assert buckets.take(0, 8) == set()
