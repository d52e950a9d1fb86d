"""What a restore that was killed has left is removed when the same task is tried again, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rubackup.client.modules.filesystem.target import TEMPORARY, Temporaries
from rubackup.client.ports import RestoreJob
from support.channels import RecordingWatch
from support.trees import Copies, landed


def restore(copies: Copies, source: Path, target: Path, task_id: int) -> None:
    """One attempt of a task."""
    job = RestoreJob("full", "hwid", str(source), str(target), task_id=task_id)
    copies.module.restore(job, copies.pool.read("full"), RecordingWatch())


def leave(folder: Path, task_id: int, record: str = "full") -> Path:
    """What an attempt that was killed leaves."""
    path = folder / os.fsdecode(Temporaries(task_id, record).name())
    path.write_text("half")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two folders with files."""
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "below" / "file").write_text("y")
    return folder


def test_the_next_attempt_removes_what_the_last_one_left(source: Path, tmp_path: Path) -> None:
    """In each folder that it writes, the destination's own included."""
    copies, target = Copies(), tmp_path / "target"
    copies.backup(source)
    restore(copies, source, target, 7)
    place = landed(target, source)
    left = [leave(folder, 7) for folder in (target, place, place / "below")]

    restore(copies, source, target, 7)

    assert not any(path.exists() for path in left)
    assert sorted(path.name for path in place.iterdir()) == ["below", "file"]


def test_what_does_not_belong_to_the_task_stays(source: Path, tmp_path: Path) -> None:
    """Files of other tasks and copies, folders, and names that only begin alike."""
    copies, target = Copies(), tmp_path / "target"
    copies.backup(source)
    restore(copies, source, target, 7)
    place = landed(target, source)
    own = os.fsdecode(Temporaries(7, "full").name())
    kept = [leave(place, 8), leave(place, 7, "other"), place / f"{own}.txt", place / os.fsdecode(TEMPORARY + b"mine")]
    for path in kept[2:]:
        path.write_text("mine")
    (place / own).mkdir()

    restore(copies, source, target, 7)

    assert all(path.exists() for path in kept)
    assert (place / own).is_dir()


def test_a_process_that_is_killed_while_it_writes(source: Path, tmp_path: Path) -> None:
    """It leaves one file under a temporary name; the retry of its task takes it away and restores all."""
    target = tmp_path / "target"
    target.mkdir()
    killed = textwrap.dedent(f"""
        import os, signal
        from rubackup.client.modules.filesystem.apply import Applier
        from rubackup.client.modules.filesystem.folders import Folders
        from rubackup.client.modules.filesystem.target import Target, Temporaries
        from rubackup.client.modules.filesystem.report import Report
        from support.channels import RecordingWatch
        folder = os.open({os.fspath(target)!r}, os.O_RDONLY)
        applier = Applier(Report(RecordingWatch()), numeric_owner=False)
        target = Target(Folders(b"/", folder), applier, Temporaries(7, "full"))
        os.write(target.create(b"/file").fd, b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.run([sys.executable, "-c", killed], check=False, env=environment, capture_output=True)
    assert process.returncode == -9, process.stderr
    [left] = target.iterdir()
    assert left.name.startswith(os.fsdecode(TEMPORARY))
    copies = Copies()
    copies.backup(source)

    restore(copies, source, target, 7)

    assert not left.exists()
    assert (landed(target, source) / "file").read_text() == "x"
