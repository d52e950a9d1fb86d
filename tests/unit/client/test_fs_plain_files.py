"""How plain files are told from others, and cut into slices."""

from __future__ import annotations

import pytest

from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.chunkstore.manifest.runs import Piece, RunView, encode_run, parse_runs
from rubackup.client.modules.filesystem.apply import Applier
from rubackup.client.modules.filesystem.plain import MOST_BYTES, MOST_ROWS, cut, sort_run
from rubackup.client.modules.filesystem.report import Report
from rubackup.domain.errors import Corrupt
from support.channels import RecordingWatch

ID = b"i" * 32


def entry(number: int, **more: object) -> Entry:
    """A plain file."""
    fields = {"type": EntryType.FILE, "mode": 0o644, "uid": 7, "gid": 8, "user": "", "group": "", "size": 10}
    times = {"mtime_ns": 5, "ctime_ns": 5, "inode": 1, "device": 1, "links": 1, "rows": 1}
    return Entry(name=b"%02d" % number, **{**fields, **times, **more})


def run_of(*entries: Entry) -> RunView:
    """These entries as a run, whose rows begin at 100."""
    return next(parse_runs(encode_run(b"/f", 0, [Piece.of(entries)]), 100))


def applier() -> Applier:
    """One that does not ask the host for owners."""
    return Applier(Report(RecordingWatch()), numeric_owner=True)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": EntryType.FOLDER, "rows": 0},
        {"type": EntryType.SYMLINK, "rows": 0, "target": b"x"},
        {"links": 2},
        {"hardlink": b"/f/00"},
        {"mode": 0o4644},
        {"mode": 0o664},  # the umask takes it
        {"uid": 9},
        {"gid": 9},
        {"xattrs": [(b"user.a", b"b")]},
        {"size": MOST_BYTES + 1},
        {"rows": MOST_ROWS + 1},
    ],
)
def test_what_is_odd_goes_the_long_way(odd: dict[str, object]) -> None:
    """As an entry, with all that was recorded; its neighbours stay plain."""
    entries = [entry(0), entry(1), entry(2, **odd), entry(3)]
    run = run_of(*entries)

    found = sort_run(run, applier(), 0o777 & ~0o022)

    assert found.stretches == [(0, 2), (3, 4)]
    assert found.others == [run.entries()[2]]
    assert found.owner == (7, 8)


def test_runs_without_plain_files() -> None:
    """Nothing, or nothing that is plain."""
    assert sort_run(run_of(), applier(), 0o777)[:2] == ([], [])
    folders = run_of(*(entry(number, type=EntryType.FOLDER, rows=0) for number in range(3)))
    assert sort_run(folders, applier(), 0o777)[:2] == ([], folders.entries())


def test_an_entry_that_a_run_does_not_have() -> None:
    """Corrupt, not an entry of something else."""
    for position in (-1, 1):
        with pytest.raises(Corrupt):
            run_of(entry(0)).pick([position])


def test_cut() -> None:
    """By number, by size, and where rows end; the first that is too large is left to the long way."""
    rows = [(ID, 40), (ID, 30), (HOLE, 10**9), (ID, 20), (ID, 50)]
    assert cut([1, 1, 2, 0, 1], rows, 99, 10**9) == (5, 5, 140)
    assert cut([1, 1, 2, 0, 1], rows, 2, 10**9) == (2, 2, 70)
    assert cut([1, 1, 2, 0, 1], rows, 99, 90) == (4, 4, 90)
    assert cut([1, 1, 2, 0, 1], rows, 99, 0) == (1, 1, 40)
    assert cut([1, 1, 2, 0, 1], rows[:3], 99, 10**9) == (2, 2, 70)
    assert cut([2], rows[:1], 99, 10**9) == (0, 0, 0)
    assert cut([1], [(ID, MOST_BYTES + 1)], 99, 10**9) == (0, 0, 0)
    assert cut([0, 0], (), 99, 0) == (2, 0, 0)
