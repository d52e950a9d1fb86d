"""What is saved of a download has holes where there are only zeros, and is the same byte for byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubackup.sdk.files import save, write_sparse

BLOCK = 64 << 10
PIECES = st.lists(
    st.tuples(st.sampled_from([0, 1, 4095, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]), st.sampled_from([b"\0", b"x"])),
    max_size=6,
)


@given(lengths=PIECES)
def test_every_byte_is_as_it_came(lengths: list[tuple[int, bytes]]) -> None:
    """Pieces of any size, zeros at the beginning, between and at the end, or nothing at all."""
    pieces = [byte * length for length, byte in lengths]
    with tempfile.TemporaryFile() as file:
        size = write_sparse(pieces, file)
        file.seek(0)
        found = file.read()

    assert found == b"".join(pieces)
    assert size == len(found)


@pytest.mark.parametrize("last", [b"", b"end"])
def test_zeros_take_no_room(tmp_path: Path, last: bytes) -> None:
    """A file of 64 MiB of zeros is one hole, as far as the file system has holes."""
    target = tmp_path / "file"
    probe = tmp_path / "probe"
    with probe.open("wb") as file:
        file.truncate(1 << 20)
    zeros = bytes(1 << 20)
    size = save((zeros if number < 64 else last for number in range(65)), target, replace=False)

    assert size == target.stat().st_size == (64 << 20) + len(last)
    assert target.stat().st_blocks * 512 <= probe.stat().st_blocks * 512 * 64 + BLOCK
    assert target.read_bytes() == bytes(64 << 20) + last
