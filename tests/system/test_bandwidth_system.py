"""A limit of bandwidth acts on a backup at work; pausing one loses nothing, killing one frees everything, also when its client hangs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.system import System, eventually

MIB = 1 << 20


@pytest.fixture
def limit(system: System) -> Iterator[int]:
    """A limit of the client: 1 MiB a second; it goes with the test."""
    system.call(
        "POST", "/client_bandwidth", {"data": {"client": system.facts["client"], "backup_bandwidth": 1024}}, status=201
    )
    number = int(system.call("GET", "/client_bandwidth")["data"]["items"][0]["id"])
    yield number
    for row in system.call("GET", "/client_bandwidth")["data"]["items"]:
        system.call("DELETE", f"/client_bandwidth/{row['id']}")


def sent(system: System, task: int) -> int:
    """Bytes that the present attempt has sent."""
    return int(system.task(task)["bytes_sent"])


def rate(system: System, task: int, seconds: float) -> float:
    """Bytes a second between two reports about so far apart."""
    first, began = sent(system, task), time.monotonic()
    while (now := sent(system, task)) == first:
        time.sleep(0.1)  # the count moves with each report
    first, began = now, time.monotonic()
    time.sleep(seconds)
    while (last := sent(system, task)) == (now := last):
        if last > first and time.monotonic() - began > seconds:
            break
        time.sleep(0.1)
    return (last - first) / (time.monotonic() - began)


def test_a_limit_changes_while_a_backup_runs_and_a_pause_loses_nothing(
    system: System, limit: int, tmp_path: Path
) -> None:
    """1 MiB a second, then four, then a pause, then none: the second attempt sends only what the first had not."""
    total = 48 * MIB
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_bytes(os.urandom(total))
    task = system.backup(tmp_path / "source")
    system.until(task, lambda row: row["bytes_sent"] > MIB, 30)

    assert rate(system, task, 3) < 1.5 * MIB
    system.call("PATCH", f"/client_bandwidth/{limit}", {"data": {"backup_bandwidth": 4096}})
    time.sleep(0.5)
    faster = rate(system, task, 3)
    assert 1.5 * MIB < faster < 5.5 * MIB, faster  # more than the limit before allows; how exactly: tests of the bucket

    system.call("POST", "/put_task_on_pause", {"data": {"task_id": task}})
    system.call("DELETE", f"/client_bandwidth/{limit}")
    before = sent(system, task)
    assert system.task(task)["status"] == "Paused"
    assert MIB < before < total - 4 * MIB
    time.sleep(3)  # the client hears of it with its next report, and makes durable what it has sent
    system.call("POST", "/continue_task_working", {"data": {"task_id": task}})
    system.done(task, 30)
    again = sent(system, task)

    assert again <= total - before + MIB
    assert system.gives_back(int(system.records(tmp_path / "source")[0]["id"]), tmp_path / "source", tmp_path / "back")


def test_killing_a_task_frees_everything_although_its_client_hangs(system: System, limit: int, tmp_path: Path) -> None:
    """The task is Killed at once; within ten seconds the media server has ended its session; the client works on later."""
    (tmp_path / "file").write_bytes(os.urandom(16 * MIB))
    task = system.backup(tmp_path)
    system.until(task, lambda row: row["bytes_sent"] > 0, 30)
    log, client = system.state / "log/media.log", system.processes()["client"]
    said = "is ended: its task is over"
    before = log.read_text().count(said)
    os.kill(client, signal.SIGSTOP)
    try:
        system.call("POST", "/kill_task", {"data": {"task_id": task}})
        assert system.task(task)["status"] == "Killed"
        eventually(lambda: log.read_text().count(said) > before, 10)
    finally:
        os.kill(client, signal.SIGCONT)
    system.call("DELETE", f"/client_bandwidth/{limit}")

    system.done(system.backup(tmp_path), 60)
    assert system.task(task)["status"] == "Killed"
