"""Running tasks: fences, stops, outcomes, logs that arrive once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from rubackup.agent import tasks
from rubackup.agent.tasks import Outcome, RunningTask, TaskRunner, guarded
from rubackup.domain.errors import Corrupt, Fenced, Stopped, Unavailable
from rubackup.wire.messages import Ack, Message, Order, ProgressAnswer, ReportFinished, ReportLog, ReportProgress


class Server:
    """A server that answers every report and remembers it."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.drop: list[int] = []
        self.finished = asyncio.Event()
        self.unavailable = 0

    async def call(self, message: Message, _timeout: float, _patience: float) -> Message:
        if self.unavailable:
            self.unavailable -= 1
            raise Unavailable
        self.heard.append(message)
        if isinstance(message, ReportProgress):
            return ProgressAnswer(drop=self.drop)
        if isinstance(message, ReportFinished):
            self.finished.set()
        return Ack()

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


def order(task_id: int = 1, fence: int = 1, epoch: int = 1) -> Order:
    return Order(task_id=task_id, fence=fence, epoch=epoch)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports come each 10 ms."""
    monkeypatch.setattr(tasks, "REPORT_SECONDS", 0.01)


def test_a_task_is_reported_to_its_end_once_the_server_is_there() -> None:
    """The end of a task is repeated until a server takes it."""

    async def run() -> None:
        server = Server()
        server.unavailable = 3
        runner = TaskRunner(server.call)
        runner.start(order(), lambda _task: Outcome("done", "fine", files_done=2))
        await asyncio.wait_for(server.finished.wait(), 5)

        [end] = server.of(ReportFinished)
        assert (end.outcome, end.message, end.files_done) == ("done", "fine", 2)

    asyncio.run(run())


def test_a_dropped_task_stops_at_its_next_check() -> None:
    """What the server no longer wants is stopped."""

    async def run() -> None:
        server, running = Server(), threading.Event()
        server.drop = [1]

        def body(task: RunningTask) -> Outcome:
            running.set()
            while True:
                task.check()

        runner = TaskRunner(server.call)
        runner.start(order(), body)
        async with asyncio.timeout(5):
            reporter = asyncio.ensure_future(runner.report())
            await server.finished.wait()
        reporter.cancel()

        assert server.of(ReportFinished)[0].outcome == "stopped"

    asyncio.run(run())


def test_a_repeated_order_changes_nothing_and_an_older_one_is_fenced() -> None:
    """One attempt runs once; an order with a lower fence or epoch is refused."""

    async def run() -> None:
        server, starts, go = Server(), [], threading.Event()

        def body(task: RunningTask) -> Outcome:
            starts.append(task.fence)
            go.wait(5)
            return Outcome("done", "")

        runner = TaskRunner(server.call)
        runner.start(order(fence=5, epoch=2), body)
        runner.start(order(fence=5, epoch=2), body)
        with pytest.raises(Fenced):
            runner.start(order(fence=4, epoch=2), body)
        with pytest.raises(Fenced):
            runner.start(order(fence=6, epoch=1), body)
        go.set()
        await asyncio.wait_for(server.finished.wait(), 5)

        assert starts == [5]

    asyncio.run(run())


def test_log_lines_are_numbered_and_sent_once() -> None:
    """Lines of one attempt are numbered from 1 without gap."""

    async def run() -> None:
        server = Server()

        def body(task: RunningTask) -> Outcome:
            for number in range(1200):
                task.log("info", f"line {number}")
            return Outcome("done", "")

        runner = TaskRunner(server.call)
        runner.start(order(), body)
        await asyncio.wait_for(server.finished.wait(), 5)
        reports = server.of(ReportLog)

        assert [report.first for report in reports] == [1, 501, 1001]
        assert [line.text for report in reports for line in report.lines] == [f"line {n}" for n in range(1200)]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(Stopped(), "stopped"), (Fenced(), "stopped"), (Unavailable("gone"), "retry"), (Corrupt("bad"), "error")],
)
def test_only_a_lost_host_is_worth_another_attempt(error: Exception, outcome: str) -> None:
    """Errors become outcomes; only Unavailable and Busy are tried again."""

    def body(_task: RunningTask) -> Outcome:
        raise error

    assert guarded(RunningTask(1, 1), body).outcome == outcome
