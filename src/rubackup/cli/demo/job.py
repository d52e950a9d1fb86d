"""What the demonstration does, through the API alone, as a script of an administrator would."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubackup.domain.errors import RubackupError, SystemFault
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import FINAL
from rubackup.roles.rest import ApiFault, RestClient, failed

POOL = "Default"
POLL_SECONDS = 0.25
PATIENCE_SECONDS = 60.0
"""How long the API may be away while a task is followed."""

_TASKS = re.compile(r"TASK WAS ADDED TO QUEUE:(\d+)")
_FINAL = frozenset(status.label for status in FINAL)

Row = dict[str, Any]
Seen = Callable[[Row], None]


class TaskFailed(SystemFault):
    """A task did not end well."""

    code = "task_failed"


@dataclass
class Job:
    """The steps for one folder of one client; `seen` gets each state of a task that is followed."""

    api: RestClient
    client: str
    folder: Path
    seen: Seen

    def records(self) -> list[Row]:
        """The copies of the folder, oldest first."""
        rows = self.api.items("/repository", filter_data=f'resource="{_escaped(str(self.folder))}"', sort_by="id")
        return [row for row in rows if row["client"] == self.client]

    def backup(self) -> Row:
        """Back the folder up, incrementally after the first time; the new copy."""
        known = {row["id"] for row in self.records()}
        task = {
            "client": self.client,
            "resource": str(self.folder),
            "resource_type": "File system",
            "backup_type": "incremental" if known else "full",
            "pool": POOL,
            "crypto": "nocrypt",
            "priority": 100,
            "storage_duration": "1 Years",
            "archiving": False,
        }
        self._follow(self.api.post("/task_queue/", {"data": {"task": task}}))
        made = [row for row in self.records() if row["id"] not in known]
        if not made:
            raise TaskFailed("The backup ended as Done, but its copy is not in the repository.")
        return made[-1]

    def listing(self, record: Row, rows: int) -> tuple[list[Row], int]:
        """The first entries of the folder as they stand in the copy, and how many there are."""
        data = self.api.get("/repository_record_file_list", id=record["id"], path=str(self.folder), page=1, limit=rows)
        return data["items"], data["total"]

    def verify(self, record: Row) -> str:
        """Read the whole copy again; its verification status."""
        self._follow(self.api.post(f"/repository/{record['id']}/verification"))
        return str(self.api.get(f"/repository/{record['id']}")["verification_status"])

    def restore(self, record: Row, destination: Path) -> Path:
        """Restore the copy below a folder; where the backed up folder is now."""
        order = {
            "target_client": self.client,
            "destination_path": str(destination),
            "data_deployment": False,
            "granular_restore_files": [""],
        }
        self._follow(self.api.post(f"/repository/{record['id']}/restoring", {"data": {"restore_task": order}}))
        return destination / self.folder.relative_to("/")

    def _follow(self, answer: Row) -> Row:
        """The task that a call made, once it has ended; TaskFailed with the lines of its log unless it is Done."""
        match = _TASKS.search(answer["message"])
        if match is None:
            raise TaskFailed(f"The API named no task: {answer['message']}")
        number = int(match[1])
        for task in self._states(number):
            self.seen(task)
            if task["status"] in _FINAL:
                break
        if task["status"] != TaskStatus.DONE.label:
            raise TaskFailed(f"Task {number} ended as {task['status']}: {self._reason(number, task)}")
        return task

    def _states(self, number: int) -> Iterator[Row]:
        answered_at = time.monotonic()
        while True:
            try:
                yield self.api.get(f"/task_queue/{number}")
                answered_at = time.monotonic()
            except RubackupError as error:
                if not failed(error) or time.monotonic() - answered_at > PATIENCE_SECONDS:
                    raise
            time.sleep(POLL_SECONDS)

    def _reason(self, number: int, task: Row) -> str:
        try:
            lines = list(self.api.items("/task_log", filter_data=f'task_id="{number}"', sort_by="id"))
        except ApiFault:
            lines = []
        told = [line["text"] for line in lines if line.get("level") != "info"]
        return " ".join(told[-3:]) or str(task.get("message") or "its log says nothing.")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
