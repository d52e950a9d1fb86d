"""A process that is frozen for longer than a lease and then goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from support.system import System

FROZEN_SECONDS = 22
"""Longer than a lease and than three missed heartbeats."""


@pytest.mark.parametrize("process", ["client", "media"])
def test_a_frozen_worker_is_fenced_and_the_copy_is_whole(system: System, tmp_path: Path, process: str) -> None:
    """After the freeze one attempt wins, one copy is listed, and it is whole."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        with (source / f"part{number}").open("wb") as file:
            for _ in range(150):
                file.write(os.urandom(1_000_000))
    number = system.backup(source)
    system.until(number, lambda task: task["bytes_done"] > 0, 60)

    os.kill(system.processes()[process], signal.SIGSTOP)
    try:
        time.sleep(FROZEN_SECONDS)  # the freeze itself: nothing happens that could be waited for
    finally:
        os.kill(system.processes()[process], signal.SIGCONT)
    task = system.finished(number, 120)

    assert task["status"] == "Done", (task, system.log(number))
    [record] = system.records(source)
    system.done(system.restore(record["id"], tmp_path / "target"))
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal
