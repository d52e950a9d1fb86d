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
        await asyncio.wait_for(server.finished.wait(), 60)

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
        async with asyncio.timeout(60):
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
            go.wait(60)
            return Outcome("done", "")

        runner = TaskRunner(server.call)
        runner.start(order(fence=5, epoch=2), body)
        runner.start(order(fence=5, epoch=2), body)
        with pytest.raises(Fenced):
            runner.start(order(fence=4, epoch=2), body)
        with pytest.raises(Fenced):
            runner.start(order(fence=6, epoch=1), body)
        go.set()
        await asyncio.wait_for(server.finished.wait(), 60)

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
        await asyncio.wait_for(server.finished.wait(), 60)
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


def test_what_follows_ended_tasks_takes_no_place_of_tasks() -> None:
    """As many followers hang as there are places and more: each task's end is reported, and further tasks run."""

    async def run() -> None:
        server, go = Server(), threading.Event()
        runner = TaskRunner(server.call)
        count = 2 * tasks.PARALLEL_TASKS
        try:
            for number in range(1, count + 1):
                server.finished.clear()
                runner.start(
                    order(number), lambda _task: Outcome("done", ""), lambda _task, _outcome: bool(go.wait(60))
                )
                await asyncio.wait_for(server.finished.wait(), 60)
            assert {end.task_id for end in server.of(ReportFinished)} == set(range(1, count + 1))
            assert runner.running() == []
        finally:
            go.set()

    asyncio.run(run())


def test_few_followers_run_at_once_and_the_rest_wait() -> None:
    """All of them have run in the end."""

    async def run() -> None:
        server, go, lock = Server(), threading.Semaphore(0), threading.Lock()
        now, most, through = [0], [0], asyncio.Event()
        loop, wanted = asyncio.get_running_loop(), tasks.PARALLEL_FOLLOWERS + 2
        ran: list[int] = []

        def follow(task: RunningTask, _outcome: Outcome) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            go.acquire(timeout=60)
            with lock:
                now[0] -= 1
                ran.append(task.task_id)
                if len(ran) == wanted:
                    loop.call_soon_threadsafe(through.set)

        runner = TaskRunner(server.call)
        for number in range(1, wanted + 1):
            server.finished.clear()
            runner.start(order(number), lambda _task: Outcome("done", ""), follow)
            await asyncio.wait_for(server.finished.wait(), 60)
        go.release(wanted)
        await asyncio.wait_for(through.wait(), 60)

        assert sorted(ran) == list(range(1, wanted + 1))
        assert 1 <= most[0] <= tasks.PARALLEL_FOLLOWERS

    asyncio.run(run())


def test_the_lines_of_a_follower_come_after_the_end_of_its_task() -> None:
    """It knows how the task ended; its lines are numbered on, also when it fails."""

    async def run() -> None:
        server, ends = Server(), []
        logged = asyncio.Event()

        async def call(message: Message, timeout: float, patience: float) -> Message:
            answer = await server.call(message, timeout, patience)
            if isinstance(message, ReportLog) and any("failed" in line.text for line in message.lines):
                logged.set()
            return answer

        def body(task: RunningTask) -> Outcome:
            task.log("info", "at work")
            return Outcome("done", "")

        def follow(task: RunningTask, outcome: Outcome) -> None:
            ends.append(outcome.outcome)
            task.log("info", "after")
            raise ValueError

        runner = TaskRunner(call)
        runner.start(order(), body, follow)
        await asyncio.wait_for(logged.wait(), 60)

        kinds = [type(message) for message in server.heard if isinstance(message, ReportLog | ReportFinished)]
        assert kinds == [ReportLog, ReportFinished, ReportLog]
        assert [report.first for report in server.of(ReportLog)] == [1, 2]
        assert ends == ["done"]

    asyncio.run(run())


def test_an_attempt_that_does_not_count_has_no_follower() -> None:
    """The server refuses its end: another attempt goes on, and ends by itself."""

    async def run() -> None:
        ran: list[int] = []

        async def call(message: Message, _timeout: float, _patience: float) -> Message:
            if isinstance(message, ReportFinished):
                raise Fenced
            return Ack()

        runner = TaskRunner(call)
        runner.start(order(), lambda _task: Outcome("done", ""), lambda task, _outcome: ran.append(task.task_id))
        [job] = runner._jobs
        await asyncio.wait_for(job, 60)

        assert ran == []

    asyncio.run(run())


def test_followers_leave_with_the_process() -> None:
    """Those that run learn it, those that wait do not begin."""

    async def run() -> None:
        server, begun, left = Server(), threading.Event(), threading.Event()

        def follow(task: RunningTask, _outcome: Outcome) -> None:
            begun.set()
            try:
                while True:
                    task.check_leaving()
            except Stopped:
                left.set()

        runner = TaskRunner(server.call)
        runner.start(order(), lambda _task: Outcome("done", ""), follow)
        assert await asyncio.to_thread(begun.wait, 60)
        runner.stop_all()
        assert await asyncio.to_thread(left.wait, 60)

    asyncio.run(run())


def test_lines_that_two_have_sent_are_dropped_once() -> None:
    """The reporter and the end of a task may send the same lines: no later one is lost."""
    task = RunningTask(1, 1)
    task.log("info", "one")
    first, again = task.unsent(), task.unsent()
    assert first is not None
    assert again is not None
    task.log("info", "two")

    task.sent(first)
    task.sent(again)

    rest = task.unsent()
    assert rest is not None
    assert (rest.first, [line.text for line in rest.lines]) == (2, ["two"])


def test_lines_are_delivered_before_what_may_end_the_task() -> None:
    """A record that is published ends its task: the server has the log by then. One that is not there is not waited for."""

    async def run() -> None:
        server, there = Server(), []
        server.unavailable = 1

        def body(task: RunningTask) -> Outcome:
            task.deliver()  # there is nothing yet
            task.log("warning", "seen")
            for _ in range(2):
                task.deliver()
                there.append([line.text for report in server.of(ReportLog) for line in report.lines])
            return Outcome("done", "")

        runner = TaskRunner(server.call)
        runner.start(order(), body)
        await asyncio.wait_for(server.finished.wait(), 60)

        assert there == [[], ["seen"]]
        assert len(server.of(ReportLog)) == 1

    asyncio.run(run())


def test_a_task_that_is_stopped_waits_for_no_delivery() -> None:
    """Its agent may be about to end, and with it the loop that would send."""

    async def run() -> None:
        asked, answers = threading.Event(), asyncio.Event()

        async def call(message: Message, _timeout: float, _patience: float) -> Message:
            if isinstance(message, ReportLog):
                asked.set()
                await answers.wait()
            return Ack()

        def body(task: RunningTask) -> Outcome:
            task.log("info", "a line")
            task.deliver()
            task.check()
            return Outcome("done", "")

        runner = TaskRunner(call)
        runner.start(order(), body)
        assert await asyncio.to_thread(asked.wait, 60)
        runner._tasks[1].stop()
        answers.set()
        [job] = runner._jobs
        await asyncio.wait_for(job, 60)

    asyncio.run(run())
