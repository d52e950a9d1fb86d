"""Waiting for tasks: what is told, how it ends, and an API that is away meanwhile."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from rubackup.cli.rb import waiting
from rubackup.sdk import Answer, Refused, Unreachable


def task(status: str, **facts: Any) -> dict[str, Any]:
    """A task as the API shows it."""
    base = {
        "id": 7, "task_type": "Backup", "status": status, "percent": 0, "bytes_done": 0, "bytes_total": 0, "files_done": 0,
        "speed_bytes_per_second": 0, "eta_seconds": None, "record": None, "message": "",
    }  # fmt: skip
    return base | facts


class Queue:
    """Gives one answer after another, and raises those that are errors."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def read(self, number: int) -> Answer[Any]:
        """The next one."""
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(200, answer, "", {})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pauses between two looks."""
    monkeypatch.setattr(waiting, "POLL_SECONDS", (0.0, 0.0))


def api(*answers: Any) -> Any:
    """An API whose queue answers so."""
    return SimpleNamespace(task_queue=Queue(*answers))


def test_each_change_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """And the end on stdout, for what reads it."""
    done = task("Done", files_done=2, bytes_done=2048, bytes_total=2048, record=3)

    waiting.wait_for(api(task("New"), task("New"), task("Execution"), done), [7])

    told = capsys.readouterr()
    assert told.err.splitlines() == ["task 7: New", "task 7: Execution", "task 7: Done"]
    assert told.out == "task 7  Backup  Done  2 files, 2.0 KiB  copy 3\n"


@pytest.mark.parametrize("status", ["Error", "Broken", "Killed"])
def test_another_end_than_done_is_an_exit_status(status: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason, which cannot steer the terminal."""
    with pytest.raises(typer.Exit) as ended:
        waiting.wait_for(api(task(status, message="no\x1b[2J")), [7])

    assert ended.value.exit_code == 4
    assert capsys.readouterr().out == f"task 7  Backup  {status}  no\\x1b[2J\n"


def test_an_api_that_is_away_for_a_while_is_waited_for() -> None:
    """The task is none the worse for it."""
    ended = waiting.follow(api(Unreachable("x"), task("New"), Unreachable("x"), task("Done")), [7])

    assert [one["status"] for one in ended] == ["Done"]


def test_it_is_told_once_that_the_api_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    """One that restarts refuses connections, or says that it cannot answer now; and the task may be asked for again."""
    busy = Refused("The service database does not answer.", 503)
    answers = (task("New"), Unreachable("Nobody answers."), busy, task("New"), task("Done"))

    ended = waiting.follow(api(*answers), [7])

    assert [one["status"] for one in ended] == ["Done"]
    assert capsys.readouterr().err.splitlines() == [
        "task 7: New", "Nobody answers. It is waited for, 120 s at most; the task goes on.", "The API answers again.",
        "task 7: Done",
    ]  # fmt: skip


def test_a_refusal_that_stays_one_ends_the_waiting() -> None:
    """Such as that of a task that is gone."""
    with pytest.raises(Refused):
        waiting.follow(api(Refused("The resource was not found.", 404)), [7])


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for an API that does not come back."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", -1.0)

    with pytest.raises(Unreachable):
        waiting.follow(api(Unreachable("away")), [7])


def test_an_interrupt_leaves_the_task_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    """And says how to wait for it again."""
    with pytest.raises(typer.Exit) as ended:
        waiting.wait_for(api(task("New"), KeyboardInterrupt()), [7])

    assert ended.value.exit_code == 130
    assert "rb task_queue wait 7" in capsys.readouterr().err


def test_now_and_then_it_is_told_how_far_a_task_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no terminal, such as in the mail of cron: bytes, rate and what is left."""
    monkeypatch.setattr(waiting, "LINE_SECONDS", 0.0)
    at_work = task(
        "Execution", percent=40, bytes_done=4 << 20, bytes_total=10 << 20, speed_bytes_per_second=1 << 20, eta_seconds=65
    )  # fmt: skip

    waiting.follow(api(at_work, at_work, task("Done")), [7])

    assert capsys.readouterr().err.splitlines() == [
        "task 7: Execution", "task 7: Execution  40 %  4.0 MiB of 10.0 MiB, 1.0 MiB/s, 1 min 5 s left", "task 7: Done"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7800, "2 h 10 min"), (180_000, "2 d 2 h")]
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    """To two places."""
    assert waiting.duration(seconds) == text


@pytest.mark.parametrize(("many", "kind"), [(False, dict), (True, list)])
def test_the_shape_of_json_does_not_depend_on_how_many_there_are(
    many: bool, kind: type, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands that take several tasks give a list, the others an object."""
    waiting.wait_for(api(task("Done")), [7], json=True, many=many)

    assert isinstance(json.loads(capsys.readouterr().out), kind)
