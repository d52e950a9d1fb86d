"""Packs: written, listed, scanned, damaged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.identity import chunk_id
from rubackup.domain.errors import Corrupt

NAME = b"n" * 16
HEADER = pack.PackHeader(b"p" * 16, NAME, "client")


def _groups(count: int) -> list[bytes]:
    return [group.encode([(chunk_id(b"%d" % i), b"%d" % i)], 1) for i in range(count)]


def _written(count: int, *, close: bool = True) -> MemoryBackend:
    backend = MemoryBackend()
    writer = pack.PackWriter(backend, HEADER)
    for data in _groups(count):
        writer.add(data, 1)
    if close:
        writer.close()
    return backend


@pytest.mark.parametrize("count", [1, 2, 50])
def test_what_was_written_is_listed(count: int) -> None:
    """Trailer, headers and a scan agree on the groups of a closed pack."""
    backend = _written(count)
    name = pack.closed_name(NAME)
    extents = pack.read_extents(backend, name)

    assert [backend.read(name, e.offset, e.length) for e in extents] == _groups(count)
    assert [head.ids for _, head in pack.read_heads(backend, name, extents)] == [
        [chunk_id(b"%d" % i)] for i in range(count)
    ]
    assert [extent for extent, _ in pack.scan(backend, name)] == extents
    assert pack.parse_header(backend.read(name, 0, pack.HEADER_BYTES)) == HEADER


@settings(max_examples=100, deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_a_damaged_byte_is_found_or_in_one_group(place: int, flip: int) -> None:
    """A damaged byte is noticed by the trailer's sum, or by the sums of the one group it is in."""
    backend = _written(5)
    name = pack.closed_name(NAME)
    data = backend.files[name].data
    data[place % len(data)] ^= flip

    try:
        extents = pack.read_extents(backend, name)
    except Corrupt:
        assert len(list(pack.scan(backend, name))) >= 4 or place % len(data) < pack.HEADER_BYTES
        return
    bad = 0
    for extent in extents:
        try:
            group.check_stored(backend.read(name, extent.offset, extent.length))
        except Corrupt:
            bad += 1
    assert bad == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0))
def test_a_torn_pack_is_closed_behind_its_last_whole_group(length: int) -> None:
    """Whatever is left of an open pack, its whole groups become a pack that is as good as any."""
    backend = _written(4, close=False)
    file = backend.files[pack.open_name(NAME)]
    del file.data[max(pack.HEADER_BYTES, length % len(file.data)) :]
    groups = list(pack.scan(backend, pack.open_name(NAME)))
    if groups:
        pack.finish(backend, NAME, [extent for extent, _ in groups])

        assert pack.read_extents(backend, pack.closed_name(NAME)) == [extent for extent, _ in groups]
        assert backend.files[pack.closed_name(NAME)].named


def test_a_failed_write_leaves_no_torn_tail() -> None:
    """When there is no room the pack ends behind its last whole group."""
    backend = _written(2, close=False)
    writer = pack.PackWriter(backend, HEADER._replace(pack=b"m" * 16))
    writer.add(_groups(1)[0], 1)
    backend.capacity_bytes = sum(len(f.data) for f in backend.files.values()) + 10
    before = backend.size(pack.open_name(b"m" * 16))

    with pytest.raises(Exception, match="no room"):
        writer.add(_groups(1)[0], 1)
    assert backend.size(pack.open_name(b"m" * 16)) == before == writer.size_bytes


def test_an_owner_that_does_not_fit_is_refused() -> None:
    """The header has 64 bytes for it."""
    with pytest.raises(ValueError, match="owner"):
        pack.PackWriter(MemoryBackend(), HEADER._replace(owner="x" * 65))


@pytest.mark.parametrize("at", [0, 8, 16, 60, 90, -1], ids=["magic", "count", "length", "sum", "row", "payload"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_group_hides_none_behind_it(number: int, at: int) -> None:
    """The others are found, and a pack that is closed then lists the gap as a group without chunks."""
    backend = _written(5, close=False)
    extents = _extents(_groups(5))
    one = extents[number]
    backend.files[pack.open_name(NAME)].data[one.offset + at % one.length] ^= 1
    found = [extent for extent, _ in pack.scan(backend, pack.open_name(NAME))]
    assert found == [*extents[:number], *extents[number + 1 :]]
    pack.finish(backend, NAME, found)
    name = pack.closed_name(NAME)

    listed = pack.read_extents(backend, name)
    assert listed[number] == pack.Extent(one.offset, one.length, 0, bytes(32))
    assert [extent for extent, _ in pack.read_heads(backend, name, listed)] == found


def _extents(groups: list[bytes]) -> list[pack.Extent]:
    found, offset = [], pack.HEADER_BYTES
    for data in groups:
        found.append(pack.Extent(offset, len(data), 1, group.head_sum(data)))
        offset += len(data)
    return found


def _pack_of(groups: list[bytes]) -> MemoryBackend:
    backend = MemoryBackend()
    writer = pack.PackWriter(backend, HEADER)
    for data in groups:
        writer.add(data, 1)
    return backend


def test_a_group_within_a_file_is_not_taken_for_one_of_the_pack() -> None:
    """A client may store what looks like a group and gives another's chunk a false content."""
    false = group.encode([(chunk_id(b"wanted"), b"poison")], None)
    outer = group.encode([(chunk_id(false), false)], None)
    groups = [*_groups(1), outer, *_groups(2)[1:]]
    backend = _pack_of(groups)
    extents = _extents(groups)
    backend.files[pack.open_name(NAME)].data[extents[1].offset] ^= 1

    assert [extent for extent, _ in pack.scan(backend, pack.open_name(NAME))] == [extents[0], extents[2]]


def test_a_search_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that looks like groups again and again costs no more than the bound."""
    looks = b"".join(_groups(1)[0][:84] for _ in range(2000))
    groups = [group.encode([(chunk_id(looks), looks)], None), *_groups(1)]
    backend = _pack_of(groups)
    backend.files[pack.open_name(NAME)].data[pack.HEADER_BYTES] ^= 1
    read = 0
    real = backend.read

    def counted(name: str, offset: int, length: int) -> bytes:
        nonlocal read
        read += length
        return real(name, offset, length)

    backend.read = counted
    assert [extent for extent, _ in pack.scan(backend, pack.open_name(NAME))] == _extents(groups)[1:]
    monkeypatch.setattr(pack, "SEARCH_BYTES", 20_000)
    monkeypatch.setattr(pack, "_WINDOW_BYTES", 100)
    read = 0

    assert list(pack.scan(backend, pack.open_name(NAME))) == []
    assert read < 100_000
