"""What an incremental backup takes for unchanged, and the rows it reads ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestReader, ManifestWriter, Summary
from rubackup.chunkstore.manifest.runs import Piece
from rubackup.client.modules.filesystem.parent import MARGIN_NS, Parent
from rubackup.client.modules.filesystem.rows import Rows
from rubackup.client.ranges import whole
from rubackup.domain.errors import Corrupt

START = 10**18


def entry(name: bytes, **more: int) -> Entry:
    """A file that was last changed long before the parent's start."""
    fields = {"mode": 0o644, "uid": 0, "gid": 0, "size": 5, "mtime_ns": 7, "ctime_ns": 8, "inode": 9, "device": 1}
    return Entry(name=name, type=EntryType.FILE, user="", group="", links=1, **{**fields, **more})


def manifest(*folders: tuple[bytes, list[Entry]], rows: int = 0) -> ManifestReader:
    """A manifest of these folders with so many rows."""
    data = bytearray()
    writer = ManifestWriter(data.extend, Header("r", "", "h", "File system", "/", "full", START, (1, 2, 3, 0)))
    writer.add_rows([(number.to_bytes(32, "big"), number + 1) for number in range(rows)])
    if rows:
        folders = ((b"/", [replace(entry(b"0"), rows=rows)]),)
    for path, entries in folders:
        writer.add_folder(path, entries)
    writer.finish(Summary())
    return ManifestReader(lambda offset, length: bytes(data[offset : offset + length]), len(data))


def unchanged(parent: Parent, now: Entry) -> bool:
    """Whether the parent takes an entry of the folder that it is at for unchanged."""
    record = Piece.of([replace(now, first_row=0, rows=0)]).stats
    return parent.unchanged(now.name, record, now.device) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"size": 6},
        {"mtime_ns": 6},
        {"ctime_ns": 9},
        {"inode": 10},
        {"type": EntryType.FIFO},
        {"mode": 0o600},
        {"uid": 5},
    ],
)
def test_each_change_counts(change: dict[str, int]) -> None:
    """A difference in type, mode, owner, size, mtime, ctime or inode makes a file changed."""
    parent = Parent(manifest((b"/", [entry(b"f")])))
    parent.enter(b"/")

    assert not unchanged(parent, replace(entry(b"f"), **change))


@pytest.mark.parametrize(
    "times",
    [{"mtime_ns": START - MARGIN_NS}, {"ctime_ns": START - MARGIN_NS}, {"ctime_ns": START}, {"mtime_ns": 2 * START}],
)
def test_too_fresh(times: dict[str, int]) -> None:
    """A file changed within two seconds of the parent's start, or after it, is not trusted, alone or with its run."""
    parent = Parent(manifest((b"/", [entry(b"a"), entry(b"f", **times)])))
    parent.enter(b"/")
    assert parent.spot is not None

    assert not unchanged(parent, entry(b"f", **times))
    assert not parent.is_old(parent.spot.run)


def test_just_old_enough() -> None:
    """A file changed just before that is trusted."""
    old = entry(b"f", ctime_ns=START - MARGIN_NS - 1)
    parent = Parent(manifest((b"/", [old])))
    parent.enter(b"/")
    assert parent.spot is not None

    assert unchanged(parent, old)
    assert parent.is_old(parent.spot.run)


def test_devices_up_to_renaming() -> None:
    """Device numbers may all be new, but two that were different, or the same, must still be so."""
    before = [entry(b"a", device=1), entry(b"b", device=1), entry(b"c", device=2), entry(b"d", device=1)]
    parent = Parent(manifest((b"/", before)))
    parent.enter(b"/")
    now = [replace(one, device=device) for one, device in zip(before, [7, 7, 7, 8], strict=True)]

    assert [unchanged(parent, one) for one in now] == [True, True, False, False]


@pytest.mark.parametrize(
    ("pairs", "right"),
    [
        ([(1, 7)], True),
        ([(1, 7), (2, 8)], True),
        ([(1, 7), (2, 7)], False),
        ([(1, 7), (1, 8)], False),
        ([(3, 9)], False),
    ],
)
def test_devices_of_a_whole_run(pairs: list[tuple[int, int]], right: bool) -> None:
    """The same for many entries at once; what does not hold ties nothing."""
    parent = Parent(manifest((b"/", [])))
    assert parent.same_devices([(3, 5)])

    assert parent.same_devices(pairs) is right
    assert parent.same_devices([(1, 7)]) is True


def test_folders_and_names_that_come_and_go() -> None:
    """The cursor finds each name of each folder, whatever either side has more of."""
    parent = Parent(
        manifest(
            (b"/", [entry(b"a"), entry(b"z")]),
            (b"/a", [entry(b"1"), entry(b"3"), entry(b"5")]),
            (b"/a/gone", [entry(b"x")]),
            (b"/b", [entry(b"y")]),
        )
    )
    found = []
    for folder, names in [
        (b"/", [b"0", b"z"]),
        (b"/a", [b"1", b"2", b"5", b"6"]),
        (b"/a/new", [b"x"]),
        (b"/b", [b"x", b"y"]),
        (b"/c", [b"1"]),
    ]:
        parent.enter(folder)
        found += [(folder, name) for name in names if unchanged(parent, entry(name))]

    assert found == [(b"/", b"z"), (b"/a", b"1"), (b"/a", b"5"), (b"/b", b"y")]


def test_a_huge_folder_comes_in_runs() -> None:
    """Each run says where the next begins, and has its own names."""
    names = [b"%05d" % number for number in range(5000)]
    parent = Parent(manifest((b"/", [entry(name) for name in names]), (b"/a", [entry(b"f")])))
    parent.enter(b"/")
    found: list[bytes] = []
    bounds: list[bytes | None] = []
    while parent.spot is not None:
        found += parent.spot.run.names()
        bounds.append(parent.bound)
        parent.leave()

    assert found == names
    assert len(bounds) > 2
    assert [bound for bound in bounds if bound is None] == [None]


def test_rows_are_read_in_windows() -> None:
    """Any range of rows comes whole, in slices no longer than the window, forwards and backwards."""
    rows = Rows(manifest((b"/", []), rows=100), ahead=16)

    def numbers(parts: Iterator[object]) -> list[int]:
        slices = list(parts)
        assert all(len(part) <= 16 for part in slices)  # type: ignore[arg-type]
        return [length - 1 for part in slices for _, length in part]  # type: ignore[attr-defined]

    for first, count in [(0, 5), (5, 40), (90, 10), (3, 4), (0, 100), (99, 1), (50, 0)]:
        assert numbers(rows.read(first, count)) == list(range(first, first + count))


def test_rows_at_once() -> None:
    """Also what begins in one window and ends in the next; of more than a window its begin."""
    rows = Rows(manifest((b"/", []), rows=100), ahead=16)

    for first, count in [(0, 10), (10, 10), (12, 0), (100, 0), (40, 20), (3, 4), (99, 1)]:
        found = [length - 1 for _, length in rows.at_once(first, count)]
        assert found == list(range(first, first + min(count, 16)))
    for first, count in [(100, 1), (-1, 1)]:
        with pytest.raises(Corrupt):
            rows.at_once(first, count)


@pytest.mark.parametrize(("first", "count"), [(100, 1), (95, 6), (-1, 1), (10**9, 5)])
def test_rows_that_are_not_there(first: int, count: int) -> None:
    """Rows beyond the table are damage."""
    rows = Rows(manifest((b"/", []), rows=100), ahead=16)

    with pytest.raises(Corrupt):
        list(rows.read(first, count))


def test_whole() -> None:
    """A channel that gives less than it is asked for is asked again, until its end."""
    data = bytes(range(100))
    read = whole(lambda offset, length: data[offset : offset + min(length, 7)])

    assert read(10, 50) == data[10:60]
    assert read(90, 50) == data[90:]
