"""What an incremental backup takes for unchanged, and the rows it reads ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestReader, ManifestWriter, Summary
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


@pytest.mark.parametrize(
    "change",
    [{"size": 6}, {"mtime_ns": 6}, {"ctime_ns": 9}, {"inode": 10}, {"type": EntryType.FIFO}],
)
def test_each_change_counts(change: dict[str, int]) -> None:
    """A difference in type, size, mtime, ctime or inode makes a file changed."""
    parent = Parent(manifest((b"/", [entry(b"f")])))
    parent.enter(b"/")

    assert parent.unchanged(replace(entry(b"f"), **change)) is None


@pytest.mark.parametrize(
    "times", [{"mtime_ns": START - MARGIN_NS}, {"ctime_ns": START - MARGIN_NS}, {"ctime_ns": START}]
)
def test_too_fresh(times: dict[str, int]) -> None:
    """A file changed within two seconds of the parent's start, or after it, is not trusted."""
    parent = Parent(manifest((b"/", [entry(b"f", **times)])))
    parent.enter(b"/")

    assert parent.unchanged(entry(b"f", **times)) is None


def test_just_old_enough() -> None:
    """A file changed just before that is trusted."""
    old = entry(b"f", ctime_ns=START - MARGIN_NS - 1)
    parent = Parent(manifest((b"/", [old])))
    parent.enter(b"/")

    assert parent.unchanged(old) == old


def test_devices_up_to_renaming() -> None:
    """Device numbers may all be new, but two that were different, or the same, must still be so."""
    before = [entry(b"a", device=1), entry(b"b", device=1), entry(b"c", device=2), entry(b"d", device=1)]
    parent = Parent(manifest((b"/", before)))
    parent.enter(b"/")
    now = [replace(one, device=device) for one, device in zip(before, [7, 7, 7, 8], strict=True)]

    assert [parent.unchanged(one) is not None for one in now] == [True, True, False, False]


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
        found += [(folder, name) for name in names if parent.unchanged(entry(name))]

    assert found == [(b"/", b"z"), (b"/a", b"1"), (b"/a", b"5"), (b"/b", b"y")]


def test_rows_are_read_in_windows() -> None:
    """Any range of rows comes whole, in slices no longer than the window, forwards and backwards."""
    rows = Rows(manifest((b"/", []), rows=100), ahead=16)

    def numbers(parts: Iterator[object]) -> list[int]:
        slices = list(parts)
        assert all(len(part) <= 16 for part in slices)  # type: ignore[arg-type]
        return [length - 1 for part in slices for _, length in part]  # type: ignore[attr-defined]

    for first, count in [(0, 5), (5, 40), (90, 10), (3, 4), (0, 100), (99, 1), (50, 0)]:
        assert numbers(rows.read(first, count)) == list(range(first, first + count))


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
