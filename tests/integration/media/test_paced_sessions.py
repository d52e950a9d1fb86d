"""Sessions over real TLS under a limit of bandwidth: both directions, and nothing else about them changes."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest
from test_data_sessions import CLIENT, Place, backed_up, place

from rubackup.agent.tasks import RunningTask
from rubackup.client.bandwidth import Bandwidth
from rubackup.client.channels import BackupOverWire, RestoreOverWire
from rubackup.client.compare import compare_trees
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.ports import BackupJob, RestoreJob
from rubackup.wire.messages import SetBandwidth

__all__ = ["place"]
MIB = 1 << 20


def source_of(folder: Path, size: int) -> Path:
    """One file that cannot be compressed."""
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(size))
    return folder


def limited(**rates: int) -> Bandwidth:
    """What the server said."""
    found = Bandwidth()
    found.set(SetBandwidth(epoch=1, **{"backup": 0, "restore": 0, **rates}))
    return found


def test_a_backup_takes_no_more_than_the_limit(place: Place, tmp_path: Path) -> None:
    """Two MiB at two MiB a second take a second."""
    source, record, task = source_of(tmp_path / "source", 2 * MIB), uuid.uuid4().hex, RunningTask(1, 1)
    ticket = place.ticket(record=record)
    connection = place.connection()
    began = time.monotonic()
    with limited(backup=2 * MIB).line("backup", 0, task.is_stopped) as line:
        connection.sending = line
        channel = BackupOverWire(connection, lambda: ticket)
        FileSystemModule().backup(BackupJob(record, "", CLIENT, str(source)), channel, task)
        channel.close()

    assert time.monotonic() - began > 0.85


def test_a_restore_takes_no_more_than_the_limit(place: Place, tmp_path: Path) -> None:
    """Two MiB at two MiB a second take a second, and come back as they were."""
    source, record, task = source_of(tmp_path / "source", 2 * MIB), uuid.uuid4().hex, RunningTask(2, 1)
    backed_up(place, source, record)
    ticket = place.ticket(record=record, mode="restore")
    connection = place.connection()
    began = time.monotonic()
    with limited(restore=2 * MIB).line("restore", 0, task.is_stopped) as line:
        connection.receiving = line
        channel = RestoreOverWire(connection, lambda: ticket)
        FileSystemModule().restore(RestoreJob(record, CLIENT, str(source), str(tmp_path / "target")), channel, task)
        channel.close()

    assert time.monotonic() - began > 0.85
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal


@pytest.mark.parametrize("way", ["sending", "receiving"])
def test_a_task_that_is_stopped_waits_for_no_limit(place: Place, tmp_path: Path, way: str) -> None:
    """What it is in the middle of ends at once, in order: the session is usable."""
    task = RunningTask(3, 1)
    connection = place.connection()
    ticket = place.ticket()
    with limited(backup=1, restore=1).line("backup" if way == "sending" else "restore", 0, task.is_stopped) as line:
        channel = BackupOverWire(connection, lambda: ticket)
        task.stop()
        setattr(connection, way, line)
        channel.put_manifest(b"x" * MIB)  # it would take days
        channel.checkpoint()
