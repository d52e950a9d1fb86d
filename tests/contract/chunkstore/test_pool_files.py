"""Single files of records: any range, byte for byte, out of what it needs and no more."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import file as files
from rubackup.chunkstore import pack
from rubackup.chunkstore.manifest import EntryType, ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Corrupt, Invalid, NotFound
from support.chunkstore import Client, Place, begin, entry, noise, record_id

BIG = noise(60_000)
HOLE = (bytes(32), 5_000)


def _pool(place: Place) -> Pool:
    """A record with a sparse file, further names of it, and what is no regular file."""
    pool = place.open()
    client = Client(group_bytes=20_000)
    session = begin(pool, 1)
    chunks = client.chunks(BIG)
    client.send(session, chunks)
    writer = ManifestWriter(session.put_manifest, client.header(session.record))
    rows = [(name, len(data)) for name, data in chunks]
    rows[3:3] = [HOLE, HOLE]
    first, again = writer.add_rows(rows), writer.add_rows(rows)
    writer.add_folder(
        b"/",
        [
            entry("empty"),
            entry("folder", kind=EntryType.FOLDER),
            entry("link", kind=EntryType.SYMLINK, target=b"sparse"),
            entry("pipe", kind=EntryType.FIFO),
            entry("sparse", size=70_000, first_row=first, rows=len(rows)),
            entry("too", size=70_000, hardlink=b"/sparse", links=2),
            entry(b"\xff", size=70_000, first_row=again, rows=len(rows)),
        ],
    )
    writer.add_folder(b"/folder", [])
    writer.finish(Summary(files=7, size_bytes=1))
    session.seal(7, 0, 1)
    return pool


def _content() -> bytes:
    cut = sum(len(data) for _, data in Client().chunks(BIG)[:3])
    return BIG[:cut] + bytes(10_000) + BIG[cut:]


@pytest.fixture
def pool(place: Place) -> Pool:
    """See `_pool`."""
    return _pool(place)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(offset=st.integers(0, 72_000), length=st.integers(0, 72_000))
def test_any_range_is_what_the_file_held(pool: Pool, offset: int, length: int) -> None:
    """Across chunks, groups and holes, cut at the end."""
    assert pool.file(record_id(1), b"/sparse").read(offset, length) == _content()[offset : offset + length]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(0, 72_000), length=st.integers(0, 72_000))
def test_a_hole_at_the_end_of_a_range_is_told(pool: Pool, offset: int, length: int) -> None:
    """What is given begins as the file does there, goes at least to the end of the range, and ends in no zeros of a hole."""
    data, hole = pool.file(record_id(1), b"/sparse").read_to_hole(offset, length)
    content = _content()

    assert data + bytes(hole) == content[offset : offset + len(data) + hole]
    assert len(data) + hole >= min(length, max(0, len(content) - offset))
    assert len(data) <= length
    assert hole == 0 or content[offset + len(data) :].startswith(bytes(hole))
    assert not data or not _is_hole(offset + len(data) - 1)


def _is_hole(at: int) -> bool:
    cut = sum(len(data) for _, data in Client().chunks(BIG)[:3])
    return cut <= at < cut + 10_000


def test_a_file_of_holes_is_read_in_a_few_calls(place: Place) -> None:
    """However large: no byte of a hole is made, and the data before, between and behind are as they were."""
    pool = place.open()
    client = Client()
    session = begin(pool, 1)
    (before, *_), (behind, *_) = client.chunks(b"before"), client.chunks(b"behind")
    client.send(session, [before, behind])
    writer = ManifestWriter(session.put_manifest, client.header(session.record))
    one, two = [(name, len(data)) for name, data in (before, behind)]
    gap = (bytes(32), 1 << 30)
    rows = [gap, one, gap, gap, (bytes(32), 5), two, gap]
    size = sum(length for _, length in rows)
    writer.add_folder(b"/", [entry("big", size=size, first_row=writer.add_rows(rows), rows=len(rows))])
    writer.finish(Summary(files=1, size_bytes=size))
    session.seal(1, 0, size)
    file, at, parts = pool.file(record_id(1), b"/big"), 0, []
    while at < size:
        parts.append(file.read_to_hole(at, 1 << 20))
        at += len(parts[-1][0]) + parts[-1][1]

    assert at == file.size_bytes == size
    assert parts == [
        (b"", 1 << 30),
        (b"before", 1 << 30),
        (b"", 1 << 30),
        (bytes(5) + b"behind", 1 << 30),
    ]


def test_blocks_of_a_long_chunk_table_are_found(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An offset deep in a file costs the block of rows that it lies in."""
    monkeypatch.setattr(files, "_BLOCK_ROWS", 2)
    file = pool.file(record_id(1), b"/sparse")

    assert len(file._starts) > 5
    assert all(file.read(at, 777) == _content()[at : at + 777] for at in range(0, file.size_bytes + 999, 1_111))


def test_the_tag_is_that_of_the_content(pool: Pool) -> None:
    """All names of a file have the same; size and tag do not hang on the metadata."""
    one, two, three = (pool.file(record_id(1), path) for path in (b"/sparse", b"/too", b"/\xff"))
    empty = pool.file(record_id(1), b"/empty")

    assert one.tag == two.tag == three.tag != empty.tag
    assert (one.size_bytes, empty.size_bytes) == (70_000, 0)
    assert two.read(0, 70_000) == _content()
    assert empty.read(0, 10) == b""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"/", "a folder"),
        (b"/folder", "a folder"),
        (b"/link", "a symbolic link"),
        (b"/pipe", "a pipe"),
        (b"/folder/none", "no file"),
        (b"/none/none", "no file"),
    ],
)
def test_what_is_no_file_is_named(pool: Pool, path: bytes, why: str) -> None:
    """NotFound says what there is instead."""
    with pytest.raises(NotFound, match=why):
        pool.file(record_id(1), path)


def test_reads_are_bounded(pool: Pool) -> None:
    """One read gives at most 4 MiB."""
    file = pool.file(record_id(1), b"/sparse")
    for offset, length in ((-1, 1), (0, -1), (0, files.MAX_READ + 1)):
        with pytest.raises(Invalid):
            file.read(offset, length)
        with pytest.raises(Invalid):
            file.read_to_hole(offset, length)


def test_damage_is_never_given_out(place: Place) -> None:
    """The parts before it can be read; the part with it is Corrupt and names the pack."""
    pool = _pool(place)
    name = next(name for name in place.memory().files if name.endswith(".pack"))
    last = pack.read_extents(place.memory(), name)[-1]
    place.memory().files[name].data[last.offset + last.length - 1] ^= 1
    file = pool.file(record_id(1), b"/sparse")

    assert file.read(0, 5_000) == BIG[:5_000]
    with pytest.raises(Corrupt, match=f"{name} is damaged at offset {last.offset}"):
        file.read(65_000, 5_000)
