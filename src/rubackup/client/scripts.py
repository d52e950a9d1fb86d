"""The scripts of a rule that run on the client when a task has ended: normal, exception, restore.

It begins when the server has heard how the task ended, outside the host's places for tasks.
What a script does changes nothing of the task's result: a copy that was made stays made.
"""

from __future__ import annotations

from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.client.programs import run_program
from rubackup.domain.errors import RubackupError, Stopped
from rubackup.domain.lookups import TaskStatus

SCRIPT_SECONDS = 600.0
"""How long a script may run, as docs/reference.md says."""
LINE_CHARACTERS = 4096
LINES = 200
"""Lines of a script's output that stand in the task's log."""

ENDED = {"done": TaskStatus.DONE.label, "error": TaskStatus.ERROR.label}
"""Outcomes after which a script runs; a task that was stopped or is tried again has not ended."""


def after_backup(task: RunningTask, outcome: Outcome, record: str, resource: str, normal: str, exception: str) -> None:
    """Run the script for this end of a backup, if there is one."""
    path = {"done": normal, "error": exception}.get(outcome.outcome, "")
    if path:
        _run(task, path, outcome, record, resource)


def after_restore(task: RunningTask, outcome: Outcome, record: str, resource: str, script: str) -> None:
    """Run the script of a restore that ended, well or not."""
    if script and outcome.outcome in ENDED:
        _run(task, script, outcome, record, resource)


def _run(task: RunningTask, path: str, outcome: Outcome, record: str, resource: str) -> None:
    environment = {
        "RUBACKUP_TASK_ID": str(task.task_id),
        "RUBACKUP_RECORD": record,
        "RUBACKUP_RESOURCE": resource,
        "RUBACKUP_STATUS": ENDED[outcome.outcome],
    }
    task.log("info", f"The script {path} begins.")
    try:
        result = run_program(path, (), environment, SCRIPT_SECONDS, check=task.check_leaving)
    except Stopped:
        task.log("warning", f"The script {path} was ended, as the client's process ends.")
        return
    except RubackupError as error:
        task.log("error", f"The script was not run: {error.message}")
        return
    for line in result.output.splitlines()[:LINES]:
        task.log("info", f"{path}: {line[:LINE_CHARACTERS]}")
    if result.exit_code < 0:
        task.log("warning", f"The script {path} was ended by signal {-result.exit_code}.")
    elif result.exit_code:
        task.log("warning", f"The script {path} ended with exit code {result.exit_code}.")
    else:
        task.log("info", f"The script {path} ended well.")
