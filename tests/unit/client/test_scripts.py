"""Scripts of rules: which one runs after which end of a task, and that it changes nothing of the result."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.client import scripts
from support.system import eventually


@pytest.fixture
def script(tmp_path: Path):
    """Makes a script that tells its environment."""
    tmp_path.chmod(0o755)

    def make(name: str, code: int = 0) -> str:
        path = tmp_path / name
        told = "$RUBACKUP_TASK_ID $RUBACKUP_RECORD $RUBACKUP_RESOURCE $RUBACKUP_STATUS"
        path.write_text(f'#!/bin/sh\necho "{name}: {told}"\nexit {code}\n')
        path.chmod(0o755)
        return str(path)

    return make


def lines(task: RunningTask) -> list[tuple[str, str]]:
    """Level and text of what was logged."""
    report = task.unsent()
    return [(line.level, line.text) for line in report.lines] if report else []


def backup(outcome: str, normal: str, exception: str) -> list[tuple[str, str]]:
    task = RunningTask(7, 1)
    scripts.after_backup(task, Outcome(outcome, ""), "record", "/home", normal, exception)
    return lines(task)


def test_each_end_of_a_backup_has_its_script(script):
    """Done runs the normal one, Error the exception one; the environment tells which task, copy, resource, status."""
    normal, exception = script("normal"), script("exception")

    assert ("info", f"{normal}: normal: 7 record /home Done") in backup("done", normal, exception)
    assert ("info", f"{exception}: exception: 7 record /home Error") in backup("error", normal, exception)


@pytest.mark.parametrize("outcome", ["stopped", "retry"])
def test_a_task_that_goes_on_elsewhere_runs_no_script(script, outcome):
    """It has not ended."""
    assert backup(outcome, script("normal"), script("exception")) == []


def test_without_scripts_nothing_is_said():
    """The common case leaves no line."""
    assert backup("done", "", "") == []


def test_a_script_that_fails_leaves_a_warning(script):
    """With its exit code."""
    level, text = backup("done", script("normal", 3), "")[-1]

    assert level == "warning"
    assert "exit code 3" in text


def test_a_script_that_is_missing_or_unsafe_leaves_an_error(tmp_path, script):
    """It is not run, and the line says why."""
    unsafe = script("unsafe")
    Path(unsafe).chmod(0o777)
    for path in ("/no/such/script", unsafe):
        level, text = backup("done", path, "")[-1]
        assert level == "error"
        assert path in text


@pytest.mark.parametrize(("outcome", "status"), [("done", "Done"), ("error", "Error")])
def test_a_restore_runs_its_script_however_it_ended(script, outcome, status):
    """RUBACKUP_STATUS tells."""
    task, path = RunningTask(7, 1), script("restore")

    scripts.after_restore(task, Outcome(outcome, ""), "record", "/home", path)

    assert ("info", f"{path}: restore: 7 record /home {status}") in lines(task)


def test_a_script_may_run_for_as_long_as_the_reference_says():
    """The number of minutes that an administrator reads is the one that acts."""
    reference = (Path(__file__).parents[3] / "docs/reference.md").read_text()

    assert re.findall(r"for at most (\d+) minutes", reference) == [f"{scripts.SCRIPT_SECONDS / 60:g}"]


def test_a_script_whose_time_is_over_is_ended(script, monkeypatch):
    """With a line in the task's log."""
    path = script("normal")
    Path(path).write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(scripts, "SCRIPT_SECONDS", 0.2)

    said = backup("done", path, "")

    assert ("info", f"{path}: It was ended after 0.2 s.") in said
    assert said[-1][0] == "warning"


def test_a_script_ends_with_the_clients_process_and_not_with_the_task(tmp_path, script):
    """A task that the server has forgotten may finish its script; a process that ends waits for none."""
    path = script("restore")
    Path(path).write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 60\n")
    dropped, leaving = RunningTask(7, 1), RunningTask(8, 1)
    dropped.stop()
    scripts.after_restore(dropped, Outcome("done", ""), "record", "/home", script("other"))
    thread = threading.Thread(target=scripts.after_restore, args=(leaving, Outcome("done", ""), "r", "/home", path))
    thread.start()
    eventually((tmp_path / "begun").exists, 60)

    leaving.leave()
    thread.join(60)

    assert not thread.is_alive()
    assert "ended well" in lines(dropped)[-1][1]
    assert "process ends" in lines(leaving)[-1][1]
