"""One log of several workers: each appends, the keeper alone turns it over, and no line is lost."""

from __future__ import annotations

import logging
import logging.handlers
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.roles.installed import logs

WRITERS, LINES = 3, 2000


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the test's own."""
    found = logging.getLogger("tests.shared_logs")
    found.propagate = False
    found.setLevel(logging.INFO)
    yield found
    for handler in list(found.handlers):
        found.removeHandler(handler)
        handler.close()


def write(logger: logging.Logger, writer: int) -> int:
    """A fork that follows, and writes lines; its process id."""
    pid = os.fork()
    if pid == 0:
        logs.follow()
        for number in range(LINES):
            logger.info("%d-%d %s", writer, number, "x" * (number % 300))
        os._exit(0)
    return pid


def test_no_line_is_lost_or_torn(tmp_path: Path, logger: logging.Logger) -> None:
    """While the keeper turns the file over again and again under three workers that write."""
    file = logging.handlers.RotatingFileHandler(tmp_path / "log", maxBytes=20_000, backupCount=1000)
    logger.addHandler(file)
    left = {write(logger, writer) for writer in range(WRITERS)}

    while left:
        logs.turn_over()
        left -= {pid for pid in left if os.waitpid(pid, os.WNOHANG)[0]}

    files = list(tmp_path.iterdir())
    lines = [line.split() for path in files for line in path.read_text().splitlines()]
    wanted = {f"{writer}-{number}": number % 300 for writer in range(WRITERS) for number in range(LINES)}
    assert len(lines) == len(wanted)
    assert {line[0]: len("".join(line[1:])) for line in lines} == wanted
    assert len(files) > 2


def test_a_day_ends_for_all_at_once(tmp_path: Path, logger: logging.Logger) -> None:
    """At its time the keeper turns the file over, says when it wants to look again, and a worker goes on in the new one."""
    file = logging.handlers.TimedRotatingFileHandler(tmp_path / "log", "midnight", backupCount=14, encoding="utf-8")
    logger.addHandler(file)
    worker = logs.Follower(file)
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, "yesterday", (), None)
    worker.emit(record)
    wait = logs.turn_over()
    assert wait is not None
    assert 0 < wait <= 86_400

    file.rolloverAt = int(time.time())
    logs.turn_over()
    worker.emit(logger.makeRecord(logger.name, logging.INFO, "", 0, "today", (), None))

    (old,) = tmp_path.glob("log.*")
    assert (old.read_text(), (tmp_path / "log").read_text()) == ("yesterday\n", "today\n")
    assert file.rolloverAt > time.time()


def test_a_worker_keeps_level_and_form(tmp_path: Path, logger: logging.Logger) -> None:
    """What the INI file says of a handler holds in workers, too; other handlers stay as they are."""
    file = logging.handlers.TimedRotatingFileHandler(tmp_path / "log", "midnight")
    file.setLevel(logging.WARNING)
    file.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    console = logging.StreamHandler()
    logger.addHandler(file)
    logger.addHandler(console)

    logs.follow()
    logger.info("not this")
    logger.warning("this\nand that")

    assert (tmp_path / "log").read_text() == "[WARNING] this\nand that\n"
    assert console in logger.handlers
    file.close()
