"""Logs stay small, and their last lines can be told."""

from __future__ import annotations

from pathlib import Path

from rubackup.roles.up.logs import last_line, rotate


def test_a_small_log_is_left_alone(tmp_path: Path):
    """Only what has grown is rotated."""
    log = tmp_path / "api.log"
    log.write_text("line\n")

    assert rotate(log, limit_bytes=100) is False
    assert rotate(tmp_path / "none.log") is False


def test_a_writer_in_append_mode_goes_on_in_the_emptied_log(tmp_path: Path):
    """No process has to be told, and no line is lost; the oldest copy goes."""
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(b"%d" % number * 20 + b"\n")
            assert rotate(log, limit_bytes=10, kept=3)

    kept = {path.name: path.read_text()[:1] for path in tmp_path.iterdir()}
    assert kept == {"api.log": "", "api.log.1": "4", "api.log.2": "3", "api.log.3": "2"}


def test_the_last_line_of_a_start_is_not_that_of_an_earlier_one(tmp_path: Path):
    """What was written before a start does not count, unless the log was rotated since."""
    log = tmp_path / "api.log"
    log.write_text("old\n")

    assert last_line(log, since=4) == ""
    log.write_text("old\nnew\n\n")
    assert last_line(log, since=4) == "new"
    assert last_line(log, since=400) == "new"
    assert last_line(tmp_path / "none.log") == ""
