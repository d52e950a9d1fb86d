"""What the benchmark of the chunk store makes of its readings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module; the benchmark is no part of what is installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.engine import report

    yield report
    for name in [name for name in sys.modules if name == "bench" or name.startswith("bench.")]:
        del sys.modules[name]


def results(report: ModuleType, row: str, **walls: list[float]):
    """Readings of a row by contestant; CPU is as long as the wall time."""
    made = report.Results("small", encrypted=False, files=1, size_bytes=1)
    for name, seconds in walls.items():
        for one in seconds:
            made.add(row, name, report.Reading(wall_s=one, cpu_s=one, peak_mib=100))
    return made


def test_a_ratio_is_the_median_over_rounds_to_the_better_peer_of_each(report: ModuleType) -> None:
    """Each round has its own better peer, as the machine's load changes from round to round."""
    made = results(report, "restore", restic=[10, 8, 20], borg=[20, 16, 10], product=[5, 2, 10])

    assert report.ratio(made, "restore", "product", "wall_s") == pytest.approx(0.5)


def test_what_was_not_measured_is_missed(report: ModuleType) -> None:
    """A row in which the product failed counts as missed, not as nothing."""
    made = results(report, "reclaim", restic=[10], borg=[20])
    made.failures["reclaim"] = {"product": "a reason"}

    told = {one.what: one for one in report.verdicts(made, 1000)}

    assert not told["reclaim: wall"].held
    assert "not measured" in told["reclaim: wall"].text


def test_a_target_that_is_reached_exactly_is_held(report: ModuleType) -> None:
    """Targets are upper bounds."""
    made = results(report, "restore", restic=[100], borg=[200], product=[45])

    assert next(one for one in report.verdicts(made, 1000) if one.what == "restore: wall").held


def test_the_tables_go_between_the_markers_and_nowhere_else(report: ModuleType, tmp_path: Path) -> None:
    """What people wrote around the tables stays."""
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")

    report.put_into(page, "new")

    assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_a_page_without_markers_is_refused(report: ModuleType, tmp_path: Path) -> None:
    """Nothing is overwritten where nobody said that it may be."""
    page = tmp_path / "performance.md"
    page.write_text("text")

    with pytest.raises(SystemExit, match="no markers"):
        report.put_into(page, "new")
