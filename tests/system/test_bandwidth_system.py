"""A limit of bandwidth acts on a backup at work; pausing one loses nothing, killing one frees everything, also when its client hangs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.system import FINAL, System, eventually

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
    """Bytes that the present attempt has sent; it is at work."""
    row = system.task(task)
    assert row["status"] not in FINAL, row
    return int(row["bytes_sent"])


def rate(system: System, task: int, seconds: float) -> float:
    """Bytes a second between two reports about so far apart. One that came late makes it another than it is."""
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


def comes_to(system: System, task: int, least: float, most: float) -> None:
    """Wait until a task is seen to send so many MiB a second: by reports of which none was late, and once the client was told."""
    eventually(lambda: least * MIB < rate(system, task, 3) < most * MIB, 20, lambda: system.task(task))


def open_packs(system: System) -> set[Path]:
    """What is being written into pool Default."""
    return set((system.state / "pools" / "Default" / "packs").glob("*/*.open"))


def test_a_limit_changes_while_a_backup_runs_and_a_pause_loses_nothing(
    system: System, limit: int, tmp_path: Path
) -> None:
    """1 MiB a second, then four, then a pause, then none: the second attempt sends only what the first had not."""
    total = 96 * MIB
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_bytes(os.urandom(total))
    before = open_packs(system)
    task = system.backup(tmp_path / "source")
    system.until(task, lambda row: row["bytes_sent"] > MIB, 30)
    comes_to(system, task, 0.5, 1.5)
    system.call("PATCH", f"/client_bandwidth/{limit}", {"data": {"backup_bandwidth": 4096}})
    comes_to(system, task, 1.5, 5.5)  # more than the limit before allows; how exactly: tests of the bucket

    system.call("POST", "/put_task_on_pause", {"data": {"task_id": task}})
    system.call("DELETE", f"/client_bandwidth/{limit}")
    first = int(system.task(task)["bytes_sent"])
    assert system.task(task)["status"] == "Paused"
    assert MIB < first < total - 4 * MIB
    # The client hears of it with its next report, and makes durable what it has sent.
    eventually(lambda: not open_packs(system) - before, 30, lambda: open_packs(system))
    system.call("POST", "/continue_task_working", {"data": {"task_id": task}})
    system.done(task, 30)
    again = int(system.task(task)["bytes_sent"])

    assert again <= total - first + MIB
    assert system.gives_back(int(system.records(tmp_path / "source")[0]["id"]), tmp_path / "source", tmp_path / "back")


def test_killing_a_task_frees_everything_although_its_client_hangs(system: System, limit: int, tmp_path: Path) -> None:
    """The task is Killed at once; within ten seconds the media server has ended its session; the client works on later."""
    (tmp_path / "file").write_bytes(os.urandom(32 * MIB))
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
