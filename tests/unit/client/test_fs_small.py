"""Selection, mounts, reports, and the number of threads."""

from __future__ import annotations

import os

import pytest

from rubackup.client.modules.filesystem import report as report_module
from rubackup.client.modules.filesystem.backup import worker_count
from rubackup.client.modules.filesystem.folders import Pending
from rubackup.client.modules.filesystem.mounts import Mounts
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.selection import Place, Selection
from support.channels import RecordingWatch

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:12 - proc proc rw
24 22 0:22 / /mnt/with\\040space rw - nfs4 host:/x rw
"""


def test_kernel_file_systems() -> None:
    """Types of the kernel are told by device number; others, and numbers in no table, are data."""
    mounts = Mounts(lambda: MOUNTS)

    assert mounts.kernel_type(os.makedev(0, 21)) == "proc"
    assert mounts.kernel_type(os.makedev(254, 0)) == mounts.kernel_type(os.makedev(0, 22)) == ""
    assert mounts.kernel_type(os.makedev(0, 99)) == ""


def test_mount_table_is_read_again() -> None:
    """A file system that was mounted since is found."""
    tables = ["", MOUNTS]
    mounts = Mounts(lambda: tables.pop(0))

    assert [mounts.kernel_type(os.makedev(0, number)) for number in (50, 21)] == ["", "proc"]


def test_places() -> None:
    """What was chosen, what leads there and what lies below; a similar name is neither."""
    selection = Selection(b"/r", [b"/r/a/b", b"/r/c"])
    places = {path: selection.folder(path) for path in (b"/", b"/r", b"/r/a", b"/r/a/b", b"/r/a/b/x", b"/r/a/bb")}

    assert list(places.values()) == [Place.ABOVE] * 3 + [Place.INSIDE] * 2 + [Place.OUTSIDE]
    assert selection.entry(Place.ABOVE, b"/r/c") is Place.INSIDE
    assert selection.missing == {b"/r/a/b"}


def test_end_of_a_selection() -> None:
    """The manifest is read only as far as something that was chosen can follow."""
    selection = Selection(b"/r", [b"/r/a", b"/r/c"])

    assert [selection.is_past(path) for path in (b"/r/a/x", b"/r/b", b"/r/c", b"/r/c/z", b"/r/c-d")] == [False] * 4 + [
        True
    ]


def test_nothing_chosen_is_everything() -> None:
    """Without choice the resource is restored, and so it is when something above it is chosen."""
    assert Selection(b"/r", []).roots == Selection(b"/r", [b"/"]).roots == {b"/r"}


def test_pending_is_a_walk_in_pre_order() -> None:
    """Folders come back in the order of a walk that goes down first."""
    pending = Pending()
    pending.push(b"/", [b"b", b"a", b"c"])
    seen = []
    while (path := pending.pop()) is not None:
        seen.append(path)
        if path == b"/a":
            pending.push(path, [b"2", b"1"])

    assert seen == [b"/a", b"/a/1", b"/a/2", b"/b", b"/c"]


def test_progress_at_most_four_times_a_second() -> None:
    """However often work is done, progress is told only when a quarter of a second has gone."""
    now = [0.0]
    watch = RecordingWatch()
    report = Report(watch, lambda: now[0])
    for _ in range(1000):
        now[0] += 0.001
        report.tick()

    assert len(watch.shown) == 4
    assert watch.checks == 1000


def test_total_is_never_below_what_is_done() -> None:
    """Totals are estimates: they grow with what is done."""
    watch = RecordingWatch()
    report = Report(watch)
    report.totals = lambda: (10, 1000)
    report.files, report.bytes_done = 12, 5000
    report.tick()

    assert watch.shown == [(12, 12, 5000, 5000, 0)]


def test_lines_are_bounded_and_what_is_left_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million failures do not make a million lines, but every one is counted."""
    monkeypatch.setattr(report_module, "LINES", 3)
    watch = RecordingWatch()
    report = Report(watch)
    for number in range(10):
        report.failed(b"/%d" % number, "why")
    report.finish()

    assert report.files_failed == 10
    assert len(watch.texts("error")) == 3
    assert watch.texts("warning") == ["7 more lines about single files were left out."]


@pytest.mark.parametrize(("wanted", "threads"), [(8, 8), (1, 1), (1000, 32)])
def test_worker_parallelism(wanted: int, threads: int) -> None:
    """A task's worker_parallelism is the number of compressing threads, within reason."""
    assert worker_count(wanted) == threads


@pytest.mark.parametrize("wanted", [None, 0, -1, "8", True])
def test_default_parallelism(wanted: object) -> None:
    """Without a usable number there are as many as processors, four at most."""
    assert worker_count(wanted) == min(4, os.cpu_count() or 1)
