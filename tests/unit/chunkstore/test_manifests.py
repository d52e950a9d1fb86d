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
from rubackup.chunkstore.manifest.rebuild import rebuild_tail
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
    """A manifest of these folders; the rows are those of the first file, or of one called 0 in the root."""
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, header, **more)
    if rows:
        writer.add_rows(rows)
        folders = [(path, list(entries)) for path, entries in folders]
        files = [
            (f, i) for f, (_, some) in enumerate(folders) for i, one in enumerate(some) if one.type == EntryType.FILE
        ]
        if not files:
            folders[0][1].insert(0, entry("0"))
        at, which = files[0] if files else (0, 0)
        folders[at][1][which] = msgspec.structs.replace(folders[at][1][which], rows=len(rows))
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

    check_manifest(lambda offset, length: data[offset : offset + length], len(data), lambda _rows, _known: None)
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
    header, _ = check_manifest(Counting(other), len(other), lambda _rows, _known: None)
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
    assert check_manifest(Counting(other), len(other), lambda _rows, _known: None)[1].entries == 4001


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_damaged_manifest_is_not_rewritten(at: float) -> None:
    """Every frame's sum is checked on the way."""
    data = bytearray(write([(b"/", [entry(f"{i:05}") for i in range(2000)])], many_rows(3000)))
    data[int(len(data) * at)] ^= 1
    with pytest.raises(Corrupt):
        rewritten(bytes(data))


# --- segments ---


def many_folders(count: int, entries: int = 20) -> Folders:
    """A tree of one level with some files in each folder."""
    names = [b"d%04d" % i for i in range(count)]
    folders: Folders = [(b"/", [entry(name, kind=EntryType.FOLDER) for name in names])]
    return folders + [(b"/" + name, [entry(b"%03d" % k, size=k) for k in range(entries)]) for name in names]


def segments(data: bytes) -> list[bytes]:
    """The segments of a manifest as they are stored."""
    return [data[row.offset : row.end] for row in reader(data).segments()]


def test_unchanged_parts_keep_their_segments() -> None:
    """A folder that is added, or gone, changes the segment that it is in, and little beside it."""
    folders = many_folders(600)
    before = segments(write(folders))
    without = [folder for folder in folders[1:] if folder[0] != b"/d0300"]
    after = segments(write([folders[0], *without]))

    assert len(before) > 8
    assert len(set(before) - set(after)) <= 3


def test_metadata_moves_no_cut() -> None:
    """Where segments are cut depends on names alone."""
    folders = many_folders(300)
    other = [
        (
            path,
            [msgspec.structs.replace(one, size=one.size + 1, mtime_ns=99, xattrs=[(b"user.a", b"b")]) for one in some],
        )
        for path, some in folders
    ]

    firsts = [[runs[0].path for _, _, runs in reader(write(tree)).runs()] for tree in (folders, other)]
    assert firsts[0] == firsts[1]


def test_segments_are_of_a_good_size() -> None:
    """Some hundred entries and more, and never more than bounds allow."""
    for folders in (
        many_folders(2000, 3),
        many_folders(200, 60),
        [(b"/", [entry(b"%06d" % i) for i in range(20_000)])],
    ):
        found = [sum(run.count for run in runs) for _, _, runs in reader(write(folders)).runs()]
        assert 300 < sum(found) / len(found) < 3000
        assert max(found) < 6000


def test_segments_of_another_manifest_are_taken_over() -> None:
    """A manifest made of another's segments, and of some new folders, passes the check and reads like that."""
    folders = many_folders(300)
    old = reader(write(folders))
    data = bytearray()
    writer = ManifestWriter(data.extend, HEADER)
    for _, row, runs in old.runs():
        writer.copy_segment(row, runs[0], runs[-1])
        data += old._read_at(row.offset, row.end - row.offset)
    writer.add_folder(b"/new", [entry("f")])
    writer.finish(SUMMARY)
    manifest = reader(bytes(data))
    manifest.verify()

    assert list(listed(manifest).items()) == [*folders, (b"/new", [entry("f")])]


def test_runs_of_another_manifest_are_taken_over() -> None:
    """Run by run as well, beside entries of the same folder that are new."""
    folders: Folders = [(b"/", [entry(b"%05d" % i, xattrs=[(b"a", b"b")] if i == 7 else []) for i in range(3000)])]
    old = reader(write(folders))
    data = bytearray()
    writer = ManifestWriter(data.extend, HEADER)
    writer.add_folder(b"/", [entry(b"0000", device=9)])
    for _, _, runs in old.runs():
        for run in runs:
            writer.add_run(b"/", run)
    writer.add_folder(b"/", [entry(b"x")])
    writer.finish(SUMMARY)
    manifest = reader(bytes(data))
    manifest.verify()

    assert listed(manifest)[b"/"] == [entry(b"0000", device=9), *folders[0][1], entry(b"x")]


# --- encryption ---


class Xor:
    """A cipher that only tests may have."""

    number = 7

    def seal(self, kind: bytes, raw: bytes) -> bytes:
        return kind + bytes(byte ^ 0x5A for byte in raw)

    def open(self, kind: bytes, data: bytes) -> bytes:
        if bytes(data[:1]) != kind:
            raise Corrupt("The key does not fit.")
        return bytes(byte ^ 0x5A for byte in data[1:])


SECRET = msgspec.structs.replace(HEADER, key_id="k1")


def test_an_encrypted_manifest_shows_no_names() -> None:
    """With the key it reads like any other; without it rows and sums can be had, and are checked, but no name."""
    folders = many_folders(200)
    data = write(folders, many_rows(4000), SECRET, cipher=Xor())
    manifest = ManifestReader(Counting(data), len(data), Xor())
    manifest.verify()
    blind = reader(data)
    blind.verify()

    assert [path for path, _ in manifest.folders()] == [path for path, _ in folders]
    assert b"d0001" not in data
    assert blind.rows(0, 4000) == many_rows(4000)
    for act in (lambda: blind.find(b"/d0001/001"), lambda: blind.folder(b"/", 0, 1), lambda: list(blind.folders())):
        with pytest.raises(Invalid, match="encrypted"):
            act()
    assert rewritten(data, record="ef" * 16, parent="cd" * 16)[200:] == data[200:]


@pytest.mark.parametrize(("header", "cipher"), [(SECRET, None), (HEADER, Xor())])
def test_a_key_and_a_cipher_belong_together(header: Header, cipher: Xor | None) -> None:
    """A manifest is never half encrypted."""
    with pytest.raises(Invalid):
        write(many_folders(1), None, header, cipher=cipher)


def test_a_clear_frame_in_an_encrypted_manifest_is_refused() -> None:
    """The check holds every frame that names files to what the header says."""
    clear = write(many_folders(3))
    lies = clear[: len(fmt.MAGIC)] + fmt.pack_frame(b"H", fmt.encode_header(SECRET), level=None)
    shift = len(lies) - reader(clear).segment(0).offset
    body = clear[len(lies) - shift :]

    with pytest.raises((Invalid, Corrupt)):
        check_manifest(Counting(lies + body), len(lies + body), lambda _rows, _known: None)


# --- rebuilding ---


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("back", [1, 20, 100, 500])
def test_a_damaged_tail_is_made_anew(back: int, secret: bool) -> None:
    """Table, index, trailer or footer: the manifest is the same again."""
    data = write(many_folders(300), many_rows(3000), SECRET if secret else HEADER, cipher=Xor() if secret else None)
    spoilt = bytearray(data)
    spoilt[-back] ^= 0x55
    found = bytearray()
    done = rebuild_tail(Counting(bytes(spoilt)), len(spoilt), found.extend, Xor() if secret else None)

    if done.summary == SUMMARY:
        assert bytes(found) == data
    else:  # the trailer was what is damaged
        ManifestReader(Counting(bytes(found)), len(found), Xor() if secret else None).verify()
        assert (done.summary.files, done.summary.folders) == (6000, 300)


def test_a_cut_off_tail_is_made_anew() -> None:
    """Also when nothing of it is left."""
    data = write(many_folders(300))
    end = reader(data)._trailer.segments_at
    found = bytearray()
    done = rebuild_tail(Counting(data[:end]), end, found.extend)

    assert done.damaged == []
    assert listed(reader(bytes(found))) == listed(reader(data))


@pytest.mark.parametrize("where", [0.0, 0.3, 0.9])
def test_a_damaged_segment_is_left_out_and_named(where: float) -> None:
    """All others are kept, and can be listed."""
    data = bytearray(write(many_folders(300), many_rows(3000)))
    rows = list(reader(bytes(data)).segments())
    bad = rows[int(where * len(rows))]
    data[bad.entries_at + bad.length // 2] ^= 1
    found = bytearray()
    done = rebuild_tail(Counting(bytes(data)), len(data), found.extend)
    manifest = reader(bytes(found))

    assert len(done.damaged) >= 1
    assert manifest.segment_count == len(rows) - 1
    assert sum(row.entries for row in manifest.segments()) == sum(row.entries for row in rows) - bad.entries
    assert len(list(manifest.folders())) > 200


def test_without_its_header_nothing_is_made() -> None:
    """Whose copy it is cannot be guessed."""
    data = bytearray(write(many_folders(2)))
    data[70] ^= 1

    with pytest.raises(Corrupt):
        rebuild_tail(Counting(bytes(data)), len(data), lambda _: None)
