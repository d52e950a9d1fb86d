"""Manifests: written, read in any order, damaged, hostile."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestReader, ManifestWriter, Summary, cuts
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.check import check_manifest
from rubackup.chunkstore.manifest.rewrite import rewrite_manifest
from rubackup.domain.errors import Corrupt, Invalid, NotFound
from support.chunkstore import entry

HEADER = Header("ab" * 16, "", "00000000000000aa", "File system", "/home", "full", 7, (1, 2, 3, 0))
SUMMARY = Summary(files=3, folders=2, size_bytes=99)
Folders = list[tuple[bytes, list[Entry]]]


class Counting:
    """Reads ranges of bytes and counts the calls."""

    def __init__(self, data: bytes) -> None:
        self.data, self.calls = data, 0

    def __call__(self, offset: int, length: int) -> bytes:
        self.calls += 1
        return self.data[offset : offset + length]


def write(folders: Folders, rows: list[tuple[bytes, int]] | None = None, header: Header = HEADER, **more) -> bytes:
    """A manifest of these folders; the rows are those of the first entry of all, or of one called 0 in the root."""
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, header, **more)
    if rows:
        writer.add_rows(rows)
        folders = [list(folder) for folder in folders]
        at = next((i for i, folder in enumerate(folders) if folder[1]), 0)
        first = folders[at][1][0] if folders[at][1] else entry("0")
        folders[at][1] = [msgspec.structs.replace(first, rows=len(rows)), *folders[at][1][1:]]
    for path, entries in folders:
        writer.add_folder(path, entries)
    writer.finish(SUMMARY)
    return b"".join(parts)


def reader(data: bytes) -> ManifestReader:
    """A reader of these bytes."""
    return ManifestReader(Counting(data), len(data))


def listed(manifest: ManifestReader) -> dict[bytes, list[Entry]]:
    """All folders, parts joined."""
    found: dict[bytes, list[Entry]] = {}
    for path, entries in manifest.folders():
        found.setdefault(path, []).extend(entries)
    return found


def many_rows(count: int) -> list[tuple[bytes, int]]:
    """Rows that are all different."""
    return [(i.to_bytes(32, "big"), i) for i in range(1, count + 1)]


names = st.binary(min_size=1, max_size=12).filter(lambda b: not set(b) & set(b"/\0") and b not in {b".", b".."})
paths = st.lists(names, max_size=4).map(lambda parts: b"/" + b"/".join(parts))


@st.composite
def trees(draw: Callable) -> Folders:
    """Some folders with all that are above them, in order, with some entries."""
    wanted = {b"/"}
    for path in draw(st.lists(paths, max_size=6)):
        parts = path.split(b"/")
        wanted.update(b"/".join(parts[: i + 1]) for i in range(1, len(parts)) if parts[1])
    found: Folders = []
    for path in sorted(wanted, key=fmt.folder_key):
        some = sorted(draw(st.sets(names, max_size=5)))
        found.append((path, [entry(name, size=draw(st.integers(0, 2**60))) for name in some]))
    return found


@settings(max_examples=80, deadline=None)
@given(trees())
def test_what_was_written_is_read(folders: Folders) -> None:
    """Every folder and entry is read back, in order, one by one and listed."""
    manifest = reader(write(folders))
    manifest.verify()

    assert list(listed(manifest).items()) == folders
    for path, entries in folders:
        assert manifest.folder(path, 0, 100) == (entries, len(entries))
        for one in entries:
            assert manifest.find(path.rstrip(b"/") + b"/" + one.name) == one
    assert (manifest.header, manifest.summary) == (HEADER, SUMMARY)


def test_every_field_of_an_entry_survives() -> None:
    """What is recorded of a file comes back to the nanosecond."""
    one = entry(
        b"\xff\xfe name", size=2**40, mtime_ns=-1, ctime_ns=2**62, rdev=77, target=b"../x", hardlink=b"/first",
        xattrs=[(b"user.a", bytes(range(256))), (b"system.posix_acl_access", b"")], links=9,
    )  # fmt: skip

    assert reader(write([(b"/", [one])])).find(b"/" + one.name) == one


def test_a_large_copy_costs_few_reads() -> None:
    """A folder, an entry or a row is found in two or three reads beside the two of opening."""
    folders: Folders = [(b"/", [entry(b"d%05d" % i, kind=EntryType.FOLDER) for i in range(20_000)])]
    folders += [(b"/d%05d" % i, [entry(b"f%d" % k) for k in range(4)]) for i in range(20_000)]
    data = write(folders, many_rows(20_000))
    counting = Counting(data)
    costs = []
    for act in (
        lambda m: m.find(b"/d15000/f2") or pytest.fail("not found"),
        lambda m: m.folder(b"/d07777", 0, 10),
        lambda m: m.folder(b"/", 19_000, 100),
        lambda m: m.rows(17_000, 1),
    ):
        manifest = ManifestReader(counting, len(data))
        before = counting.calls
        act(manifest)
        costs.append(counting.calls - before)

    assert max(costs[:2]) <= 3
    assert costs[2] <= 6  # also the block with the folder's last entry, for the total
    assert costs[3] <= 2


def test_pages_of_a_huge_folder_are_exact() -> None:
    """Any page of a folder that spans many blocks has the right entries and total."""
    entries = [entry(b"%06d" % i) for i in range(5000)]
    manifest = reader(write([(b"/", entries[:1700]), (b"/", entries[1700:]), (b"/a", []), (b"/b", [entry("x")])]))
    manifest.verify()

    for offset in (0, 1, 699, 1700, 4990, 5000, 9000):
        assert manifest.folder(b"/", offset, 25) == (entries[offset : offset + 25], 5000)
    assert manifest.folder(b"/a", 0, 5) == ([], 0)
    assert manifest.folder(b"/b", 0, 5)[1] == 1


def test_many_empty_and_deep_folders_are_found() -> None:
    """Blocks that hold only folders without entries are indexed like others; paths may be long."""
    deep = b"".join(b"/" + b"x" * 200 for _ in range(40))
    parts = [deep[: 201 * i] for i in range(1, 41)]
    folders: Folders = [(b"/", [])] + [(b"/%05d" % i, []) for i in range(6000)] + [(p, []) for p in parts]
    manifest = reader(write(folders))
    manifest.verify()

    assert len(listed(manifest)) == len(folders)
    assert manifest.folder(b"/05999", 0, 1) == ([], 0)
    assert manifest.folder(deep, 0, 1) == ([], 0)


def test_paths_of_60_kib_are_written_checked_and_found() -> None:
    """A tree 1,200 folders deep is a manifest that the check accepts and the reader finds its way in."""
    paths = [b"/"]
    for number in range(1200):
        paths.append(paths[-1].rstrip(b"/") + b"/" + b"%04d" % number + b"x" * 46)
    names = [path.rpartition(b"/")[2] for path in paths[1:]]
    data = write([(path, [entry(name, kind=EntryType.FOLDER)]) for path, name in zip(paths[:-1], names, strict=True)])

    check_manifest(lambda offset, length: data[offset : offset + length], len(data), lambda _rows: None)
    found = reader(data).find(paths[-1])

    assert found is not None
    assert found.name == names[-1]


def test_what_is_not_there_is_not_found() -> None:
    """An unknown folder is NotFound, an unknown entry and the root are None."""
    manifest = reader(write([(b"/", [entry("a", kind=EntryType.FOLDER), entry("c")]), (b"/a", [entry("x")])]))

    for path in (b"/b", b"/a/y", b"/a/w", b"/zz", b"/a/x/y", b"/", b"/a/"):
        assert manifest.find(path) is None
    for path in (b"/b", b"/a/x", b"/zz"):
        with pytest.raises(NotFound):
            manifest.folder(path, 0, 1)


@pytest.mark.parametrize("count", [0, 1, 1819, 1820, 1821, 3640, 10_000])
def test_rows_are_found_by_number(count: int) -> None:
    """Any range of the chunk table is what was written."""
    rows = many_rows(count)
    manifest = reader(write([(b"/", [])], rows))
    manifest.verify()

    assert manifest.row_count == count
    assert manifest.rows(0, count) == rows
    for first in range(0, count, 977):
        assert manifest.rows(first, min(5, count - first)) == rows[first : first + 5]
    with pytest.raises(Corrupt):
        manifest.rows(count, 1)


def test_rows_and_folders_interleave() -> None:
    """Rows are numbered over the whole copy, however calls are mixed; holes do not count as bytes."""
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, HEADER)
    expected: list[tuple[bytes, int]] = []
    writer.add_folder(b"/", [])
    for i in range(300):
        rows = [(bytes([i % 255 + 1]) * 32, 10)] * (i % 23) + [(HOLE, 1000)]
        first = writer.add_rows(rows)
        assert first == len(expected)
        expected += rows
        writer.add_folder(b"/%03d" % i, [entry("f", first_row=first, rows=len(rows))])
    writer.finish(SUMMARY)
    manifest = reader(b"".join(parts))
    manifest.verify()

    assert manifest.rows(0, manifest.row_count) == expected
    assert manifest.row_bytes == sum(length for name, length in expected if name != HOLE)


def test_writing_takes_bounded_memory() -> None:
    """The writer hands everything on: what it keeps does not grow with the copy."""
    sizes: list[int] = []
    writer = ManifestWriter(lambda data: sizes.append(len(data)), HEADER)
    for i in range(400):
        first = writer.add_rows(many_rows(100))
        entries = [entry(b"%04d" % k, first_row=first + k, rows=1) for k in range(100)]
        writer.add_folder(b"/%04d" % i if i else b"/", entries)
        assert writer._weight <= cuts.MAX_WEIGHT
        assert len(writer._rows) < fmt.SEGMENT_ROWS * fmt.ROW.size

    assert sum(sizes) > 1_000_000


def test_a_large_file_is_not_held() -> None:
    """Rows of one file go out long before its entry comes, and are found by number afterwards."""
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, HEADER)
    writer.add_folder(b"/", [entry("a", rows=writer.add_rows(many_rows(1)) + 1)])
    for _ in range(10):
        writer.add_rows(many_rows(10_000))
        assert len(writer._waiting) + len(writer._rows) < 2 << 20
    writer.add_folder(b"/", [entry("big", first_row=1, rows=100_000), entry("c")])
    writer.finish(SUMMARY)
    manifest = reader(b"".join(parts))
    manifest.verify()

    assert manifest.rows(90_001, 10_000) == many_rows(10_000)
    assert [one.first_row for one in manifest.folder(b"/", 0, 9)[0]] == [0, 1, 100_001]


@pytest.mark.parametrize("rows", [0, 2, 4])
def test_rows_belong_to_entries(rows: int) -> None:
    """Rows that no entry names, or more than were added, are refused by the writer."""
    writer = ManifestWriter(lambda data: None, HEADER)
    writer.add_rows(many_rows(3))

    def end() -> None:
        writer.add_folder(b"/", [entry("a", rows=rows)])
        writer.finish(SUMMARY)

    with pytest.raises(Invalid):
        end()


@settings(max_examples=150, deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_a_damaged_byte_is_found(place: int, flip: int) -> None:
    """No byte of a manifest can change without being noticed, and reading never fails in another way."""
    data = bytearray(write([(b"/", [entry("a"), entry("d", kind=EntryType.FOLDER)]), (b"/d", [])], many_rows(5)))
    data[place % len(data)] ^= flip

    with pytest.raises((Corrupt, Invalid)):
        reader(bytes(data)).verify()


@settings(max_examples=60, deadline=None)
@given(st.integers(0))
def test_a_cut_manifest_is_found(length: int) -> None:
    """A manifest without its end is no manifest."""
    data = write([(b"/", [entry("a")])], many_rows(5))

    with pytest.raises(Corrupt):
        reader(data[: length % len(data)])


@pytest.mark.parametrize(
    "folders",
    [
        [(b"/", [entry("b"), entry("a")])],
        [(b"/", [entry("a"), entry("a")])],
        [(b"/", [entry("..")])],
        [(b"/", [entry("a/b")])],
        [(b"/", [entry(b"a\0")])],
        [(b"/", [entry(b"")])],
        [(b"/b", []), (b"/a", [])],
        [(b"/a", []), (b"/", [])],
        [(b"relative", [])],
        [(b"/a//b", [])],
        [(b"/a/../b", [])],
        [(b"/a/", [])],
        [(b"/", [entry("a", xattrs=[(b"user.x", bytes(3 << 20))])])],
    ],
)
def test_a_wrong_order_or_name_is_not_written(folders: Folders) -> None:
    """The writer refuses what the pool would refuse."""
    with pytest.raises(Invalid):
        write(folders)


def rewritten(data: bytes, **changes: str) -> bytes:
    """The manifest with another header."""
    parts: list[bytes] = []
    rewrite_manifest(Counting(data), len(data), lambda old: msgspec.structs.replace(old, **changes), parts.append)
    return b"".join(parts)


@given(trees(), st.integers(0, 5000), st.sampled_from(["", "cd" * 16]))
@settings(max_examples=30, deadline=None)
def test_a_rewritten_manifest_says_the_same_under_another_header(folders: Folders, count: int, parent: str) -> None:
    """With the old header it is the old one byte for byte; with a longer one it is whole, and reads the same."""
    data = write(folders, many_rows(count))
    other = rewritten(data, record="ef" * 16, parent=parent)

    assert rewritten(data) == data
    header, _ = check_manifest(Counting(other), len(other), lambda _: None)
    assert (header.record, header.parent) == ("ef" * 16, parent)
    assert listed(reader(other)) == listed(reader(data))
    assert reader(other).rows(0, count) == many_rows(count)


def test_a_large_manifest_is_rewritten_with_all_levels_of_its_index() -> None:
    """Several index frames, each naming where its blocks lie now."""
    folders: Folders = [(b"/", [entry(b"d")])]
    folders += [(b"/d", [entry(f"{i:04}" * 1000) for i in range(4000)])]
    data = write(folders, many_rows(4000))
    other = rewritten(data, parent="cd" * 16)

    manifest = reader(other)
    assert manifest._trailer.levels > 1
    assert listed(manifest) == listed(reader(data))
    found = manifest.find(b"/d/" + b"3999" * 1000)
    assert found is not None
    assert check_manifest(Counting(other), len(other), lambda _: None)[1].entries == 4001


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_damaged_manifest_is_not_rewritten(at: float) -> None:
    """Every frame's sum is checked on the way."""
    data = bytearray(write([(b"/", [entry(f"{i:05}") for i in range(2000)])], many_rows(3000)))
    data[int(len(data) * at)] ^= 1
    with pytest.raises(Corrupt):
        rewritten(bytes(data))
