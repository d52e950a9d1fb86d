"""Waiting for tasks: a progress bar for each on a terminal, else a line for each change; the exit status tells the end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import typer

from rubackup.cli import output
from rubackup.cli.rb.status import INTERRUPTED, NOT_DONE
from rubackup.cli.rb.tables import size
from rubackup.sdk import Client, Refused, Unreachable

FINAL = frozenset({"Done", "Error", "Broken", "Killed"})
POLL_SECONDS = (0.2, 2.0)
"""The first pause between two looks, and the longest."""
WIDE = 110
"""Columns of a terminal that has room for a bar beside what is told of a task."""
LINE_SECONDS = 30.0
"""How often it is told how far a task is where there is no terminal."""
PATIENCE_SECONDS = 120.0
"""How long the API may be away while a task is waited for."""

Task = dict[str, Any]


class Lines:
    """Tells each change of a task's state on stderr, and now and then how far it is, for what is no terminal."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[str, float]] = {}

    def show(self, task: Task) -> None:
        """Tell where the task is, if that is new or was told long ago."""
        state, now = task["status"], time.monotonic()
        before, at = self._told.get(task["id"], ("", 0.0))
        if before == state and now - at < LINE_SECONDS:
            return
        self._told[task["id"]] = (state, now)
        far = f"  {task['percent']} %  {amount(task)}" if before == state else ""
        print(f"task {task['id']}: {output.plain(state)}{far}", file=sys.stderr, flush=True)


def amount(task: Task) -> str:
    """How many bytes are done of how many, how fast, and how long it will take."""
    done, total = task["bytes_done"], task["bytes_total"]
    facts = [f"{size(done)} of {size(total)}" if total else size(done)]
    if task["status"] not in FINAL:
        if task["speed_bytes_per_second"]:
            facts.append(f"{size(task['speed_bytes_per_second'])}/s")
        if task["eta_seconds"]:
            facts.append(f"{duration(task['eta_seconds'])} left")
    return ", ".join(facts)


def duration(seconds: float) -> str:
    """A time for people, to two places: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    for unit, smaller, length, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


class Bars:
    """A bar for each task."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._bars: dict[int, Any] = {}

    def show(self, task: Task) -> None:
        """Draw how far the task is."""
        number = task["id"]
        facts = {
            "completed": task["percent"], "status": f"{task['task_type']} {number} {task['status']}", "amount": amount(task),
        }  # fmt: skip
        if number in self._bars:
            self._progress.update(self._bars[number], **facts)
        else:
            self._bars[number] = self._progress.add_task("", total=100, **facts)


@contextlib.contextmanager
def view() -> Iterator[Lines | Bars]:
    """Bars where stderr is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console  # noqa: PLC0415 - takes longer to load than most commands take
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True)
    wraps = Column(no_wrap=False, overflow="fold")
    columns = (
        TextColumn("{task.fields[status]}", markup=False), *([BarColumn()] if console.width >= WIDE else []),
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        TextColumn("{task.fields[amount]}", markup=False, table_column=wraps),
    )  # fmt: skip
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        yield Bars(progress)


def follow(api: Client, tasks: Sequence[int]) -> list[Task]:
    """The tasks as they ended. An API that is away for a while is waited for."""
    ended: dict[int, Task] = {}
    pause = POLL_SECONDS[0]
    unseen_since: float | None = None
    with view() as shown:
        while True:
            for number in tasks:
                if number in ended:
                    continue
                try:
                    task = dict(api.task_queue.read(number).data)
                except (Unreachable, Refused) as error:
                    if isinstance(error, Refused) and error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        raise
                    now = time.monotonic()
                    if unseen_since is None:
                        unseen_since = now
                        _say(f"{error.message} It is waited for, {PATIENCE_SECONDS:.0f} s at most; the task goes on.")
                    if now - unseen_since > PATIENCE_SECONDS:
                        raise
                    continue
                if unseen_since is not None:
                    _say("The API answers again.")
                unseen_since = None
                shown.show(task)
                if task["status"] in FINAL:
                    ended[number] = task
            if len(ended) == len(set(tasks)):
                return [ended[number] for number in tasks]
            time.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS[1])


def _say(text: str) -> None:
    print(output.plain(text), file=sys.stderr, flush=True)


def wait_for(api: Client, tasks: Sequence[int], *, json: bool = False, many: bool = False) -> None:
    """Show tasks until they have ended; exit status 4 unless all are Done. Ctrl-C leaves them at work.

    `many`: as JSON it is a list, however many there are.
    """
    try:
        ended = follow(api, tasks)
    except KeyboardInterrupt:
        numbers = " ".join(str(number) for number in tasks)
        goes = "The task goes" if len(tasks) == 1 else "The tasks go"
        print(f"\n{goes} on: rb task_queue wait {numbers}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if json:
        output.as_json(ended if many or len(ended) != 1 else ended[0])
    else:
        for task in ended:
            print(output.plain(outcome(task)))
    if any(task["status"] != "Done" for task in ended):
        raise typer.Exit(NOT_DONE)


def outcome(task: Task) -> str:
    """How a task ended, in a line."""
    facts = [f"task {task['id']}", task["task_type"], task["status"]]
    if task["status"] == "Done" and task["bytes_total"]:
        facts.append(f"{task['files_done']} files, {size(task['bytes_done'])}")
    if task["record"]:
        facts.append(f"copy {task['record']}")
    if task["message"] and task["status"] != "Done":
        facts.append(task["message"])
    return "  ".join(facts)
