"""What a manifest has in common with its parent: found near, after a gap, and never beyond the parent."""

from __future__ import annotations

import pytest

from rubackup.chunkstore._beside import Beside
from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestReader, ManifestWriter, Summary
from rubackup.chunkstore.manifest.format import ROW

HEADER = Header("ab" * 16, "", "00000000000000aa", "File system", "/", "full", 7, (1, 2, 3, 0))
FOLDERS, FILES = 200, 50


def row(folder: int, file: int) -> bytes:
    return ROW.pack(bytes([folder, file]) * 16, 7)


@pytest.fixture
def data() -> bytearray:
    found = bytearray()
    writer = ManifestWriter(found.extend, HEADER)
    writer.add_folder(
        b"/", [Entry(b"%03d" % n, EntryType.FOLDER, 0o755, 0, 0, "", "", 0, 0, 0, n, 1, 1) for n in range(FOLDERS)]
    )
    for folder in range(FOLDERS):
        first = writer.add_raw_rows(b"".join([row(folder, file) for file in range(1, FILES + 1)]))
        writer.add_folder(
            b"/%03d" % folder,
            [
                Entry(
                    b"%03d" % n + b"x" * 60,
                    EntryType.FILE,
                    0o644,
                    0,
                    0,
                    "",
                    "",
                    7,
                    0,
                    0,
                    n,
                    1,
                    1,
                    first_row=first + n,
                    rows=1,
                )
                for n in range(FILES)
            ],
        )
    writer.finish(Summary())
    return found


def reader(data: bytearray) -> ManifestReader:
    return ManifestReader(lambda at, length: bytes(data[at : at + length]), len(data))


def test_all_of_the_parent_is_found_in_its_order(data: bytearray) -> None:
    parent = reader(data)
    assert parent.segment_count > 8
    beside = Beside(reader(data), opaque=False)

    for _, segment, runs in parent.runs():
        new = ROW.pack(b"n" * 32, segment.rows)
        assert beside.unknown(parent.raw_rows(segment.first_row, segment.rows) + new) == {new}
        assert all(beside.has_run(run.raw) for run in runs)
        assert not beside.has_run(memoryview(bytes(runs[0].raw) + b"x"))
        assert len(beside._near) <= 7
    assert beside.common


@pytest.mark.parametrize("opaque", [True, False])
def test_what_is_far_off_is_unknown_until_it_is_skipped_to(data: bytearray, opaque: bool) -> None:
    parent = reader(data)
    last = parent.segment(parent.segment_count - 1)
    rows = parent.raw_rows(last.first_row, last.rows)
    beside = Beside(reader(data), opaque=opaque)
    assert len(beside.unknown(rows)) == last.rows
    assert not beside.common

    beside.skip_to(parent.segment_count - 1)

    assert beside.unknown(rows) == set()
    assert beside.common


def test_a_row_of_another_length_is_unknown(data: bytearray) -> None:
    other = row(0, 1)[:32] + (8).to_bytes(4, "little")
    assert Beside(reader(data), opaque=False).unknown(row(0, 1) + other) == {other}


def test_a_damaged_parent_gives_nothing_more(data: bytearray) -> None:
    parent = reader(data)
    at = data.index(row(FOLDERS // 2, 1))
    data[at] ^= 1
    beside = Beside(reader(data), opaque=False)
    segments = list(parent.segments())
    unknown = [len(beside.unknown(row(folder, 1))) for folder in range(FOLDERS)]
    assert segments
    assert unknown[0] == 0
    assert set(unknown[FOLDERS // 2 :]) == {1}
