"""A fresh index that is filled in order is the same as one that took the packs as they came."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import _fill
from rubackup.chunkstore.index import Batch, Index, PackRow, Place

STORAGE = bytes(16)
BATCHES = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.integers(0, 12), st.integers(1, 99), max_size=6)), max_size=8
)
"""For each pack its owner, 0 is nobody, and its chunks with their lengths."""


def _name(number: int) -> bytes:
    """Ids all over the buckets; a third of them longer, as keys may be."""
    return bytes([number * 37 % 256, number * 91 % 256]) + bytes(30 if number % 3 else 34)


def _tables(index: Index) -> list[list[tuple[bytes, bytes]]]:
    with index._env.read() as txn:
        return [list(txn.cursor(index._db[name])) for name in ("chunks", "owners", "packs", "pack_ids")]


def _commit(index: Index, batches: list[tuple[int, dict[int, int]]]) -> None:
    for number, (owner, chunks) in enumerate(batches, 1):
        places = {
            _name(one): Place(number, 144, 1000, position, length, owner)
            for position, (one, length) in enumerate(chunks.items())
        }
        index.commit(Batch(owner, [PackRow(number, number.to_bytes(16, "big"), STORAGE, True, 9)], places))


@pytest.mark.parametrize("held", [_fill.HELD_BYTES, 100])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(batches=BATCHES)
def test_order_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, batches: list[tuple[int, dict[int, int]]]
) -> None:
    """Also when rows wait in files: first places, further owners, packs."""
    monkeypatch.setattr(_fill, "HELD_BYTES", held)
    monkeypatch.setattr(_fill, "APPENDED_ROWS", 3)
    folder = tmp_path / uuid.uuid4().hex
    one, other = Index(folder / "one", bytes(16)), Index(folder / "other", bytes(16))
    for index in (one, other):
        index.set_present([STORAGE], set())
    _commit(one, batches)
    with other.filling(lambda places: places[0]):
        _commit(other, batches)
    tables = [_tables(one), _tables(other)]
    left = (folder / "other" / "filling").exists()
    one.close()
    other.close()

    assert tables[0] == tables[1]
    assert not left


def test_what_an_attempt_left_is_not_taken(tmp_path: Path) -> None:
    """A crash while it was filled leaves files; the next attempt begins with none."""
    fill = _fill.Fill(tmp_path / "filling")
    fill.add([(bytes(32), bytes(24))])
    fill._spill()
    found: list[list[tuple[bytes, bytes]]] = []
    again = _fill.Fill(tmp_path / "filling")
    again.add([(b"\xff" * 32, bytes(24))])
    again.finish(lambda chunks, owners: found.extend([chunks, owners]), min)

    assert found == [[(b"\xff" * 32, bytes(24))], []]
    assert not (tmp_path / "filling").exists()
