"""What the benchmark of pools tells of its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.pools import report
from bench.pools.report import Line


def line(**more) -> Line:
    """Three rounds."""
    told = {
        "write": [80.0, 100.0, 60.0], "read": [50.0, 50.0, 50.0], "write_cpu": [1.0, 2.0, 3.0],
        "raw_write": {2: [100.0, 100.0, 100.0], 1: [70.0, 70.0, 70.0]}, "raw_read": {2: [100.0, 50.0, 25.0], 1: [9.0, 9.0, 9.0]},
    }  # fmt: skip
    return Line("bucket", "random", (2, 1), **{**told, **more})


def test_a_ratio_is_the_median_of_those_of_each_round() -> None:
    """Of the pool to the first way of raw writes and reads."""
    assert (line().ratio(), line().ratio("read")) == (0.8, 1.0)
    assert line().verdict == "0.80, OK"
    assert line(write=[79.0, 100.0, 60.0]).verdict == "0.79, MISSED"
    with pytest.raises(ValueError, match="zip"):
        line(write=[1.0]).ratio()


def test_the_table_stands_between_its_markers(tmp_path: Path) -> None:
    """Whatever was there before."""
    facts = {"date": "2026-11-27", "machine": "one", "mib": 32, "rounds": 3, "place": tmp_path, "load": 0.5}
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nbehind\n")

    report.put_into(document, report.markdown([line()], facts))

    text = document.read_text()
    assert "| bucket | random | 100 by 2, 70 by 1 | 80 | 0.80, OK | 2.00 | 50 by 2, 9 by 1 | 50 | 1.00 |" in text
    assert (text.startswith("before\n"), text.endswith(f"{report.END}\nbehind\n"), "old" in text) == (True, True, False)
    document.write_text("nothing")
    with pytest.raises(SystemExit, match="no markers"):
        report.put_into(document, "")
