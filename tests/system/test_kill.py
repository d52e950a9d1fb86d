"""kill -9 of each process while a backup runs: the task goes on, earlier copies stay, the next backup succeeds."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from support.system import System, eventually

SIZE_BYTES = 600_000_000
"""Enough to be killed in the middle of it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose backup takes a while: data that neither compresses nor repeats."""
    folder = tmp_path_factory.mktemp("kill") / "source"
    folder.mkdir()
    return folder


def renew(source: Path) -> None:
    """Replace all of it, so that the next backup has everything to send."""
    for number in range(4):
        with (source / f"part{number}").open("wb") as file:
            for _ in range(SIZE_BYTES // 4 // 1_000_000):
                file.write(os.urandom(1_000_000))


def open_packs(system: System) -> set[Path]:
    """What is being written; a second old figures of progress would come too late."""
    return set((system.state / "pools" / "Default").rglob("packs/*/*.open"))


@pytest.mark.parametrize("process", ["client", "media", "server", "api", "postgres"])
def test_a_killed_process_costs_no_copy(system: System, source: Path, tmp_path: Path, process: str) -> None:
    """Within a minute of kill -9 the task goes on to its end, or is honestly Broken; nothing hangs."""
    small = tmp_path / "small"
    small.mkdir()
    (small / "file").write_bytes(os.urandom(100_000))
    system.done(system.backup(small))
    earlier = system.records(small)[-1]
    renew(source)
    before = open_packs(system)
    number = system.backup(source)
    victim = system.processes()[process]
    eventually(lambda: open_packs(system) - before, 60, lambda: system.task(number))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: system.processes().get(process, victim) != victim, 30)
    eventually(lambda: system.http.get("/task_queue").status_code in {200, 401}, 30)
    system.login()
    task = system.finished(number, 90)

    assert task["status"] in {"Done", "Broken"}, f"{task} {system.log(number)}"
    system.done(system.restore(earlier["id"], tmp_path / "target"), 60)
    assert compare_trees(small, tmp_path / "target" / str(small).lstrip("/")).differences == []
    system.done(system.backup(source, backup_type="incremental"), 90)
    latest = system.records(source)[-1]
    system.done(system.restore(latest["id"], tmp_path / "again"), 90)
    assert compare_trees(source, tmp_path / "again" / str(source).lstrip("/")).differences == []


def test_a_client_killed_during_a_restore_leaves_nothing_behind(system: System, tmp_path: Path) -> None:
    """The next attempt of the task restores all, and the file that the killed one had begun is gone."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    with (source / "large").open("wb") as file:
        for _ in range(SIZE_BYTES // 1_000_000):
            file.write(os.urandom(1_000_000))
    system.done(system.backup(source), 90)
    (record,) = system.records(source)
    number = system.restore(record["id"], target)
    begun = eventually(lambda: list(target.rglob(".rubackup-restore-*")), 60, lambda: system.log(number))

    os.kill(system.processes()["client"], signal.SIGKILL)

    system.done(number, 120)
    assert not any(path.exists() for path in begun)
    assert list(target.rglob(".rubackup-restore-*")) == []
    assert compare_trees(source, target / str(source).lstrip("/")).differences == []
