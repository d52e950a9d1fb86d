"""Tasks that an agent runs: each in a thread, its progress, log and end reported to a server.

A task is known by its id and fence. The reporter doubles as heartbeat: what the server
no longer wants is named in its answer and stopped. Design section 7.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field

from rubackup.domain.errors import Busy, Fenced, RubackupError, Stopped, Unavailable
from rubackup.wire.messages import (
    Ack,
    LogLine,
    Message,
    NewTicket,
    Order,
    Progress,
    ProgressAnswer,
    RenewTicket,
    ReportFinished,
    ReportLog,
    ReportProgress,
)

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
TICKET_RENEWAL_SECONDS = 300.0
LOG_LINES_KEPT = 20_000
"""Lines of one attempt that are sent; what comes after is counted in a last line."""
LOG_BATCH = 500
PARALLEL_TASKS = 8
"""Unless the settings say otherwise."""
MOST_PARALLEL_TASKS = 64
DELIVERY_SECONDS = 10.0
"""How long a task that has come to its end waits for its log to be taken; what is not goes with the report of the end."""
PARALLEL_FOLLOWERS = 4
"""What follows a task that has ended, such as its script: so many at a time, the rest wait."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended: done, error, stopped, retry; a backup also full or storage, when its pool could not take it."""

    outcome: str
    message: str
    files_done: int = 0
    files_failed: int = 0
    bytes_done: int = 0
    damaged: tuple[str, ...] = ()


@dataclass
class RunningTask:
    """One attempt of a task, as the thread that does it sees it."""

    task_id: int
    fence: int
    ticket: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _leaving: threading.Event = field(default_factory=threading.Event)
    _phase: str = "execution"
    _counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    _lines: list[LogLine] = field(default_factory=list)
    _logged: int = 0
    _sent: int = 0
    ticket_at: float = field(default_factory=time.monotonic)
    delivery: Callable[[], Future[None]] | None = None
    """Sends the lines that wait; for any thread."""

    def phase(self, name: str) -> None:
        """What the task is busy with: execution or transmission."""
        self._phase = name

    def progress(self, files_done: int, files_total: int, bytes_done: int, bytes_total: int, bytes_sent: int) -> None:
        """How far it is; totals are 0 while unknown."""
        self._counts = (files_done, files_total, bytes_done, bytes_total, bytes_sent)

    def log(self, level: str, text: str) -> None:
        """A line for the task log."""
        with self._lock:
            self._logged += 1
            if self._logged <= LOG_LINES_KEPT:
                self._lines.append(LogLine(at_ns=time.time_ns(), level=level, text=text))

    def deliver(self) -> None:
        """Return when a server has the lines so far, or none takes them now.

        Whoever publishes a record ends its task by that, before the thread of the task comes to report the end: who sees
        the end is to see what led to it.
        """
        if self.delivery is None or self.is_stopped() or self.unsent() is None:
            return
        sending, until = self.delivery(), time.monotonic() + DELIVERY_SECONDS
        while not wait_for((sending,), timeout=0.1).done and time.monotonic() < until and not self.is_stopped():
            pass
        if not sending.done():
            sending.cancel()
        elif error := sending.exception():
            log.warning("the log of task %d could not be sent yet: %s", self.task_id, error)

    def check(self) -> None:
        """Stopped when the server no longer wants this attempt."""
        if self._stopped.is_set():
            raise Stopped

    def is_stopped(self) -> bool:
        """Whether the next check raises."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Make the next check raise."""
        self._stopped.set()

    def leave(self) -> None:
        """The agent's process ends: nothing may go on, not even what follows a task that has ended."""
        self._leaving.set()
        self._stopped.set()

    def check_leaving(self) -> None:
        """Stopped when the agent's process ends."""
        if self._leaving.is_set():
            raise Stopped

    def state(self) -> Progress:
        """Progress and heartbeat."""
        files_done, files_total, bytes_done, bytes_total, bytes_sent = self._counts
        return Progress(
            task_id=self.task_id, fence=self.fence, phase=self._phase, files_done=files_done, files_total=files_total,
            bytes_done=bytes_done, bytes_total=bytes_total, bytes_sent=bytes_sent,
        )  # fmt: skip

    def close_log(self) -> None:
        """Say how many lines were left out."""
        with self._lock:
            if self._logged > LOG_LINES_KEPT:
                text = f"{self._logged - LOG_LINES_KEPT} more lines are left out."
                self._lines.append(LogLine(at_ns=time.time_ns(), level="warning", text=text))

    def unsent(self) -> ReportLog | None:
        """The next lines to send, numbered from 1 within the attempt."""
        with self._lock:
            lines = self._lines[:LOG_BATCH]
            if not lines:
                return None
            return ReportLog(task_id=self.task_id, fence=self.fence, first=self._sent + 1, lines=lines)

    def sent(self, report: ReportLog) -> None:
        """The server has stored these lines; two may have sent the same."""
        with self._lock:
            if report.first != self._sent + 1:
                return
            del self._lines[: len(report.lines)]
            self._sent += len(report.lines)


Body = Callable[[RunningTask], Outcome]
Follow = Callable[[RunningTask, Outcome], None]
"""What is to be done when the end of a task was reported; its lines still go into the task's log."""
CallServer = Callable[[Message, float, float], Awaitable[Message]]
"""message, timeout, patience: `ServerLink.call`."""


class TaskRunner:
    """Starts, stops and reports the tasks of one agent."""

    def __init__(self, call: CallServer, parallel: int = PARALLEL_TASKS) -> None:
        """At most `parallel` tasks at a time."""
        self._call = call
        self._parallel = parallel
        self._tasks: dict[int, RunningTask] = {}
        self._ended: list[RunningTask] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="task")
        self._followers = ThreadPoolExecutor(PARALLEL_FOLLOWERS, thread_name_prefix="follow")
        self._epoch = 0

    def check_epoch(self, epoch: int) -> None:
        """Fenced for an order of a server that no longer leads."""
        if epoch < self._epoch:
            raise Fenced("A newer leader has taken over.")
        self._epoch = epoch

    def start(self, order: Order, body: Body, follow: Follow | None = None) -> None:
        """Run `body` in a thread, report its end, then run `follow` in a thread that no task waits for.

        A repeated order changes nothing, a newer one stops the older attempt.
        """
        self.check_epoch(order.epoch)
        running = self._tasks.get(order.task_id)
        if running is not None and running.fence >= order.fence:
            if running.fence > order.fence:
                raise Fenced
            return
        if running is not None:
            running.stop()
        if self._busy >= self._parallel:
            raise Busy("This host works on as many tasks as it can.")
        task = RunningTask(order.task_id, order.fence, order.ticket)
        self._tasks[order.task_id] = task
        self._busy += 1
        job = asyncio.get_running_loop().create_task(self._work(task, body, follow))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def running(self) -> list[int]:
        """Numbers of the tasks at work."""
        return sorted(self._tasks)

    def stop_all(self) -> None:
        """Stop every task and what follows one; their threads end at their next check."""
        for task in (*self._tasks.values(), *self._ended):
            task.leave()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._followers.shutdown(wait=False, cancel_futures=True)

    async def report(self) -> None:
        """Send progress, logs and heartbeats each second; runs until cancelled."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            tasks = list(self._tasks.values())
            try:
                for task in (*tasks, *self._ended):
                    await self._send_log(task)
                if not tasks:
                    continue
                answer = await self._call(ReportProgress(tasks=[task.state() for task in tasks]), 10.0, 0.0)
                await self._renew_tickets(tasks)
            except RubackupError as error:
                log.warning("progress could not be reported: %s", error)
                continue
            if isinstance(answer, ProgressAnswer):
                for task in tasks:
                    if task.task_id in answer.drop:
                        task.stop()

    async def _renew_tickets(self, tasks: list[RunningTask]) -> None:
        for task in tasks:
            if not task.ticket or time.monotonic() - task.ticket_at < TICKET_RENEWAL_SECONDS:
                continue
            answer = await self._call(RenewTicket(task_id=task.task_id, fence=task.fence), 10.0, 0.0)
            if isinstance(answer, NewTicket):
                task.ticket, task.ticket_at = answer.ticket, time.monotonic()

    async def _work(self, task: RunningTask, body: Body, follow: Follow | None) -> None:
        loop = asyncio.get_running_loop()
        task.delivery = lambda: asyncio.run_coroutine_threadsafe(self._send_log(task), loop)
        try:
            outcome = await loop.run_in_executor(self._threads, guarded, task, body)
        finally:
            self._busy -= 1
        if follow is None:
            task.close_log()
        taken, failed = await self._finish(task, outcome)
        if failed:  # what looked like an attempt of several was the last
            outcome = dataclasses.replace(outcome, outcome="error")
        if self._tasks.get(task.task_id) is task:
            del self._tasks[task.task_id]
        if follow is not None and taken:
            await self._follow(task, outcome, follow)

    async def _follow(self, task: RunningTask, outcome: Outcome, follow: Follow) -> None:
        """Do what follows the end of a task, and send what it logs."""
        self._ended.append(task)
        try:
            await asyncio.get_running_loop().run_in_executor(self._followers, follow, task, outcome)
        except Exception:
            log.exception("what follows task %d failed", task.task_id)
            task.log("error", "What follows the task failed unexpectedly; the log of this host has the details.")
        finally:
            self._ended = [other for other in self._ended if other is not task]
        task.close_log()
        await self._until_taken(lambda: self._send_log(task), f"the log of task {task.task_id}")

    async def _finish(self, task: RunningTask, outcome: Outcome) -> tuple[bool, bool]:
        """Report the end until a server has heard it.

        Whether it was taken: not for an attempt that does not count. And whether the task ended in Error with it.
        """
        failed = False
        report = ReportFinished(
            task_id=task.task_id, fence=task.fence, outcome=outcome.outcome, message=outcome.message,
            files_done=outcome.files_done, files_failed=outcome.files_failed, bytes_done=outcome.bytes_done,
            damaged=list(outcome.damaged), bytes_sent=task.state().bytes_sent,
        )  # fmt: skip

        async def send() -> None:
            nonlocal failed
            await self._send_log(task)
            answer = await self._call(report, 10.0, 60.0)
            failed = isinstance(answer, Ack) and answer.failed

        return await self._until_taken(send, f"the end of task {task.task_id}"), failed

    async def _until_taken(self, send: Callable[[], Awaitable[None]], what: str) -> bool:
        """Repeat `send` until a server is there; whether it took it."""
        while True:
            try:
                await send()
            except Unavailable as error:
                log.warning("%s could not be reported yet: %s", what, error)
                await asyncio.sleep(REPORT_SECONDS)
            except RubackupError as error:
                log.warning("the server did not take %s: %s", what, error)
                return False
            else:
                return True

    async def _send_log(self, task: RunningTask) -> None:
        while (report := task.unsent()) is not None:
            try:
                await self._call(report, 10.0, 0.0)
            except Fenced:
                task.stop()
            task.sent(report)


def guarded(task: RunningTask, body: Body) -> Outcome:
    """The outcome of `body`; errors become outcomes, and only a lost host is worth another attempt."""
    try:
        return body(task)
    except (Stopped, Fenced) as error:
        return Outcome("stopped", str(error))
    except (Unavailable, Busy) as error:
        return Outcome("retry", str(error))
    except RubackupError as error:
        return Outcome("error", str(error))
    except Exception as error:
        log.exception("task %d failed", task.task_id)
        return Outcome("error", f"Unexpected {type(error).__name__}; the log of this host has the details.")
