"""Groups: written, parsed, damaged, hostile."""

from __future__ import annotations

import struct

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import group
from rubackup.chunkstore.identity import HOLE, chunk_id
from rubackup.domain.errors import Corrupt
from support.chunkstore import noise

contents = st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=20)
levels = st.sampled_from([None, -1, 1, 3])


def _chunks(data: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(chunk_id(one), one) for one in data]


def _forged(codec: int, raw_bytes: int, payload: bytes, rows: list[tuple[bytes, int]]) -> bytes:
    """A group with right sums around whatever it claims."""
    front = struct.pack("<4sBBHIII", b"RBGR", 1, codec, 0, len(rows), raw_bytes, len(payload))
    front += blake3(payload).digest()
    table = b"".join(struct.pack("<32sI", *row) for row in rows)
    return front + blake3(front + table).digest() + table + payload


@settings(max_examples=80, deadline=None)
@given(contents, levels)
def test_what_was_written_is_parsed(data: list[bytes], level: int | None) -> None:
    """Chunks joined, compressed, parsed and split are the same chunks."""
    found = group.decode(group.encode(_chunks(data), level))
    found.check()

    assert [bytes(found.chunk(i)) for i in range(len(data))] == data
    assert found.ids == [chunk_id(one) for one in data]


@settings(max_examples=120, deadline=None)
@given(contents, levels, st.integers(0), st.integers(1, 255))
def test_a_damaged_byte_is_found(data: list[bytes], level: int | None, place: int, flip: int) -> None:
    """No byte of a group can change without being noticed."""
    damaged = bytearray(group.encode(_chunks(data), level))
    damaged[place % len(damaged)] ^= flip

    with pytest.raises(Corrupt):
        group.decode(damaged)


@settings(max_examples=60, deadline=None)
@given(contents, st.integers(0))
def test_a_cut_group_is_found(data: list[bytes], length: int) -> None:
    """Neither less nor more than the whole is accepted."""
    whole = group.encode(_chunks(data), 1)

    with pytest.raises(Corrupt):
        group.decode(whole[: length % len(whole)])
    with pytest.raises(Corrupt):
        group.decode(whole + b"x")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_order(data: bytes) -> None:
    """Garbage is Corrupt, never another error."""
    with pytest.raises(Corrupt):
        group.decode(b"RBGR\x01\0\0\0" + data)


def test_a_false_id_is_named() -> None:
    """A group may be whole and still lie about its chunks."""
    found = group.decode(group.encode([(chunk_id(b"right"), b"right"), (chunk_id(b"other"), b"false")], 1))

    with pytest.raises(Corrupt, match=chunk_id(b"other").hex()):
        found.check()
    assert found.wrong() == [1]


def test_a_compression_bomb_is_not_expanded() -> None:
    """A frame that would grow past what the header says is refused by its own size field."""
    bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    forged = _forged(1, len(bomb), bomb, [(chunk_id(b"x"), len(bomb))])

    with pytest.raises(Corrupt):
        group.decode(forged)


def test_a_bomb_without_a_size_is_not_expanded() -> None:
    """A frame that does not name its size is refused."""
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 20))
    forged = _forged(1, 4 << 20, bomb, [(chunk_id(b"x"), 4 << 20)])

    with pytest.raises(Corrupt):
        group.decode(forged)


@pytest.mark.parametrize(
    ("codec", "raw_bytes", "rows"),
    [
        (0, 4, [(HOLE, 4)]),
        (0, 4, [(b"a" * 32, 0), (b"b" * 32, 4)]),
        (0, 4, [(b"a" * 32, 5)]),
        (0, 5, [(b"a" * 32, 5)]),
        (2, 4, [(b"a" * 32, 4)]),
        (0, 4, []),
        (0, 2**32 - 1, [(b"a" * 32, 2**32 - 1)]),
    ],
)
def test_an_impossible_header_is_refused(codec: int, raw_bytes: int, rows: list[tuple[bytes, int]]) -> None:
    """Right sums do not make a wrong header right."""
    with pytest.raises(Corrupt):
        group.decode(_forged(codec, raw_bytes, b"data", rows))


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    """Random data is not compressed, whatever the level; a level of None never compresses."""
    random = group.encode(_chunks([noise(5000)]), 3)
    plain = group.encode(_chunks([bytes(5000)]), None)

    assert group.read_head(random).codec == group.STORED
    assert group.read_head(plain).codec == group.STORED
    assert group.read_head(group.encode(_chunks([bytes(5000)]), 1)).codec == group.ZSTD


def test_large_chunks_that_do_not_shrink_are_not_copied() -> None:
    """Each is a part of its own; together the parts are the group."""
    chunks = [(chunk_id(data), data) for data in (noise(100_000, 1), noise(50_000, 2))]
    parts = group.encode_parts(chunks, 3)

    assert [parts[1] is chunks[0][1], parts[2] is chunks[1][1], len(parts)] == [True, True, 3]
    assert b"".join(parts) == group.encode(chunks, 3)
    group.decode(b"".join(parts)).check()


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (noise(200_000, 1), group.STORED),
        (bytes(100_000) + noise(100_000, 1), group.ZSTD),
        (noise(90_000, 1) + bytes(110_000), group.ZSTD),
        (noise(10_000, 1) + bytes(15_000), group.ZSTD),
    ],
    ids=["dense", "front", "middle", "too small to be probed"],
)
def test_one_sample_that_shrinks_is_enough(data: bytes, codec: int) -> None:
    """Beside chunks that do not shrink."""
    dense = noise(len(data), 3)
    encoded = group.encode([(chunk_id(dense), dense), (chunk_id(data), data)], 1)

    assert group.read_head(encoded).codec == codec
    group.decode(encoded).check()


def test_the_header_needs_no_payload() -> None:
    """An index can be rebuilt from headers alone."""
    head = group.read_head(group.encode(_chunks([b"a", b"bc"]), 1)[: group.HEAD_BYTES + 2 * group.ROW_BYTES])

    assert (head.ids, head.lengths) == ([chunk_id(b"a"), chunk_id(b"bc")], [1, 2])


@pytest.mark.parametrize(
    "chunks",
    [[], [(b"a" * 32, b"")], [(HOLE, b"x")], [(b"a" * 32, bytes(3 << 20))] * 2, [(b"a" * 32, b"x")] * 5000],
)
def test_a_group_beyond_the_limits_is_not_written(chunks: list[tuple[bytes, bytes]]) -> None:
    """What could not be read back is refused when it is made."""
    with pytest.raises(ValueError, match=r"group|chunk"):
        group.encode(chunks, 1)
