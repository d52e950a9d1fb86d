"""Numbers of packs in the index: sets of packs that are kept with records name packs that are gone."""

from __future__ import annotations

from pathlib import Path

from rubackup.chunkstore.index import NOBODY, Batch, Index, PackRow


def test_a_number_is_not_used_again(tmp_path: Path) -> None:
    """Not even that of the newest pack, after it was removed and the index opened anew."""
    index = Index(tmp_path / "index", b"p" * 16)
    numbers = [index.new_pack_number() for _ in range(3)]
    rows = [PackRow(number, bytes([number]) * 16, b"s" * 16, True, 100) for number in numbers]
    index.commit(Batch(NOBODY, packs=rows))
    index.forget_pack(rows[2])
    index.forget_pack(rows[1])
    index.complete()
    index.close()
    index = Index(tmp_path / "index", b"p" * 16)
    try:
        assert [row.number for row in index.packs()] == numbers[:1]
        assert index.new_pack_number() == numbers[2] + 1
    finally:
        index.close()
